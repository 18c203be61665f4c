"""Shards to pillar cache: which recordings are to do, doing them side by side, what came of it.

A recording is the unit of work, of publication and of resuming: a run that was killed, stopped or
out of disk is continued by running it again.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.cache.attributes import RecordingAttributes, recording_attributes
from pipeline.cache.build_folder import discard
from pipeline.cache.lock import Part, open_for_writing
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError, ShardError, UsageError
from pipeline.files.digest import file_digest
from pipeline.release.npz import EVENT_BOUNDS
from pipeline.release.shards import RecordingFiles, ShardFiles
from pipeline.tasks.allocation import keep_freed_memory
from pipeline.tasks.outcomes import NO_ROOM, Done, Failed, Stopped, Watcher
from pipeline.tasks.run import run_tasks
from pipeline.voxelizing.outcome import RecordingReport, VoxelizeReport, left_out_windows
from pipeline.voxelizing.policy import CorruptPolicy
from pipeline.voxelizing.recording import voxelize_recording


class DiskFullError(CacheError):
    """The cache's disk takes no more; no other recording would fit either."""


def voxelize(
    recordings: Sequence[RecordingFiles],
    sensor_of: Callable[[str], tuple[int, int]],
    cache: Path,
    settings: CacheSettings,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    part: Part | None = None,
    on_corrupt: str = CorruptPolicy.QUARANTINE,
    watcher: Watcher | None = None,
) -> VoxelizeReport:
    """Build or continue the cache at ``cache`` from ``recordings``.

    Published recordings are kept, whether or not their source files are still there, and refused
    when these are others than they were made from. A recording that fails is listed in the report.
    Whatever is raised, what was published until then stays.

    Args:
        recordings: what the cache is to hold; with ``part``, this part's own (:meth:`Part.share`).
        sensor_of: gives a recording's sensor (width, height) by its id.
        cache: the cache's folder.
        settings: what the cache is made with.
        workers: processes of this machine that share the recordings.
        scheduler: address of a dask cluster that does them instead.
        part: other processes may write the same cache at the same time as other parts.
        on_corrupt: what becomes of a window that cannot be used: ``quarantine``, ``fail``,
            ``repeat``.
        watcher: is told of progress, and may ask to stop.

    Raises:
        UsageError: the policy is unknown, or there is no worker or scheduler.
        CacheError: the cache has other settings or another writer, or its disk is full.
        ShardError: the first defect, with the policy ``fail``.
        Stopped: the watcher says so.
    """
    if on_corrupt not in list(CorruptPolicy):
        choices = ", ".join(CorruptPolicy)
        raise UsageError(f"policy '{on_corrupt}' is unknown; choose one of {choices}.")
    if workers < 1:
        raise UsageError(f"{workers} workers cannot do anything; give 1 or more.")
    watcher = watcher or Watcher()
    cache = cache.absolute()
    report = VoxelizeReport()
    with open_for_writing(cache, settings, part) as scratch:
        todo = {}
        for files in recordings:
            if (cache / files.id).exists():
                attributes = recording_attributes(cache / files.id)
                _check_same_source(cache, files, attributes)
                report.already_complete.append(files.id)
                report.left_out += left_out_windows(files.id, attributes)
            else:
                todo[files.id] = _Job(files, sensor_of(files.id))
        watcher.planned(len(todo), sum(_bytes_on_disk(job.files) for job in todo.values()))
        work = partial(
            _do,
            cache=cache,
            scratch=scratch,
            settings=settings,
            on_corrupt=on_corrupt,
            # Several workers keep the cores busy, and one reads while another computes.
            read_ahead=min(workers, len(todo)) <= 1 and scheduler is None,
        )
        if scheduler is not None:
            todo = {key: _with_absolute_paths(job) for key, job in todo.items()}
        outcomes = run_tasks(
            work,
            todo,
            watcher,
            workers=workers,
            scheduler=scheduler,
            abandon=partial(discard, scratch),
        )
        try:
            with contextlib.closing(outcomes):
                for outcome in outcomes:
                    _note(outcome, report, on_corrupt, cache)
                    watcher.finished(outcome)
        except Stopped:
            complete = len(report.already_complete) + len(report.made)
            raise Stopped(
                f"Stopped with {complete} of {len(recordings)} recordings complete; run the same "
                "command again to continue."
            ) from None
    report.left_out.sort(key=lambda window: window.place)
    return report


