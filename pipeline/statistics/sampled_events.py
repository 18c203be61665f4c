"""What the events of a few windows of a manifest tell: hot pixels, and what each preset drops."""

from collections.abc import Iterator
from dataclasses import asdict, fields

import numpy as np

from pipeline.errors import DataError
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import PackedWindow, Workspace, pack_window
from pipeline.pillars.settings import PillarSettings, Preset
from pipeline.release.npz import NpzFile
from pipeline.release.opened import open_events
from pipeline.release.shards import WINDOWS_PER_SHARD, ShardFiles, shard_path
from pipeline.release.windows import read_window
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import Manifest
from pipeline.statistics.hot_spots import find_hot_spots
from pipeline.statistics.schema import HotSpotStatistics, PresetLosses, PresetStatistics

SAMPLE_WINDOWS = 64
SAMPLE_SEED = 0
_PRESETS: tuple[Preset, ...] = ("release", "paper")


def collect_from_events(
    manifest: Manifest,
) -> tuple[HotSpotStatistics | None, PresetStatistics | None]:
    """Hot pixels of the sensor that most recordings have, and what presets drop.

    Windows are drawn from those whose files are there as they were scanned; without any there is
    nothing to tell.

    Raises:
        DataError: a folder, a pipe or a device is in the place of a file.
        OSError: the machine fails to read a file.
    """
    sensors = [row.sensor for row in manifest.recordings]
    main = max(sorted(set(sensors)), key=sensors.count, default=(1, 1))
    fired = np.zeros(main[::-1], np.int64)
    losses = _Losses()
    of_main = 0
    for row, events in _sampled(manifest):
        losses.add(events, row.sensor)
        if row.sensor == main:
            inside = events[(events["x"] < main[0]) & (events["y"] < main[1])]
            in_window = np.zeros(fired.shape, bool)
            in_window[inside["y"], inside["x"]] = True
            fired += in_window
            of_main += 1
    if not losses.windows:
        return None, None
    return find_hot_spots(fired, of_main, "pixel", SAMPLE_SEED), losses.statistics()


def _sampled(manifest: Manifest) -> Iterator[tuple[RecordingEntry, np.ndarray]]:
    """Windows in an order that the seed draws, those that can be read, up to 64."""
    if manifest.labels_only or not manifest.root.is_dir():
        return
    shards = [(row, shard) for row in manifest.recordings for shard in row.shards]
    found = 0
    unreadable = set[int]()  # places of shards that are gone or others than were scanned
    for number in np.random.default_rng(SAMPLE_SEED).permutation(len(shards) * WINDOWS_PER_SHARD):
        place, member = divmod(int(number), WINDOWS_PER_SHARD)
        if place in unreadable:
            continue
        row, shard = shards[place]
        path = shard_path(manifest.root, row.id, shard.number, "events")
        if not path.exists():
            unreadable.add(place)
            continue
        file = open_events(ShardFiles(shard.number, path, None))
        if not isinstance(file.content, NpzFile) or file.sha256 != shard.event_sha256:
            unreadable.add(place)
            continue
        events = read_window(shard.number, member, file.content, None).events
        if isinstance(events, np.ndarray):
            yield row, events
            found += 1
        if found == SAMPLE_WINDOWS:
            return


class _Losses:
    """Sums of what each preset makes of windows."""

    def __init__(self) -> None:
        self.windows = 0
        self._events = 0
        self._settings: dict[str, PillarSettings] = {
            name: PillarSettings(preset=name) for name in _PRESETS
        }
        self._sums = dict.fromkeys(self._settings, _NOTHING)
        self._workspaces = Workspaces()

    def add(self, events: np.ndarray, sensor: tuple[int, int]) -> None:
        """Take in a window; one that a preset cannot hold counts for none."""
        try:
            found = {
                name: losses_of_window(events, sensor, settings, self._workspaces)
                for name, settings in self._settings.items()
            }
        except DataError:
            return
        self.windows += 1
        self._events += len(events)
        for name, losses in found.items():
            before = asdict(self._sums[name])
            limits = ("max_points", "max_pillars")
            self._sums[name] = PresetLosses(
                **{
                    key: value if key in limits else value + before[key]
                    for key, value in asdict(losses).items()
                }
            )

    def statistics(self) -> PresetStatistics:
        """What all windows gave."""
        columns, rows = PillarSettings().grid
        return PresetStatistics(
            self.windows, SAMPLE_SEED, self._events, columns, rows, dict(self._sums)
        )


class Workspaces:
    """Scratch for windows of several sensors and settings."""

    def __init__(self) -> None:
        self._made: dict[PillarEncoding, Workspace] = {}

    def of(self, encoding: PillarEncoding) -> Workspace:
        """The one of an encoding."""
        if encoding not in self._made:
            self._made[encoding] = Workspace(encoding)
        return self._made[encoding]


def losses_of_window(
    events: np.ndarray, sensor: tuple[int, int], settings: PillarSettings, places: Workspaces
) -> PresetLosses:
    """What becomes of a window's events.

    Args:
        events: ``EVENT_DTYPE [N]``, in any order.
        sensor: width and height in pixels.
        settings: to pack by.
        places: scratch, kept from window to window.

    Raises:
        DataError: the settings cannot hold the window.
    """
    encoding = PillarEncoding(settings, sensor)
    packed = pack_window(events, places.of(encoding))
    counts = packed.counts
    last = _first_in_the_last_instant(events, packed, encoding)
    encoded = without_limit = _points(packed, settings)
    capped = max(map(len, packed.pillars)) >= settings.max_pillars
    if capped:  # with room for every pillar, only full ones refuse a point
        roomy = settings.model_copy(update={"max_pillars": settings.cells})
        again = pack_window(events, places.of(PillarEncoding(roomy, sensor)))
        without_limit = _points(again, settings)
    return PresetLosses(
        max_points=settings.max_points,
        max_pillars=settings.max_pillars,
        outside=counts.read - counts.in_range,
        repeated=counts.in_range - counts.kept,
        last_instant=last,
        over_max_points=counts.kept - last - without_limit,
        over_max_pillars=without_limit - encoded,
        encoded=encoded,
        capped_windows=int(capped),
    )


_NOTHING = PresetLosses(*[0] * len(fields(PresetLosses)))


def _first_in_the_last_instant(
    events: np.ndarray, packed: PackedWindow, encoding: PillarEncoding
) -> int:
    """Events at the very end that are the first of their cell (preset release) or pixel (paper)."""
    if not packed.span:
        return 0
    width, height = encoding.sensor
    inside = events[(events["x"] < width) & (events["y"] < height)]
    x, y = inside["x"].astype(np.int64), inside["y"].astype(np.int64)
    if encoding.settings.preset == "release":
        x, y = encoding.column_of_pixel[x], encoding.row_of_pixel[y]
        width, height = encoding.settings.grid
    place = y * width + x
    is_last = inside["t"] == packed.t_first + packed.span
    before = np.zeros(width * height, bool)
    before[place[~is_last]] = True
    return len(np.unique(place[is_last & ~before[place]]))


def _points(packed: PackedWindow, settings: PillarSettings) -> int:
    """Events that became points; an empty polarity's copy of the other counts once."""
    negative, positive = map(len, packed.points)
    # A cell has one event in the preset release, so that two polarities never hold the same cells.
    is_copy = settings.preset == "release" and np.array_equal(*packed.pillars)
    return negative if is_copy else negative + positive
