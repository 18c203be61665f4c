"""Several raw recordings → one release, one task each."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.ingest.convert import (
    IngestSummary,
    convert_recording,
    recording_id_of,
    require_new,
)
from pipeline.release.shards import SKIP_US
from pipeline.tasks.outcomes import Counter, result_of
from pipeline.tasks.run import run_tasks


def ingest_recordings(
    raws: Sequence[Path],
    out: Path,
    split: str,
    *,
    skip_us: int = SKIP_US,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> Generator[IngestSummary]:
    """Write raw recordings as shards of the release at ``out``, each whole or not at all.

    The first that fails ends the run; those that are whole by then stay.

    Args:
        raws: DAT or HDF5 files.
        out: the release's folder.
        split: ``train``, ``val`` or ``test``.
        skip_us: left out at each recording's begin; counted from the window of its first event.
        workers: processes that share the recordings.
        progress: gets the number of windows read since it was called last.

    Yields:
        What became of each, in the order of ``raws``.

    Raises:
        UsageError: a recording is there already, a file is missing, an option is wrong.
        RecordingError: a file cannot be read, or fills no shard.
        DataError: the machine fails to read or write, also after several attempts.
    """
    tasks: dict[str, Path] = {}
    for raw in raws:
        recording_id = recording_id_of(raw, split)
        if recording_id in tasks:
            raise UsageError(
                f"{raw}: {tasks[recording_id]} would become the same recording, {recording_id}; "
                "rename one, or ingest it into another folder."
            )
        require_new(out, recording_id)
        tasks[recording_id] = raw
    waiting = list(tasks)
    ready: dict[str, IngestSummary] = {}
    work = partial(_ingest, out=out, split=split, skip_us=skip_us)
    outcomes = run_tasks(work, tasks, Counter(progress), workers=workers)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            ready[outcome.key] = result_of(outcome)
            while waiting and waiting[0] in ready:
                yield ready.pop(waiting.pop(0))


def _ingest(
    raw: Path, tick: Callable[[int], None], *, out: Path, split: str, skip_us: int
) -> IngestSummary:
    return convert_recording(raw, out, split, skip_us, None, tick)