@dataclass(frozen=True)
class _Job:
    files: RecordingFiles
    sensor: tuple[int, int]


def _do(
    job: _Job,
    tick: Callable[[int], None],
    *,
    cache: Path,
    scratch: Path,
    settings: CacheSettings,
    on_corrupt: str,
    read_ahead: bool,
) -> RecordingReport:
    keep_freed_memory()
    return voxelize_recording(
        job.files,
        job.sensor,
        cache,
        scratch,
        settings,
        on_corrupt,
        tick,
        read_ahead=read_ahead,
    )


def _note(
    outcome: Done[RecordingReport] | Failed, report: VoxelizeReport, on_corrupt: str, cache: Path
) -> None:
    """Enter one outcome; raises what no other recording would escape, or the user forbade."""
    if isinstance(outcome, Done):
        report.made.append(outcome.result)
        report.left_out += outcome.result.left_out
    elif outcome.cause is not None and outcome.cause.errno in NO_ROOM:
        raise DiskFullError(
            f"{cache}: {outcome.cause.strerror}; make room and run the same command again, "
            "what is complete stays."
        )
    elif on_corrupt == CorruptPolicy.FAIL and isinstance(outcome.error, ShardError):
        raise outcome.error
    else:
        report.failed.append(outcome)


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _with_absolute_paths(job: _Job) -> _Job:
    """The same files for a worker that may run in another folder."""
    shards = tuple(
        ShardFiles(shard.number, _absolute(shard.events), _absolute(shard.labels))
        for shard in job.files.shards
    )
    return replace(job, files=replace(job.files, shards=shards))


def _paths(files: RecordingFiles) -> Iterator[tuple[int, Path]]:
    """Every file of a recording with its shard's number."""
    for shard in files.shards:
        for path in (shard.events, shard.labels):
            if path is not None:
                yield shard.number, path


def _bytes_on_disk(files: RecordingFiles) -> int:
    return sum(_size(path) or 0 for _, path in _paths(files))


def _size(path: Path) -> int | None:
    """Bytes of a file; ``None`` where there is none. Any other answer of the system is an error."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _check_same_source(cache: Path, files: RecordingFiles, attributes: RecordingAttributes) -> None:
    """Refuse to continue when a published recording was made from other files.

    Sources that are gone say nothing: a small disk holds them only until they are voxelized. Sizes
    are compared, and the content of shards of which windows had to be left out: those are the files
    that somebody downloads again.
    """
    known = {entry["name"]: entry for entry in attributes["source"]["files"]}
    suspects = {window["shard"] for window in attributes["defects"]["left_out"]}
    for number, path in _paths(files):
        made_from, size = known.get(path.name), _size(path)
        difference = None
        if size is None:
            continue
        if made_from is None:
            if number not in suspects or size <= EVENT_BOUNDS.file:  # larger ones have no entry
                difference = "is new since the recording was made"
        elif made_from["bytes"] != size:
            difference = f"has {size} bytes, the cache was made from {made_from['bytes']} bytes"
        elif number in suspects:
            sha256 = file_digest(path)
            if made_from["sha256"] != sha256:
                difference = (
                    f"has the sha256 {sha256}, the cache was made from {made_from['sha256']}"
                )
        if difference:
            raise CacheError(
                f"{path}: {difference}; delete {cache / files.id} to make this recording again, "
                "or use another cache."
            )
