"""Simulated recordings in the release's format: a scene, an event camera, shards on disk.

Everything follows from the seed: two runs of the same settings write the same bytes, whatever the
number of processes.
"""

import dataclasses
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.errors import SettingsError, UsageError
from pipeline.event_camera import CameraSettings, EventCamera, threshold_for_rate
from pipeline.labels import CLASS_NAMES
from pipeline.planted_defects import PlantedDefect, plant_defects
from pipeline.release import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    SENSOR_SIZE,
    SKIP_US,
    SPLITS,
    WINDOW_US,
    WINDOWS_PER_SHARD,
    write_shard,
)
from pipeline.scene import Scene
from pipeline.sensor import write_sensors

RECORD_NAME = "simulation.json"
RECORD_FORMAT, RECORD_VERSION = "simulated-release", 1
_RECORDINGS_PER_FILELIST = 50
_CALM_DENSITY = 0.2  # events a pixel and window of a calm drive
_PROBES, _PROBE_WINDOWS, _PROBE_PIXELS = 5, 2, 10_000  # for the contrast threshold
_SETTLING_WINDOWS = 4  # shown to the camera before the first that counts
_SHARD_US = WINDOW_US * WINDOWS_PER_SHARD


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate.

    Raises :class:`SettingsError` for values that contradict each other or make no recording.
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

    def __post_init__(self) -> None:
        def require(holds: bool, problem: str) -> None:
            if not holds:
                raise SettingsError(f"Simulation settings: {problem}.")

        width, height = self.sensor
        require(width >= 16 and height >= 16, f"the sensor {width}x{height} is below 16x16 pixels")
        require(width <= 65536 and height <= 65536, f"the sensor {width}x{height} is too large")
        require(set(self.recordings) <= set(SPLITS), f"splits are {', '.join(SPLITS)}")
        require(min(self.recordings.values(), default=0) >= 0, "recordings cannot be negative")
        require(sum(self.recordings.values()) > 0, "at least one recording is needed")
        require(
            self.shards >= 1, "a recording needs at least 0.5 seconds, one shard of ten windows"
        )
        require(self.rate > 0, "the event rate must be positive")
        require(self.seed >= 0, "the seed cannot be negative")
        require(
            bool(self.classes) and all(0 <= c < len(CLASS_NAMES) for c in self.classes),
            f"classes are numbers from 0 to {len(CLASS_NAMES) - 1}, at least one",
        )
        weights = self.weights
        require(
            len(weights) == len(self.classes) and min(weights) >= 0 and sum(weights) > 0,
            "class weights are one non-negative number for each class, not all zero",
        )
        require(self.objects >= 0, "the number of objects cannot be negative")
        require(self.labelled_every >= 1, "labelled_every counts windows, from 1 up")
        require(0 <= self.noise < 1, "the share of noise is from 0 to below 1")
        require(self.refractory_us >= 0, "the refractory time cannot be negative")
        require(
            self.frames_per_window >= 1 and WINDOW_US % self.frames_per_window == 0,
            f"frames a window must divide {WINDOW_US} µs evenly, such as 5, 8 or 10",
        )

    @property
    def shards(self) -> int:
        """Shards a recording; a trailing part of fewer than ten windows is thrown away."""
        return int(self.seconds * 1_000_000 + 0.5) // _SHARD_US

    @property
    def weights(self) -> tuple[float, ...]:
        if self.class_weights is not None:
            return self.class_weights
        traffic = (0.20, 0.10, 0.45, 0.07, 0.06, 0.07, 0.05)
        return tuple(traffic[c] for c in self.classes)


@dataclass(frozen=True)
class SimulatedRecording:
    """What one recording turned out to be. ``threshold``: the camera's contrast threshold."""

    id: str
    windows: int
    events: int
    boxes: int
    threshold: float


@dataclass(frozen=True)
class SimulationSummary:
    """What was written: every recording, and every defect planted afterwards."""

    recordings: tuple[SimulatedRecording, ...]
    defects: tuple[PlantedDefect, ...]


