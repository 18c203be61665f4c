"""Boxes as a YOLO folder: the layout of Ultralytics, which FiftyOne reads as `YOLOv5Dataset`.

``dataset.yaml`` names the classes, ``labels/<recording>/window_00012.txt`` has one line a box: class,
centre x, centre y, width and height as shares of the sensor, and for detections the score. Pictures,
where there are any, lie at the same places below ``images/``. What YOLO has no place for stands in
``windows.json``: sensor sizes and times. Tracks and times of single boxes are lost: they are read
back as 0 and as the window's begin; so are the confidences of labels, which are read back as 1.

Shares and scores have nine decimals: a place or size within the sensor is read back to 1/1000 pixel, a
score to 1e-7.
"""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import Field

from pipeline.errors import DataError, SettingsError
from pipeline.exchange.records import (
    BOX_DTYPE,
    BoxSet,
    RecordingBoxes,
    check_boxes,
    picture_name,
)
from pipeline.files.documents import LARGEST_DOCUMENT, MalformedError, parse_json, parse_yaml
from pipeline.files.inputs import read_regular
from pipeline.release.classes import ClassNames
from pipeline.release.shards import SPLITS
from pipeline.settings import Settings, load_settings

DATASET = "dataset.yaml"
WINDOWS = "windows.json"
PICTURES = "images"
_LABELS = "labels"
_LARGEST_LABELS = 4 << 20  # bytes of one window's boxes
_LARGEST_SHARE = 1e6  # of a place: boxes may leave the sensor, but not for another continent


def write_yolo(folder: Path, found: BoxSet) -> None:
    """Write boxes into an existing folder, which a caller makes appear whole.

    Raises:
        OSError: it cannot be written.
    """
    splits = {_split(recording.name) for recording in found.recordings}
    places = {split: f"{PICTURES}/{split}" for split in SPLITS if split in splits}
    if None in splits:  # of no split: readers look for `val` when they are told nothing else
        places = {"val": PICTURES}
    document = {**places, "names": list(found.class_names)}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / DATASET).write_text(text, encoding="utf-8")
    windows = _Windows(
        scored=found.scored,
        recordings=tuple(
            _Recording(
                name=one.name,
                sensor=one.sensor,
                windows=tuple(one.numbers.tolist()),
                t_us=tuple(one.times.tolist()),
            )
            for one in found.recordings
        ),
    )
    (folder / WINDOWS).write_text(windows.model_dump_json(), encoding="utf-8")
    (folder / _LABELS).mkdir()
    for recording in found.recordings:
        (folder / _LABELS / recording.name).mkdir(parents=True, exist_ok=True)
        bounds = recording.bounds()
        for k, number in enumerate(recording.numbers.tolist()):
            boxes = recording.boxes[bounds[k] : bounds[k + 1]]
            path = folder / _labels_of(recording.name, number)
            path.write_text(_lines(boxes, recording.sensor, found.scored))


def _split(name: str) -> str | None:
    first = name.split("/")[0]
    return first if first in SPLITS else None


def _labels_of(recording: str, number: int) -> Path:
    return (Path(_LABELS) / picture_name(recording, number)).with_suffix(".txt")


def _lines(boxes: np.ndarray, sensor: tuple[int, int], scored: bool) -> str:
    x, y, w, h = (boxes[name].astype(np.float64) for name in "xywh")
    width, height = sensor
    columns = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    if scored:
        columns.append(boxes["class_confidence"].astype(np.float64))
    rows = zip(boxes["class_id"].tolist(), *(column.tolist() for column in columns), strict=True)
    return "".join(
        " ".join([str(class_id), *(f"{value:.9f}" for value in values)]) + "\n"
        for class_id, *values in rows
    )


_Number = Annotated[int, Field(ge=0, lt=1 << 31)]
_Side = Annotated[int, Field(gt=0, lt=1 << 15)]


class _Recording(Settings, strict=True):
    name: str
    sensor: tuple[_Side, _Side]
    windows: tuple[_Number, ...]
    t_us: tuple[Annotated[int, Field(ge=-(1 << 62), le=1 << 62)], ...]


class _Windows(Settings, strict=True):
    scored: bool
    recordings: tuple[_Recording, ...]


