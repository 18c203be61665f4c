"""Boxes as Prophesee's files: ``<recording>_bbox.npy``, records in the order of their times."""

from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.exchange.records import BoxSet
from pipeline.files.whole import written_whole

ENDING = "_bbox.npy"


def write_box_folder(folder: Path, found: BoxSet) -> None:
    """Write a file for each recording into an existing folder, which a caller makes appear whole.

    `dmanet evaluate --gt` and `--dt` read such folders, `dmanet-data ingest` such files.

    Raises:
        OSError: it cannot be written.
    """
    for recording in found.recordings:
        path = folder / f"{recording.name}{ENDING}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(path, recording.boxes)


def write_box_file(path: Path, found: BoxSet) -> None:
    """Write the boxes of one recording, whole or not at all.

    Raises:
        UsageError: there are several: the format has no place for names.
        OSError: it cannot be written.
    """
    if len(found.recordings) != 1:
        raise UsageError(
            f"{path}: an npy file holds the boxes of one recording, and there are "
            f"{len(found.recordings)}; choose one with --recording, or another format."
        )
    with written_whole(path) as unfinished:
        _save(unfinished, found.recordings[0].boxes)


def _save(path: Path, boxes: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, boxes[np.argsort(boxes["t"], kind="stable")], allow_pickle=False)
