"""Boxes as COCO JSON, which FiftyOne, pycocotools and most detectors read.

An image is a window: its ``file_name`` is that of :func:`~pipeline.exchange.records.picture_name`, and
the keys ``recording``, ``window`` and ``t_us`` say which it is, for COCO itself has no time. An
annotation is a box: ``bbox`` is x, y, width and height in sensor pixels, ``score`` its confidence (left
out where it is no number), ``track_id`` and ``t_us`` those of the box. Categories and annotations count
from 1, for 0 is no match to pycocotools; a category is the class number and one.

Floats are written so that they are read back to the bit.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import DataError
from pipeline.exchange.records import (
    BOX_DTYPE,
    BoxSet,
    RecordingBoxes,
    check_boxes,
    picture_name,
)
from pipeline.files.documents import LARGEST_DOCUMENT
from pipeline.files.inputs import read_regular
from pipeline.files.whole import written_whole
from pipeline.release.classes import ClassNames

_DESCRIPTION = {False: "labels of event windows", True: "detections in event windows"}


def write_coco(path: Path, found: BoxSet) -> None:
    """Write boxes as one COCO JSON file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(found.class_names)]
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.write(f'{{"info": {json.dumps({"description": _DESCRIPTION[found.scored]})},\n')
        _write_rows(file, "images", _images(found))
        _write_rows(file, "annotations", _annotations(found))
        file.write(f'"categories": {json.dumps(categories)}}}\n')


def _write_rows(file: TextIO, key: str, rows: Iterable[dict[str, Any]]) -> None:
    """A list of objects, one a line: no more than one is in memory."""
    file.write(f'"{key}": [')
    for number, row in enumerate(rows):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(row))
    file.write("],\n")


def _images(found: BoxSet) -> Iterator[dict[str, Any]]:
    image = 0
    for recording in found.recordings:
        width, height = recording.sensor
        for number, t in zip(recording.numbers.tolist(), recording.times.tolist(), strict=True):
            image += 1
            yield {
                "id": image,
                "file_name": picture_name(recording.name, number),
                "width": width,
                "height": height,
                "recording": recording.name,
                "window": number,
                "t_us": t,
            }


def _annotations(found: BoxSet) -> Iterator[dict[str, Any]]:
    first, annotation = 1, 0
    for recording in found.recordings:
        for window, box in zip(recording.window.tolist(), recording.boxes.tolist(), strict=True):
            annotation += 1
            t, x, y, w, h, class_id, track_id, score = box
            row = {
                "id": annotation,
                "image_id": first + window,
                "category_id": class_id + 1,
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": 0,
                "score": score,
                "track_id": track_id,
                "t_us": t,
            }
            if not np.isfinite(score):
                del row["score"]
            yield row
        first += len(recording)


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)  # others add keys


_Id = Annotated[int, Field(ge=0, lt=1 << 53)]
_Microseconds = Annotated[int, Field(ge=-(1 << 62), le=1 << 62)]
_Pixels = Annotated[float, Field(ge=-3.4e38, le=3.4e38)]
_Unsigned = Annotated[int, Field(ge=0, lt=1 << 32)]


class _Info(_Model):
    description: str = ""


class _Image(_Model):
    id: _Id
    width: Annotated[int, Field(gt=0, lt=1 << 15)]
    height: Annotated[int, Field(gt=0, lt=1 << 15)]
    recording: str
    window: Annotated[int, Field(ge=0, lt=1 << 31)]
    t_us: _Microseconds


class _Annotation(_Model):
    image_id: _Id
    category_id: _Id
    bbox: tuple[_Pixels, _Pixels, _Pixels, _Pixels]
    score: Annotated[float, Field(ge=-3.4e38, le=3.4e38)] | None = None
    track_id: _Unsigned = 0
    t_us: _Microseconds | None = None


class _Category(_Model):
    id: _Id
    name: str


class _Document(_Model):
    info: _Info = _Info()
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class _Names(_Model):
    names: ClassNames


def read_coco(path: Path) -> BoxSet:
    """The boxes of a COCO JSON file whose images say their recording, window and time.

    Boxes of a window keep the order of the file. A box without ``t_us`` has its window's, and one
    without ``score`` has none (it is no number).

    Raises:
        UsageError: it is no regular file, or larger than such a file may be.
        DataError: it is no such file.
        OSError: it cannot be read.
    """
    try:
        document = _Document.model_validate_json(read_regular(path, LARGEST_DOCUMENT))
        categories = sorted(document.categories, key=lambda category: category.id)
        names = _Names(names=tuple(category.name for category in categories)).names
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"])) or "it"
        raise DataError(
            f"{path}: is no COCO JSON of windows ({place[:100]}: {problem['msg']}); images need "
            "recording, window and t_us, as `dmanet-data export` writes them."
        ) from None
    class_of = {category.id: k for k, category in enumerate(categories)}
    if len(class_of) < len(categories):
        raise DataError(f"{path}: two categories have one id; write it again.")
    scored = document.info.description == _DESCRIPTION[True]
    return check_boxes(BoxSet(_recordings(document, class_of, path), names, scored), str(path))


def _recordings(
    document: _Document, class_of: dict[int, int], path: Path
) -> tuple[RecordingBoxes, ...]:
    images = {image.id: image for image in document.images}
    if len(images) < len(document.images):
        raise DataError(f"{path}: two images have one id; write it again.")
    boxes: dict[int, list[tuple[Any, ...]]] = {image: [] for image in images}
    for box in document.annotations:
        if box.image_id not in images or box.category_id not in class_of:
            raise DataError(
                f"{path}: a box is of image {box.image_id} and category {box.category_id}, and one of "
                "them is not there; write it again."
            )
        t = images[box.image_id].t_us if box.t_us is None else box.t_us
        score = np.nan if box.score is None else box.score
        boxes[box.image_id].append((t, *box.bbox, class_of[box.category_id], box.track_id, score))
    by_recording: dict[str, list[_Image]] = {}
    for image in document.images:
        by_recording.setdefault(image.recording, []).append(image)
    return tuple(_recording(name, own, boxes, path) for name, own in by_recording.items())


def _recording(
    name: str, images: list[_Image], boxes: dict[int, list[tuple[Any, ...]]], path: Path
) -> RecordingBoxes:
    images = sorted(images, key=lambda image: image.window)
    sensors = {(image.width, image.height) for image in images}
    if len(sensors) > 1:
        raise DataError(f"{path}: images of {name[:80]!r} differ in size; write it again.")
    rows = [row for image in images for row in boxes[image.id]]
    return RecordingBoxes(
        name,
        sensors.pop(),
        np.array([image.window for image in images], np.int64),
        np.array([image.t_us for image in images], np.int64),
        np.repeat(np.arange(len(images)), [len(boxes[image.id]) for image in images]),
        np.array(rows, BOX_DTYPE),
    )
