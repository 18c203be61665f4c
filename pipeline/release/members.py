"""A shard's members as events and boxes: by field name, of any integer width, every value checked.

No value is bent to fit: a whole number that another layout cannot hold, or a number that is not
whole where one belongs, makes the window's events or boxes unusable.
"""

import numpy as np

from pipeline.defects import Defect
from pipeline.errors import ShardError
from pipeline.release.npz import NpzFile
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE

MOST_EVENTS = 3_000_000  # of a window; the release's mean is 250 000
MOST_BOXES = 1_000  # of a window; the release's mean is 6
_LABEL_ALIASES = {"ts": "t", "confidence": "class_confidence"}


def as_events(array: np.ndarray, source: str) -> np.ndarray:
    """Return ``array`` as ``EVENT_DTYPE [N]``; no copy when it has that layout already.

    Args:
        array: Records with the fields t, x, y, p of any integer width, or an integer array ``[N, 4]``
            with these columns.
        source: Names the member in errors.

    Raises:
        ShardError: Another dtype or shape, more than :data:`MOST_EVENTS`, values that do not fit, or
            a polarity that is neither 0 nor 1.
    """
    if array.ndim and len(array) > MOST_EVENTS:
        raise ShardError(
            f"{source}: {len(array)} events, and a window may have {MOST_EVENTS}; "
            "write the recording again with shorter windows.",
            Defect.TOO_LARGE,
        )
    if array.dtype == EVENT_DTYPE and array.ndim == 1:
        events = array
    elif array.dtype.names is None and array.ndim == 2 and array.shape[1] == 4:
        events = _to_event_records({n: array[:, i] for i, n in enumerate("txyp")}, source)
    elif array.dtype.names and set("txyp") <= set(array.dtype.names) and array.ndim == 1:
        events = _to_event_records({name: array[name] for name in "txyp"}, source)
    else:
        raise ShardError(
            f"{source}: events have dtype {array.dtype} and shape {array.shape}; "
            "expected the fields t, x, y, p or four integer columns.",
            Defect.WRONG_DTYPE,
        )
    if len(events) and events["p"].max() > 1:
        raise ShardError(
            f"{source}: a polarity is {events['p'].max()}; only 0 and 1 have a meaning, "
            "convert the recording again.",
            Defect.BAD_POLARITY,
        )
    return events


def _to_event_records(columns: dict[str, np.ndarray], source: str) -> np.ndarray:
    events = np.empty(len(columns["t"]), EVENT_DTYPE)
    for name, column in columns.items():
        if column.dtype.kind == "b":
            column = column.view(np.uint8)
        if column.dtype.kind not in "iu" or column.ndim != 1:
            raise ShardError(
                f"{source}: event field '{name}' has dtype {column.dtype} and shape {column.shape}; "
                "expected one integer for each event.",
                Defect.WRONG_DTYPE,
            )
        limit = np.iinfo(EVENT_DTYPE[name]).max
        if len(column) and (column.min() < 0 or (name != "p" and column.max() > limit)):
            raise ShardError(
                f"{source}: event field '{name}' leaves the range 0…{limit}; "
                "convert the recording again.",
                Defect.BAD_POLARITY if name == "p" else Defect.WRONG_DTYPE,
            )
        if name == "p":  # whatever is above 1 is refused by the caller
            column = np.minimum(column, min(limit, int(np.iinfo(column.dtype).max)))
        events[name] = column
    return events


def as_labels(array: np.ndarray, source: str) -> np.ndarray:
    """Return ``array`` as ``LABEL_DTYPE [M]``, read by field name.

    A class that is a whole number beyond 0…255 becomes 255, which is no class either. Coordinates
    and confidences beyond float32 become infinite, as the count of defects will say.

    Args:
        array: Records with the release's fields in any order, or with the original box files' names
            (``ts``, ``confidence``).
        source: Names the member in errors.

    Raises:
        ShardError: A field is missing, does not hold one number for each box, or does not hold whole
            numbers that fit (time, class, track).
    """
    if array.dtype == LABEL_DTYPE and array.ndim == 1:
        return array
    names = {_LABEL_ALIASES.get(name, name): name for name in array.dtype.names or ()}
    if array.size == 0 and not names:
        return np.empty(0, LABEL_DTYPE)  # some tools write an empty float array for "no boxes"
    required = {"t", "x", "y", "w", "h", "class_id"}
    if array.ndim != 1 or not required <= names.keys():
        missing = ", ".join(sorted(required - names.keys())) or "one dimension"
        raise ShardError(
            f"{source}: labels have dtype {array.dtype}; missing: {missing}.", Defect.WRONG_DTYPE
        )
    labels = np.zeros(len(array), LABEL_DTYPE)
    for field in LABEL_DTYPE.names or ():
        if field not in names:
            continue
        column = array[names[field]]
        if column.dtype.kind not in "biuf" or column.ndim != 1:
            raise ShardError(
                f"{source}: label field '{field}' has dtype {column.dtype} and shape {column.shape}; "
                "expected one number for each box.",
                Defect.WRONG_DTYPE,
            )
        if LABEL_DTYPE[field].kind == "u":
            column = _whole_numbers(column, field, source)
        with np.errstate(over="ignore"):
            labels[field] = column
    return labels


def _whole_numbers(column: np.ndarray, field: str, source: str) -> np.ndarray:
    """``column`` as numbers that fit into ``field`` of the release's labels."""
    limit = int(np.iinfo(LABEL_DTYPE[field]).max)
    if column.dtype.kind == "f":
        column = column.astype(np.float64)
        if not (np.isfinite(column) & (np.floor(column) == column)).all():
            raise ShardError(
                f"{source}: label field '{field}' holds numbers that are not whole; "
                "write the boxes again.",
                Defect.WRONG_DTYPE,
            )
        # Below 2⁵³ a float64 is as good as an integer; no time or track is beyond.
        fits = (column >= 0) & (column < min(limit + 1, 1 << 53))
        whole = np.where(fits, column, 0).astype(np.uint64)
    else:
        fits = (column >= 0) & (column.astype(np.uint64) <= limit)
        whole = column
    if field == "class_id":  # a wider class number must not wrap into a valid one
        return np.where(fits, whole, limit)
    if not fits.all():
        raise ShardError(
            f"{source}: label field '{field}' leaves the range 0…{limit}; write the boxes again.",
            Defect.WRONG_DTYPE,
        )
    return whole


def read_events(shard: NpzFile, window: int) -> np.ndarray:
    """Events of one window of an open shard, ``EVENT_DTYPE [N]``; raises :class:`ShardError`."""
    return as_events(shard.read(f"e{window}"), f"{shard.path}, member e{window}")


def read_labels(shard: NpzFile, window: int) -> np.ndarray:
    """Boxes of one window of an open shard, ``LABEL_DTYPE [M]``.

    Raises:
        ShardError: They cannot be read, or are more than :data:`MOST_BOXES`.
    """
    source = f"{shard.path}, member l{window}"
    array = shard.read(f"l{window}")
    if array.ndim and len(array) > MOST_BOXES and array.size:
        raise ShardError(
            f"{source}: {len(array)} boxes, and a window may have {MOST_BOXES}; "
            "write the labels again.",
            Defect.TOO_LARGE,
        )
    return as_labels(array, source)
