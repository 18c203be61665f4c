"""Many raw recordings → one release, a task each."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.ingest.class_choice import DLUT_CHOICE, ClassChoice
from pipeline.ingest.convert import convert_recording, is_there, recording_id_of
from pipeline.ingest.raw_recording import FORMATS
from pipeline.ingest.summary import IngestSummary
from pipeline.release.sensors import check_class_map
from pipeline.release.shards import SKIP_US, SPLITS
from pipeline.tasks.outcomes import NO_ROOM, Counter, Done, Failed, TaskDefectError
from pipeline.tasks.run import run_tasks

_ENDINGS = (".dat", ".raw", ".h5", ".hdf5", ".aedat4")


@dataclass(frozen=True)
class Kept:
    """A recording that was in the release before, and was left as it is."""

    recording_id: str
    source: Path


@dataclass(frozen=True)
class NotIngested:
    """A recording of which nothing was written, and why."""

    recording_id: str
    source: Path
    reason: str


def recordings_below(paths: Sequence[Path], split: str | None) -> dict[str, Path]:
    """Raw recordings by what they will be called, in the order of ``paths``, a folder's by name.

    Args:
        paths: files, and folders to look through for files with a recording's ending.
        split: of all of them; None for that of the folder named train, val or test that a file is in,
            and train where it is in none.

    Raises:
        UsageError: there is none, or two would have one name.
        OSError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    for path in paths:
        files = sorted(_walk(path)) if path.is_dir() else [path]
        if not files:
            raise UsageError(
                f"{path}: no file in it ends in {', '.join(_ENDINGS)}; give recordings: {FORMATS}."
            )
        for file in files:
            key = recording_id_of(file, split or _split_of(file))
            if key in found:
                raise UsageError(
                    f"{file}: {found[key]} would become the same recording, {key}; "
                    "rename one, or ingest it into another folder."
                )
            found[key] = file
    return found


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for where, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if name.lower().endswith(_ENDINGS) and not name.startswith("."):
                yield Path(where, name)


def _split_of(file: Path) -> str:
    return next((part for part in reversed(file.parent.parts) if part in SPLITS), "train")


def ingest_recordings(
    raws: Mapping[str, Path],
    out: Path,
    *,
    skip_us: int = SKIP_US,
    sensor: tuple[int, int] | None = None,
    usual_sensor: tuple[int, int] | None = None,
    choice: ClassChoice = DLUT_CHOICE,
    overwrite: bool = False,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> Generator[IngestSummary | Kept | NotIngested]:
    """Write raw recordings as shards of the release at ``out``, each whole or not at all.

    One that cannot be read does not stop the others. What the release has already is kept, so that the
    same call continues one that was stopped.

    Args:
        raws: as :func:`recordings_below` gives them.
        out: the release's folder.
        skip_us: left out at each recording's begin; counted from the window of its first event.
        sensor: width and height in pixels of recordings that do not state them.
        usual_sensor: those of their data set, where they are stated nowhere else.
        choice: what becomes of the classes of their boxes.
        overwrite: make those again that the release has.
        workers: processes that share the recordings.
        progress: gets the number of events read since it was called last.

    Yields:
        What became of each: first those that are kept, then in the order in which they are done.

    Raises:
        UsageError: the release at ``out`` has other classes.
        DataError: the disk of ``out`` takes no more.
        TaskDefectError: a defect of this software.
    """
    check_class_map(out, choice.class_map)
    tasks = {}
    for key, raw in raws.items():
        if not overwrite and is_there(out, key):
            yield Kept(key, raw)
        else:
            tasks[key] = _Job(key, raw)
    work = partial(
        _ingest,
        out=out,
        skip_us=skip_us,
        sensor=sensor,
        usual_sensor=usual_sensor,
        choice=choice,
        replace=overwrite,
    )
    outcomes = run_tasks(work, tasks, Counter(progress), workers=workers)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            yield _told(outcome, raws[outcome.key])


def _told(outcome: Done[IngestSummary] | Failed, source: Path) -> IngestSummary | NotIngested:
    if isinstance(outcome, Done):
        return outcome.result
    if outcome.trace is not None:
        raise TaskDefectError(f"{outcome.key}:\n{outcome.trace}") from None
    if outcome.cause is not None and outcome.cause.errno in NO_ROOM:
        raise outcome.error  # no other recording would fit either
    return NotIngested(outcome.key, source, str(outcome.error))


@dataclass(frozen=True)
class _Job:
    recording_id: str
    raw: Path


def _ingest(
    job: _Job,
    tick: Callable[[int], None],
    *,
    out: Path,
    skip_us: int,
    sensor: tuple[int, int] | None,
    usual_sensor: tuple[int, int] | None,
    choice: ClassChoice,
    replace: bool,
) -> IngestSummary:
    return convert_recording(
        job.raw,
        out,
        job.recording_id,
        skip_us=skip_us,
        sensor=sensor,
        usual_sensor=usual_sensor,
        choice=choice,
        replace=replace,
        progress=tick,
    )
