"""The pillar cache on disk: its arrays, their columns, its settings, its attributes and digests.

One zarr (format 3) group. Its attributes hold the settings; below it stands one group for each
recording, at ``<split>/<filelist>/<recording>``, with the arrays of :data:`ARRAYS`. A recording's
group appears by a rename when it is whole, so a reader never meets a part of one. ``docs/cache.md``
shows how to read a window with zarr alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from pipeline.cache.settings import UNSAID, CacheSettings
from pipeline.errors import CacheError, SettingsError
from pipeline.pillars.bit_layout import KERNEL_VERSION
from pipeline.settings import load_settings

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
    "events_kept",  # after deduplication; those of the last instant, which no pillar has, too
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

_DTYPES = {"pillars": "<u4", "batch_id": "<u4", "labels_raw": "<f8", "labels": "<f8"}


def dtype_of(name: str, point_dtype: np.dtype) -> np.dtype:
    """Type of an array of :data:`ARRAYS`; that of the points depends on the preset and the sensor."""
    return point_dtype if name == "points" else np.dtype(_DTYPES.get(name, "<i8"))


Filter = Literal["shuffle", "bitshuffle"]  # of bytes or of bits, before Blosc's zstd

#: Chosen by measurement (docs/layout.md); :data:`USUAL_FILTER` for all other arrays.
FILTERS: dict[str, Filter] = {
    "pillars": "shuffle",  # steps are small: of four bytes three are mostly zero
    "batch_id": "shuffle",  # long runs
}
USUAL_FILTER: Filter = "bitshuffle"


def array_digest(names: Iterable[str], read: Callable[[str], bytes]) -> str:
    """sha256 over a stored array: its zarr.json and chunk files, names and bytes.

    Args:
        names: every file below the array's folder, relative to it, with ``/`` between folders.
        read: gives the bytes of a file by its name.
    """
    digest = hashlib.sha256()
    for name in sorted(names, key=lambda name: name.split("/")):
        data = read(name)
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def attributes_digest(attributes: Mapping[str, Any]) -> str:
    """sha256 of a recording's attributes without their own ``digest``."""
    plain = {key: value for key, value in attributes.items() if key != "digest"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def describe(settings: CacheSettings) -> dict[str, Any]:
    """Root attributes of a cache with these settings (plain JSON values).

    Returns:
        ``format``, ``version``, ``kernel_version``, ``settings`` as
        :meth:`CacheSettings.stored` gives them, and ``fingerprint``, the sha256 of the others.
    """
    identity = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "kernel_version": KERNEL_VERSION,
        "settings": json.loads(json.dumps(settings.stored())),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return {**identity, "fingerprint": hashlib.sha256(canonical.encode()).hexdigest()}


def group_document(attributes: Mapping[str, Any]) -> bytes:
    """The zarr.json of a group with these attributes, to the byte."""
    document = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    return json.dumps(document, indent=2).encode()


def check_identity(found: dict[str, Any], settings: CacheSettings, where: str) -> None:
    """Check that a cache was made with ``settings``.

    Args:
        found: root attributes of the cache.
        settings: that are asked for.
        where: the cache, for the message.

    Raises:
        CacheError: it was not; the message names the first key in which they differ.
    """
    expected = describe(settings)
    stored = found.get("settings")
    flat_found = {**found, **_with_unsaid(stored if isinstance(stored, dict) else {})}
    flat_expected = {**expected, **_with_unsaid(expected["settings"])}
    ours = "format", "version", "kernel_version"
    for key in (*ours, *CacheSettings.model_fields, "fingerprint"):
        if flat_found.get(key) != flat_expected[key]:
            same = "release of this software" if key in ours else "setting"
            raise CacheError(
                f"{where}: the cache was made with {key} = {json.dumps(flat_found.get(key))}, "
                f"this run asks for {json.dumps(flat_expected[key])}; "
                f"use the same {same} or another folder."
            )


def _with_unsaid(stored: dict[str, Any]) -> dict[str, Any]:
    """A cache's stored settings with those that may go without saying."""
    return {**json.loads(json.dumps(UNSAID)), **stored}


def settings_of(attributes: dict[str, Any], where: str) -> CacheSettings:
    """The settings a cache's root attributes describe, read whole and strictly.

    Args:
        attributes: of the root group, as stored.
        where: the cache, for the message.

    Raises:
        CacheError: they are not those of a pillar cache this version reads, a setting is missing,
            unknown or wrong, or they do not match their own fingerprint.
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
    stored = attributes.get("settings")
    try:
        settings = load_settings(
            CacheSettings,
            _with_unsaid(stored if isinstance(stored, dict) else {}),
            f"{where}: the cache's settings",
            complete=True,
        )
    except SettingsError as error:
        raise CacheError(f"{str(error).rstrip('.')}; build it again.") from None
    # As text: 1, 1.0 and true are equal, and not the same.
    canonical = [json.dumps(one, sort_keys=True) for one in (describe(settings), attributes)]
    if canonical[0] != canonical[1]:
        raise CacheError(
            f"{where}: the cache's settings do not match their fingerprint; they were edited "
            "after it was made, build it again."
        )
    return settings
