"""Sizes of event files that are elsewhere, from a listing that people have of their drive.

A listing is what `rclone lsl`, `rclone lsf --format ps`, `ls -lR` or a table `path,bytes` gives; which
of them it is, its first line with a file tells. Every line has to fit.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.files.inputs import read_regular
from pipeline.release.shards import SPLITS
from pipeline.selection.manifest import Manifest

_LARGEST = 64 << 20  # bytes; the release's 58 000 files take six million
_LONGEST_LINE = 1 << 13  # characters
_MOST_BYTES = 1 << 50  # of a file
_EVENT_FILE = re.compile(rf"(?:.*/)?(({'|'.join(SPLITS)})/[^/]+)/events/([^/]+)/ev(\d{{1,9}})\.npz")

_SIZE = r"(?P<size>\d{1,18})"
_RCLONE_LSL = re.compile(rf" *{_SIZE} \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{9}} (?P<path>.+)")
_RCLONE_LSF = re.compile(rf"(?P<path>.+);(?:{_SIZE}|-1)")  # -1: of a folder
_LS_DATE = (
    r"(?:[A-Z][a-z]{2} +\d{1,2} +(?:\d\d:\d\d|\d{4})"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d\.\d{9} [+-]\d{4})?|\d\d-\d\d \d\d:\d\d)"
)
_LS_FILE = re.compile(
    rf"-[rwxsStT-]{{9}}[.+@]? +\d+ +\S+ +\S+ +{_SIZE} +{_LS_DATE} (?P<path>[^/]+)"
)
_LS_OTHER = re.compile(r"[dlpsbcD][rwxsStT-]{9}[.+@]? .*|total \d+.*|")
_LS_FOLDER = re.compile(r"(?P<folder>.*[^ ]):")


@dataclass(frozen=True)
class ListedSizes:
    """Bytes of event files by recording id and shard number."""

    bytes: Mapping[str, Mapping[int, int]]

    def of(self, recording_id: str) -> Mapping[int, int]:
        """Those of one recording, by shard number; empty where it is not listed."""
        return self.bytes.get(recording_id, {})

    def __len__(self) -> int:
        return sum(map(len, self.bytes.values()))


def read_sizes(path: Path) -> ListedSizes:
    """Sizes of the event files in a listing; other files in it are left out.

    Paths may begin anywhere above ``train/``, ``val/`` and ``test/``.

    Raises:
        DataError: A line fits none of the forms, or another than those before it; a file is there
            twice with two sizes; no event file is listed.
        UsageError: It is no regular file, or too large.
        OSError: It cannot be read.
    """
    try:
        text = read_regular(path, _LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"{path}: no listing, its text is not UTF-8; list the drive again."
        ) from None
    found: dict[str, dict[int, int]] = {}
    for number, name, size in _entries(text, path):
        match = _EVENT_FILE.fullmatch(name)
        if match is None:
            continue
        if size >= _MOST_BYTES:
            raise _refused(path, number, f"a file of {size} bytes is beyond any disk")
        of_recording = found.setdefault(f"{match[1]}/{match[3]}", {})
        if of_recording.setdefault(int(match[4]), size) != size:
            raise _refused(path, number, f"{match[0]:.200} stood there before with another size")
    if not found:
        raise DataError(
            f"{path}: lists no event file such as train/trainfilelist00/events/<recording>/ev001.npz; "
            "list the folder that holds train/, val/, test/."
        )
    return ListedSizes(found)


def unmatched(sizes: ListedSizes, manifest: Manifest) -> list[str]:
    """Sentences on what the listing and the labels on disk do not share."""
    known = {(row.id, shard.number) for row in manifest.recordings for shard in row.shards}
    listed = {(key, number) for key, numbers in sizes.bytes.items() for number in numbers}
    unknown = sum(s.event_bytes is None for row in manifest.recordings for s in row.shards)
    sentences = []
    if listed - known:
        sentences.append(
            f"{len(listed - known)} event files of the listing belong to no shard that is here; they "
            "are left out."
        )
    if unknown:
        sentences.append(
            f"{unknown} shards have no event file in the listing; a subset takes the release's mean "
            "for each."
        )
    return sentences


def _refused(path: Path, number: int, why: str) -> DataError:
    return DataError(f"{path}, line {number}: {why}; list the drive again, or mend the line.")


def _entries(text: str, path: Path) -> Iterator[tuple[int, str, int]]:
    """Line number, path and bytes of each file."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    form = next((form for form in map(_form_of, lines) if form), None)
    folder = ""
    for number, line in enumerate(lines, start=1):
        if len(line) > _LONGEST_LINE:
            raise _refused(path, number, "it is longer than any path")
        if form == "ls -lR":
            if _LS_OTHER.fullmatch(line):
                continue
            if (file := _LS_FILE.fullmatch(line)) is not None:
                yield number, f"{folder}{file['path']}", int(file["size"])
                continue
            if (header := _LS_FOLDER.fullmatch(line)) is not None:
                folder = f"{header['folder']}/"
                continue
        elif form in _ONE_LINERS:
            if not line:
                continue
            if (file := _ONE_LINERS[form].fullmatch(line)) is not None:
                if file["size"] is not None:
                    yield number, file["path"], int(file["size"])
                continue
        elif form == "path,bytes":
            row = _row(line)
            if not row or (number == 1 and [cell.strip() for cell in row] == ["path", "bytes"]):
                continue
            if len(row) == 2 and re.fullmatch(r"\d{1,18}", row[1].strip(), re.ASCII):
                yield number, row[0], int(row[1])
                continue
        elif not line:
            continue
        raise _refused(path, number, _unfit(form))


_ONE_LINERS = {"rclone lsl": _RCLONE_LSL, "rclone lsf --format ps": _RCLONE_LSF}


def _unfit(form: str | None) -> str:
    if form is None:
        return "it fits none of `rclone lsl`, `rclone lsf --format ps`, `ls -lR` and path,bytes"
    return f"the lines before it are of `{form}`, and it is not"


def _form_of(line: str) -> str | None:
    """The form of the listing that a line with a file belongs to."""
    if len(line) > _LONGEST_LINE:
        return None
    if _LS_FILE.fullmatch(line):
        return "ls -lR"
    for form, pattern in _ONE_LINERS.items():
        if pattern.fullmatch(line):
            return form
    row = _row(line)
    return "path,bytes" if len(row) == 2 and row[1].strip().isdecimal() else None


def _row(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []
