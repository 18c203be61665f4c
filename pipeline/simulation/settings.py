"""What a simulated release should hold."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.defects import Defect
from pipeline.errors import SettingsError
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import SENSOR_SIZE, SPLITS, WINDOW_US, WINDOWS_PER_SHARD, is_sensor

SHARD_US = WINDOW_US * WINDOWS_PER_SHARD
MOST_RECORDINGS = 100_000
MOST_SECONDS = 3600  # times have 32 bits of µs: 71 minutes
LEAST_RATE, MOST_RATE = 100, 1_000_000  # events a window; a shard must stay readable
MOST_OFFSET = 10  # windows that boxes are late or early
MOST_OBJECTS = 500  # boxes of a window must stay readable


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate.

    Raises:
        SettingsError: Values contradict each other or make no recording.
    """

    seed: int = 0
    sensor: tuple[int, int] = SENSOR_SIZE  # width, height in pixels
    recordings: Mapping[str, int] = field(
        default_factory=lambda: {"train": 4, "val": 1, "test": 1}
    )  # how many in each split
    seconds: float = 5.0  # length of a recording after the skipped half second
    rate: int = 200_000  # mean events a window
    classes: tuple[int, ...] = tuple(range(len(CLASS_NAMES)))
    class_weights: tuple[float, ...] | None = None  # one for each class; default: street traffic
    objects: int = 12  # tracks in a recording
    labelled_every: int = 1  # boxes in every n-th window
    noise: float = 0.03  # share of events without a cause
    refractory_us: int = 500  # shortest time between two events of a pixel
    frames_per_window: int = 8  # rendered; between them intensity is linear in time
    defects: tuple[Defect, ...] = ()
    label_offset: int = 0  # windows by which boxes are late; negative: early
    stops: bool = False  # the ego vehicle and single objects stop now and then; rate: while driving

    def stated(self) -> dict[str, Any]:
        """As plain values for a record; without stops that of a release from before there were any."""
        values = asdict(self)
        if not self.stops:
            del values["stops"]
        return values

    def __post_init__(self) -> None:
        def require(holds: bool, problem: str) -> None:
            if not holds:
                raise SettingsError(f"Simulation settings: {problem}.")

        width, height = self.sensor
        require(width >= 16 and height >= 16, f"the sensor {width}x{height} is below 16x16 pixels")
        require(is_sensor(width, height), f"the sensor {width}x{height} is too large")
        require(set(self.recordings) <= set(SPLITS), f"splits are {', '.join(SPLITS)}")
        require(min(self.recordings.values(), default=0) >= 0, "recordings cannot be negative")
        require(
            0 < sum(self.recordings.values()) <= MOST_RECORDINGS,
            f"at least one recording is needed, and at most {MOST_RECORDINGS}",
        )
        require(
            0 <= self.seconds <= MOST_SECONDS, f"a recording has at most {MOST_SECONDS} seconds"
        )
        require(
            self.shards >= 1, "a recording needs at least 0.5 seconds, one shard of ten windows"
        )
        require(
            LEAST_RATE <= self.rate <= MOST_RATE,
            f"the event rate is from {LEAST_RATE} to {MOST_RATE} a window",
        )
        require(0 <= self.seed < 1 << 63, "the seed is from 0 to below 2⁶³")
        require(
            bool(self.classes) and all(0 <= c < len(CLASS_NAMES) for c in self.classes),
            f"classes are numbers from 0 to {len(CLASS_NAMES) - 1}, at least one",
        )
        weights = self.weights
        require(
            len(weights) == len(self.classes) and min(weights) >= 0 and sum(weights) > 0,
            "class weights are one non-negative number for each class, not all zero",
        )
        require(0 <= self.objects <= MOST_OBJECTS, f"objects are from 0 to {MOST_OBJECTS}")
        require(self.labelled_every >= 1, "labelled_every counts windows, from 1 up")
        require(
            abs(self.label_offset) <= MOST_OFFSET, f"boxes are late by up to {MOST_OFFSET} windows"
        )
        require(0 <= self.noise < 1, "the share of noise is from 0 to below 1")
        require(self.refractory_us >= 0, "the refractory time cannot be negative")
        require(
            self.frames_per_window >= 1 and WINDOW_US % self.frames_per_window == 0,
            f"frames a window must divide {WINDOW_US} µs evenly, such as 5, 8 or 10",
        )

    @property
    def shards(self) -> int:
        """Shards a recording; a trailing part of fewer than ten windows is thrown away."""
        return int(self.seconds * 1_000_000 + 0.5) // SHARD_US

    @property
    def weights(self) -> tuple[float, ...]:
        """Share of each class among the objects, in the order of ``classes``."""
        if self.class_weights is not None:
            return self.class_weights
        traffic = (0.20, 0.10, 0.45, 0.07, 0.06, 0.07, 0.05)
        return tuple(traffic[c] for c in self.classes)
