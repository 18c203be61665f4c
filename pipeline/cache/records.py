"""The pillar cache on disk: its arrays, their columns, its settings and their fingerprint.

One zarr (format 3) group. Its attributes hold the settings; below it stands one group for each
recording, at ``<split>/<filelist>/<recording>``, with the arrays of :data:`ARRAYS`. A recording's
group appears by a rename when it is whole, so a reader never meets a part of one. ``docs/cache.md``
shows how to read a window with zarr alone.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.errors import CacheError, SettingsError
from pipeline.pillars.packing import KERNEL_VERSION, PillarSettings
from pipeline.release.labels import CLASS_NAMES, LabelRules
from pipeline.release.shards import SENSOR_SIZE

FORMAT = "dmanet-pillar-cache"
FORMAT_VERSION = 2
BUILDING = ".building"  # recordings under construction; absent from a cache at rest

#: Rows of a chunk of pillars and points: zarr alone pays a millisecond for each chunk. An array of less
#: than one chunk has a smaller one.
CHUNK_ROWS = 1 << 18
#: Rows of a chunk of the tables, which are short and wide.
TABLE_CHUNK_ROWS = 1 << 12

#: Columns of ``windows``, int64 ``[W, 11]``: one row a window.
WINDOW_COLUMNS = (
    "shard",  # number of the source shard
    "member",  # window number inside the shard, 0…9
    "t_start",  # µs, the window's begin on the recording's clock
    "t_first",  # µs, first event inside the sensor
    "span",  # µs from the first to the last event inside the sensor
    "starts",  # 1 where the window does not follow the one before it: recurrent state resets
    "events_read",
    "events_in_range",
    "events_kept",  # after deduplication
    "positive_in_range",
    "repeated",  # 1 where the policy `repeat` put the previous window in place of a broken one
)
#: Columns of ``labels_raw``, float64 ``[M, 9]``: every box of the release as it stands, sensor pixels.
RAW_LABEL_COLUMNS = (
    "batch_id",
    "t",
    "x",
    "y",
    "w",
    "h",
    "class_id",
    "class_confidence",
    "track_id",
)
#: Columns of ``labels``, float64 ``[K, 8]``: what the label rules keep, grid units.
LABEL_COLUMNS = ("batch_id", "x1", "y1", "x2", "y2", "class", "track_id", "raw_row")

#: The names of the columns of each table, stored as its attribute `columns`.
TABLE_COLUMNS = {
    "windows": WINDOW_COLUMNS,
    "labels_raw": RAW_LABEL_COLUMNS,
    "labels": LABEL_COLUMNS,
    "offsets": ("pillar", "point"),
    "label_offsets": ("labels_raw", "labels"),
}

#: Every array of a recording: what it holds. W windows, P pillars, Q points.
ARRAYS = {
    "pillars": "uint32 [P]: step << 3 | num_points, window by window, negative then positive",
    "points": "uint8, uint16 or uint32 [Q]: time bin, or dt << sub_bits | pixel in the cell",
    "batch_id": "uint32 [P]: the pillar's window number in the recording",
    "offsets": "int64 [2W+1, 2]: first pillar and first point of (window, polarity)",
    "windows": "int64 [W, 11]: see the attribute `columns`",
    "labels_raw": "float64 [M, 9]: see the attribute `columns`",
    "labels": "float64 [K, 8]: see the attribute `columns`",
    "label_offsets": "int64 [W+1, 2]: first row of each window in labels_raw and in labels",
}


Filter = Literal["shuffle", "bitshuffle"]  # of bytes or of bits, before Blosc's zstd

#: Chosen by measurement (docs/layout.md); :data:`USUAL_FILTER` for all other arrays.
FILTERS: dict[str, Filter] = {
    "pillars": "shuffle",  # steps are small: of four bytes three are mostly zero
    "batch_id": "shuffle",  # long runs
}
USUAL_FILTER: Filter = "bitshuffle"


@dataclass(frozen=True)
class CacheSettings:
    """Everything that decides what a cache holds, apart from its sources.

    Sizes are (width, height). The sensor is no setting: each recording carries its own. ``classes``
    are the release's class numbers that are kept, in output order; label sizes are sensor pixels.
    """

    preset: str = "release"
    grid: tuple[int, int] = (512, 512)
    num_bins: int = 5
    time_cells: int = 1
    max_points: int = 5
    max_pillars: int = 100_000
    dedup: str = "pixel"
    overflow: str = "skip"
    time_steps: int = 0
    min_diagonal: float = 60.0
    min_side: float = 20.0
    classes: tuple[int, ...] = field(default=(0, 1, 2, 3, 4, 5, 6))

    def __post_init__(self) -> None:
        self.pillar_settings(SENSOR_SIZE)  # refuses what no sensor could satisfy
        if not self.classes or not set(self.classes) <= set(range(len(CLASS_NAMES))):
            raise SettingsError(
                f"classes are numbers from 0 to {len(CLASS_NAMES) - 1}, at least one."
            )
        if min(self.min_diagonal, self.min_side) < 0:
            raise SettingsError("box sizes to keep are from 0 up.")

    def pillar_settings(self, sensor: tuple[int, int]) -> PillarSettings:
        """Settings of the pillar encoder for one sensor size (width, height)."""
        return PillarSettings(
            self.preset,
            sensor,
            self.grid,
            self.num_bins,
            self.time_cells,
            self.max_points,
            self.max_pillars,
            self.dedup,
            self.overflow,
            self.time_steps,
        )

    def label_rules(self, sensor: tuple[int, int]) -> LabelRules:
        """Label rules for one sensor size (width, height)."""
        return LabelRules(sensor, self.grid, self.min_diagonal, self.min_side, self.classes)


def describe(settings: CacheSettings) -> dict[str, Any]:
    """Root attributes of a cache with these settings, fingerprint included (plain JSON values)."""
    identity = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "kernel_version": KERNEL_VERSION,
        "settings": json.loads(json.dumps(asdict(settings))),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return {**identity, "fingerprint": hashlib.sha256(canonical.encode()).hexdigest()}


def group_document(attributes: dict[str, Any]) -> bytes:
    """The zarr.json of a group with these attributes, to the byte."""
    document = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    return json.dumps(document, indent=2).encode()


def check_identity(found: dict[str, Any], settings: CacheSettings, where: str) -> None:
    """Raise :class:`CacheError` naming the first key in which a cache differs from ``settings``."""
    expected = describe(settings)
    flat_found = {**found, **found.get("settings", {})}
    flat_expected = {**expected, **expected["settings"]}
    ours = "format", "version", "kernel_version"
    for key in (*ours, *expected["settings"], "fingerprint"):
        if flat_found.get(key) != flat_expected[key]:
            same = "release of this software" if key in ours else "setting"
            raise CacheError(
                f"{where}: the cache was made with {key} = {json.dumps(flat_found.get(key))}, "
                f"this run asks for {json.dumps(flat_expected[key])}; "
                f"use the same {same} or another folder."
            )


def settings_of(attributes: dict[str, Any], where: str) -> CacheSettings:
    """The settings a cache's root attributes describe.

    Raises :class:`CacheError` when they are not those of a pillar cache this version reads, or do
    not match their own fingerprint.
    """
    if attributes.get("format") != FORMAT:
        raise CacheError(
            f"{where}: not a pillar cache; make one with `dmanet-data voxelize`, "
            "or give the folder that command wrote."
        )
    for key, ours in (("version", FORMAT_VERSION), ("kernel_version", KERNEL_VERSION)):
        if attributes.get(key) != ours:
            raise CacheError(
                f"{where}: the cache has {key} {attributes.get(key)}, this release reads {ours}; "
                "build the cache again, or use the release that wrote it."
            )
    try:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in attributes["settings"].items()
        }
        settings = CacheSettings(**values)
    except (KeyError, TypeError, AttributeError, SettingsError) as error:
        raise CacheError(
            f"{where}: the cache's settings cannot be read ({error}); build it again."
        ) from None
    if describe(settings)["fingerprint"] != attributes.get("fingerprint"):
        raise CacheError(
            f"{where}: the cache's settings do not match their fingerprint; they were edited "
            "after it was made, build it again."
        )
    return settings
