"""The formats of boxes by name and by a file's suffix: what is written for a name, and what is read."""

import stat
from pathlib import Path

from pipeline.errors import DataError, UsageError
from pipeline.exchange.box_files import ENDING, write_box_file, write_box_folder
from pipeline.exchange.box_hdf5 import read_hdf5, write_hdf5
from pipeline.exchange.coco import read_coco, write_coco
from pipeline.exchange.records import BoxSet
from pipeline.exchange.yolo import DATASET, read_yolo, write_yolo
from pipeline.exchange.yolo import PICTURES as YOLO_PICTURES
from pipeline.files.whole import folder_written_whole

#: Of a COCO folder, as FiftyOne's `COCODetectionDataset` has it.
COCO_FILE = "labels.json"
HDF5_FILE = "boxes.h5"
#: Where pictures go in folders of formats that have them.
PICTURES = {"coco": "data", "yolo": YOLO_PICTURES}
#: What can be a folder.
FORMATS = ("coco", "yolo", "npy", "h5")
_WRITERS = {".npy": write_box_file, ".json": write_coco, ".h5": write_hdf5, ".hdf5": write_hdf5}
SUFFIXES = "NAME.npy (Prophesee), NAME.json (COCO), NAME.h5, or a new folder NAME (YOLO)"


def fill_folder(folder: Path, form: str, found: BoxSet) -> None:
    """Write boxes into an empty folder, which a caller makes appear whole.

    Args:
        folder: that is there.
        form: one of :data:`FORMATS`.
        found: what to write.

    Raises:
        OSError: it cannot be written.
    """
    if form == "coco":
        write_coco(folder / COCO_FILE, found)
    elif form == "yolo":
        write_yolo(folder, found)
    elif form == "h5":
        write_hdf5(folder / HDF5_FILE, found)
    else:
        write_box_folder(folder, found)


def check_suffix(path: Path) -> None:
    """Check that the name of a file, or of a YOLO folder, says in which format boxes go there.

    Raises:
        UsageError: it does not.
    """
    if path.suffix.lower() not in ("", *_WRITERS):
        raise UsageError(f"{path}: boxes have no format {path.suffix}; give {SUFFIXES}.")


def save_boxes(path: Path, found: BoxSet) -> None:
    """Write boxes in the format that the name says, whole or not at all.

    Raises:
        UsageError: no format has such a suffix, a YOLO folder is there already, or the format takes
            one recording and there are several.
        OSError: it cannot be written.
    """
    check_suffix(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is not None:
        write(path, found)
        return
    with folder_written_whole(path) as folder:
        write_yolo(folder, found)


def load_boxes(path: Path) -> BoxSet:
    """The boxes that :func:`save_boxes` or :func:`fill_folder` wrote, the format told by what is there.

    Raises:
        DataError: it is none of these formats, or damaged.
        UsageError: it is a pipe or the like, or Prophesee's, which says neither sensor nor class names.
        OSError: it cannot be read.
    """
    if stat.S_ISDIR(path.stat().st_mode):
        for file in (path / COCO_FILE, path / HDF5_FILE):
            if file.exists():
                return load_boxes(file)
        if (path / DATASET).exists():
            return read_yolo(path)
        if any(path.rglob(f"*{ENDING}")):
            raise UsageError(
                f"{path}: files of Prophesee's format say neither sensor nor classes; `dmanet evaluate "
                "--gt` and `dmanet-data ingest` read them as they are."
            )
    elif path.suffix.lower() == ".json":
        return read_coco(path)
    elif path.suffix.lower() in (".h5", ".hdf5"):
        return read_hdf5(path)
    raise DataError(
        f"{path}: holds no boxes that can be read; give COCO JSON, a YOLO folder or HDF5 boxes that "
        "`dmanet-data export` or `dmanet predict --save` wrote."
    )