class _Names(Settings, strict=True):
    names: ClassNames


def read_yolo(folder: Path) -> BoxSet:
    """The boxes of such a folder, ``windows.json`` among its files.

    Raises:
        DataError: it is none, or a line is no box.
        OSError: a file cannot be read.
    """
    names = _class_names(folder / DATASET)
    try:
        content = parse_json(read_regular(folder / WINDOWS, LARGEST_DOCUMENT))
        if not isinstance(content, dict):
            raise MalformedError("it is no object")
        windows = load_settings(
            _Windows, content, str(folder / WINDOWS), complete=True, converted=False
        )
    except FileNotFoundError:
        raise DataError(
            f"{folder}: has no {WINDOWS}, which says the sensors and times that YOLO's files have no "
            "place for; give a folder that `dmanet-data export` wrote."
        ) from None
    except (MalformedError, SettingsError) as error:
        raise DataError(f"{folder / WINDOWS}: cannot be read ({error}).") from None
    empty = tuple(_without_boxes(one, folder) for one in windows.recordings)
    # Names are looked at before they lead anywhere.
    check_boxes(BoxSet(empty, names, windows.scored), str(folder))
    recordings = tuple(_with_boxes(one, folder, windows.scored) for one in empty)
    return check_boxes(BoxSet(recordings, names, windows.scored), str(folder))


def _class_names(path: Path) -> tuple[str, ...]:
    try:
        content = parse_yaml(read_regular(path, _LARGEST_LABELS).decode())
        names = content.get("names") if isinstance(content, dict) else None
        return load_settings(_Names, {"names": names}, str(path), converted=False).names
    except FileNotFoundError:
        raise DataError(f"{path.parent}: has no {path.name}; give a YOLO folder.") from None
    except (MalformedError, SettingsError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a YOLO dataset ({error}).") from None


def _without_boxes(one: _Recording, folder: Path) -> RecordingBoxes:
    if len(one.windows) != len(one.t_us):
        raise DataError(f"{folder / WINDOWS}: windows and t_us differ in length; export it again.")
    return RecordingBoxes(
        one.name,
        one.sensor,
        np.array(one.windows, np.int64),
        np.array(one.t_us, np.int64),
        np.empty(0, np.int64),
        np.empty(0, BOX_DTYPE),
    )


def _with_boxes(one: RecordingBoxes, folder: Path, scored: bool) -> RecordingBoxes:
    windows = []
    for number, t in zip(one.numbers.tolist(), one.times.tolist(), strict=True):
        path = folder / _labels_of(one.name, number)
        boxes = _parsed(path, one.sensor, scored)
        boxes["t"] = t
        windows.append(boxes)
    return RecordingBoxes(
        one.name,
        one.sensor,
        one.numbers,
        one.times,
        np.repeat(np.arange(len(windows)), [len(boxes) for boxes in windows]),
        np.concatenate([*windows, np.empty(0, BOX_DTYPE)]),
    )


def _parsed(path: Path, sensor: tuple[int, int], scored: bool) -> np.ndarray:
    """The boxes of one window, times still 0."""
    try:
        lines = read_regular(path, _LARGEST_LABELS).decode("ascii").splitlines()
    except FileNotFoundError:
        lines = []  # as YOLO has it, a picture without boxes needs no file
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text of numbers; export it again.") from None
    boxes = np.zeros(len(lines), BOX_DTYPE)
    for k, line in enumerate(lines):
        values = _numbers(line.split(), 6 if scored else 5)
        if values is None:
            raise DataError(
                f"{path}: line {k + 1} is not class, x, y, width and height"
                f"{' and score' if scored else ''}; export it again."
            )
        class_id, x, y, w, h, *score = values
        boxes[k] = (
            0,
            (x - w / 2) * sensor[0],
            (y - h / 2) * sensor[1],
            w * sensor[0],
            h * sensor[1],
            int(class_id),
            0,
            score[0] if scored else 1,
        )
    return boxes


def _numbers(words: list[str], count: int) -> list[float] | None:
    """``count`` finite numbers, the first of them a class."""
    if len(words) != count or not words[0].isdigit() or len(words[0]) > 3:
        return None
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    if not all(math.isfinite(v) and abs(v) < _LARGEST_SHARE for v in values):
        return None
    return values