def simulate_release(
    root: Path,
    settings: SimulationSettings,
    progress: Callable[[int], None] | None = None,
    processes: int = 1,
) -> SimulationSummary:
    """Write a simulated release tree to ``root``, which appears whole or not at all.

    ``progress`` is called with the number of windows just finished, after each recording. Next to
    the splits stands ``simulation.json``: ``format`` and ``version``; ``settings``, the fields of
    :class:`SimulationSettings`; ``recordings``, those of :class:`SimulatedRecording` (before
    defects); ``defects``, those of :class:`pipeline.planted_defects.PlantedDefect`.
    Raises :class:`UsageError` when ``root`` exists and is not an empty folder, or the defects do
    not fit into the recordings.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: exists and is not empty; give a new folder, or remove it first.")
    root.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".partial", dir=root.parent))
    try:
        recordings = []
        for recording in _simulate_all(beside, settings, processes):
            recordings.append(recording)
            if progress:
                progress(recording.windows)
        recordings.sort(key=lambda r: r.id)
        write_sensors(beside, {r.id: settings.sensor for r in recordings})
        rng = np.random.default_rng([settings.seed, len(SPLITS)])
        planted = plant_defects(beside, settings.defects, settings.sensor, rng)
        summary = SimulationSummary(tuple(recordings), tuple(planted))
        record = {
            "format": RECORD_FORMAT,
            "version": RECORD_VERSION,
            "settings": dataclasses.asdict(settings),
            **dataclasses.asdict(summary),
        }
        (beside / RECORD_NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        beside.chmod(0o777 & ~_umask())
        if root.exists():
            root.rmdir()
        os.replace(beside, root)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return summary


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _simulate_all(
    root: Path, settings: SimulationSettings, processes: int
) -> Iterator[SimulatedRecording]:
    jobs = [(split, i) for split in SPLITS for i in range(settings.recordings.get(split, 0))]
    if processes == 1:
        for split, index in jobs:
            yield simulate_recording(root, settings, split, index)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=spawn) as pool:
        futures = [pool.submit(simulate_recording, root, settings, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def recording_id(settings: SimulationSettings, split: str, index: int) -> str:
    """``split/filelist/name`` of a simulated recording."""
    filelist = f"{split}filelist{index // _RECORDINGS_PER_FILELIST:02d}"
    return f"{split}/{filelist}/sim_{settings.seed:06d}_{split}_{index:04d}"


def simulate_recording(
    root: Path, settings: SimulationSettings, split: str, index: int
) -> SimulatedRecording:
    """Simulate one recording and write its shards under ``root``."""
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), index])
    identity = recording_id(settings, split, index)
    width, height = settings.sensor
    density = settings.rate / (width * height)
    scene = Scene(
        settings.sensor,
        (SKIP_US * 1e-6, (SKIP_US + settings.shards * _SHARD_US) * 1e-6),
        settings.classes,
        settings.weights,
        settings.objects,
        activity=float(np.clip(np.sqrt(density / _CALM_DENSITY), 0.25, 2.5)),
        rng=rng,
    )
    first = SKIP_US // WINDOW_US
    begin = SKIP_US - _SETTLING_WINDOWS * WINDOW_US
    threshold = _calibrate(scene, settings, rng)
    camera = EventCamera(
        CameraSettings(
            threshold,
            refractory_us=settings.refractory_us,
            noise_hz=settings.noise * settings.rate * 1e6 / WINDOW_US,
        ),
        scene.draw(begin * 1e-6),
        begin,
        rng,
    )
    for k in range(first - _SETTLING_WINDOWS, first):
        _window_events(scene, camera, settings, k)
    events_total = boxes_total = 0
    for shard in range(settings.shards):
        numbers = range(first + shard * WINDOWS_PER_SHARD, first + (shard + 1) * WINDOWS_PER_SHARD)
        events = [_window_events(scene, camera, settings, k) for k in numbers]
        labels = [_window_labels(scene, settings, k) for k in numbers]
        write_shard(root, identity, numbers[0] // WINDOWS_PER_SHARD, events, labels)
        events_total += sum(map(len, events))
        boxes_total += sum(map(len, labels))
    return SimulatedRecording(
        identity, settings.shards * WINDOWS_PER_SHARD, events_total, boxes_total, threshold
    )


def _calibrate(scene: Scene, settings: SimulationSettings, rng: np.random.Generator) -> float:
    """The contrast threshold that brings the recording near its rate.

    Found on every ``step``-th pixel of a few stretches of the recording, each with some windows
    before those counted, in which the pixels' references settle.
    """
    width, height = scene.sensor
    step = max(1, round(np.sqrt(width * height / _PROBE_PIXELS)))
    frame_us = WINDOW_US // settings.frames_per_window
    windows = settings.shards * WINDOWS_PER_SHARD
    settling = _SETTLING_WINDOWS * settings.frames_per_window
    frames = settling + _PROBE_WINDOWS * settings.frames_per_window + 1
    runs = []
    for probe in range(_PROBES):
        counted = SKIP_US + int((probe + 0.5) / _PROBES * windows) * WINDOW_US
        times = counted + (np.arange(frames) - settling) * frame_us
        runs.append(np.stack([scene.draw(t * 1e-6, step).ravel() for t in times.tolist()]))
    share = runs[0].shape[1] / (width * height)  # of the sensor's pixels
    wanted = settings.rate * (1 - settings.noise) * share * _PROBE_WINDOWS
    return threshold_for_rate(runs, settling, frame_us, wanted, settings.refractory_us, rng)


def _window_events(
    scene: Scene, camera: EventCamera, settings: SimulationSettings, window: int
) -> np.ndarray:
    """Events of window number ``window`` of the recording's clock, ``EVENT_DTYPE [N]``."""
    start, frame_us = window * WINDOW_US, WINDOW_US // settings.frames_per_window
    times = [start + (k + 1) * frame_us for k in range(settings.frames_per_window)]
    return np.concatenate(
        [np.empty(0, EVENT_DTYPE), *(camera.show(scene.draw(t * 1e-6), t) for t in times)]
    )


def _window_labels(scene: Scene, settings: SimulationSettings, window: int) -> np.ndarray:
    """Boxes at the window's middle, ``LABEL_DTYPE [M]``; none in windows without annotation."""
    if window % settings.labelled_every:
        return np.empty(0, LABEL_DTYPE)
    t = window * WINDOW_US + WINDOW_US // 2
    boxes = scene.boxes(t * 1e-6)
    labels = np.zeros(len(boxes), LABEL_DTYPE)
    labels["t"], labels["class_confidence"] = t, 1.0
    for name in ("x", "y", "w", "h", "class_id", "track_id"):
        labels[name] = [getattr(box, name) for box in boxes]
    return labels
