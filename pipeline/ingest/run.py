"""Several raw recordings → one release, one task each."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

from pipeline.ingest.convert import IngestSummary, cannot_write, convert_recording
from pipeline.release.shards import SKIP_US
from pipeline.tasks.outcomes import Counter, Failed, result_of
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
        skip_us: left out at each recording's begin; counted from its clock's zero.
        workers: processes that share the recordings.
        progress: gets the number of windows read since it was called last.

    Yields:
        What became of each, in the order of ``raws``.

    Raises:
        UsageError: a recording is there already, a file is missing, an option is wrong.
        RecordingError: a file cannot be read or fills no shard, or ``out`` cannot be written.
    """
    # By number, because a file may be named twice: the second one is then there already.
    tasks = {f"{number} {raw}": raw for number, raw in enumerate(raws)}
    waiting = list(tasks)
    ready: dict[str, IngestSummary] = {}
    work = partial(_ingest, out=out, split=split, skip_us=skip_us)
    outcomes = run_tasks(work, tasks, Counter(progress), workers=workers)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            if isinstance(outcome, Failed) and outcome.cause is not None:
                raise cannot_write(out, outcome.cause)
            ready[outcome.key] = result_of(outcome)
            while waiting and waiting[0] in ready:
                yield ready.pop(waiting.pop(0))


def _ingest(
    raw: Path, tick: Callable[[int], None], *, out: Path, split: str, skip_us: int
) -> IngestSummary:
    return convert_recording(raw, out, split, skip_us, None, tick)
