"""Tasks on dask: a real cluster on the loopback device."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks.kill_writer import content, is_building
from pipeline.cache.build_folder import discard
from pipeline.cache.verify import verify_cache
from pipeline.errors import DataError, ShardError, UsageError
from pipeline.release.shards import shard_path
from pipeline.tasks.dask_workers import run_on_cluster
from pipeline.tasks.outcomes import ATTEMPTS, LIVES, Done, Stopped
from tests.pipeline.releases import damage_member, write_recording
from tests.pipeline.task_functions import Recorder, Task, do, give_what_cannot_travel
from tests.pipeline.voxelized import run as voxelizing

REPOSITORY = Path(__file__).parents[3]
QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def dask(*arguments: object) -> Iterator[subprocess.Popen]:
    """A `dask` command that runs until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def running_scheduler() -> Iterator[tuple[str, subprocess.Popen]]:
    port = free_port()
    with dask("scheduler", "--host", "127.0.0.1", "--port", port, *QUIET) as process:
        while not answers(port):  # on a busy machine it takes longer than clients wait
            assert process.poll() is None
            time.sleep(0.05)
        yield f"tcp://127.0.0.1:{port}", process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[str]:
    """Address of a scheduler with two worker processes."""
    local = tmp_path_factory.mktemp("dask")
    options = ("--host", "127.0.0.1", "--nthreads", 1, *QUIET, "--local-directory", local)
    with (
        running_scheduler() as (address, _),
        dask("worker", address, *options),
        dask("worker", address, *options),
    ):
        from distributed import Client

        with Client(address, timeout="60s", set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address


@contextmanager
def replaced_workers(address: str, local: Path, count: int) -> Iterator[None]:
    """``count`` workers, each followed by another when it ends, as a batch system would do.

    A nanny is not enough: it gives up when its worker dies before it has heard of its start.
    """
    options = ("--no-nanny", "--nthreads", 1, *QUIET, "--local-directory", local)
    over = threading.Event()

    def replace() -> None:
        while not over.is_set():
            with dask("worker", address, "--host", "127.0.0.1", *options) as process:
                while process.poll() is None and not over.is_set():
                    over.wait(0.05)

    threads = [threading.Thread(target=replace) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def run(folder: Path, watcher: Recorder, scheduler: str, **kinds: str):
    """Outcomes by key, and the tasks."""
    tasks = {name: Task(name, folder, kind) for name, kind in kinds.items()}
    scratch = folder / "run"
    scratch.mkdir()
    run = run_on_cluster(do, tasks, watcher, scheduler, lambda: discard(scratch))
    with closing(run) as outcomes:
        for outcome in outcomes:
            watcher.finished(outcome)
    return {outcome.key: outcome for outcome in watcher.outcomes}, tasks


def test_a_cluster_does_the_tasks_and_tells_what_failed(cluster, tmp_path):
    watcher = Recorder()
    outcomes, tasks = run(
        tmp_path,
        watcher,
        cluster,
        a="succeed",
        b="fail once",
        c="always fail",
        d="fail on purpose",
        e="have a defect",
    )
    assert outcomes["a"] == Done("a", "a done")
    assert outcomes["b"] == Done("b", "b done")
    assert "Stale file handle" in str(outcomes["c"].error)
    assert str(outcomes["d"].error) == "d: is not what it should be."
    assert str(outcomes["e"].error) == "ZeroDivisionError: an unforeseen division"
    assert "in do" in outcomes["e"].trace
    assert [task.attempts for task in tasks.values()] == [1, 2, ATTEMPTS, 1, 1]
    assert watcher.amount == 7 + 7 + 0 + 3 + 3  # as where tasks run in this process


def test_a_result_that_cannot_be_pickled_is_the_fault_of_its_task_alone(cluster):
    run = run_on_cluster(give_what_cannot_travel, {"a": 1, "b": 2}, Recorder(), cluster, int)
    outcomes = {outcome.key: outcome for outcome in run}
    assert "pickle" in str(outcomes["a"].error)
    assert outcomes["b"] == Done("b", 2)


def test_a_lost_worker_s_task_is_done_by_another_and_one_that_kills_all_is_given_up(tmp_path):
    watcher = Recorder()
    local, folder = tmp_path / "dask", tmp_path / "tasks"
    folder.mkdir()
    with running_scheduler() as (address, _), replaced_workers(address, local, 2):
        outcomes, tasks = run(
            folder, watcher, address, a="always lose the worker", b="lose the worker once"
        )
    assert "every worker that tried it died" in str(outcomes["a"].error)
    assert len(str(outcomes["a"].error).splitlines()) == 1
    assert outcomes["b"] == Done("b", "b done")
    assert tasks["a"].attempts >= LIVES


def test_a_result_that_dies_with_its_worker_is_made_again(cluster, tmp_path):
    """A worker may die of one task while it still holds what it made of another."""

    task = Task("a", tmp_path)
    killed = []

    def kill_its_worker() -> bool:
        if task.attempts == 1 and not killed:
            time.sleep(1)  # the result is there, and nobody has looked
            killed.append(int((tmp_path / "a").read_text()))
            os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.5)  # the scheduler has heard of it
        return False

    watcher = Recorder(stop_when=kill_its_worker)
    outcomes, _ = run(tmp_path, watcher, cluster, a="take long the second time")
    assert outcomes["a"] == Done("a", "a done")
    assert task.attempts == 2


def test_a_result_that_was_fetched_is_not_made_again(cluster, tmp_path):
    watcher = Recorder()
    tasks = {name: Task(name, tmp_path) for name in "ab"}
    with closing(run_on_cluster(do, tasks, watcher, cluster, lambda: None)) as outcomes:
        first = next(outcomes)
        os.kill(int((tmp_path / first.key).read_text()), signal.SIGKILL)
        time.sleep(2)
        assert Task(first.key, tmp_path).attempts == 1
        assert [outcome.key for outcome in outcomes] == ["b" if first.key == "a" else "a"]


def test_a_request_to_stop_ends_running_and_waiting_tasks_which_leave_nothing(cluster, tmp_path):
    kinds = dict.fromkeys("abcde", "work until abandoned")
    watcher = Recorder(stop_when=lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    with pytest.raises(Stopped):
        run(tmp_path, watcher, cluster, **kinds)
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= set("abcde")
    before = {name: Task(name, tmp_path).attempts for name in "abcde"}
    time.sleep(0.5)
    assert {name: Task(name, tmp_path).attempts for name in "abcde"} == before
    # The workers are free again.
    (tmp_path / "next").mkdir()
    outcomes, _ = run(tmp_path / "next", Recorder(), cluster, a="succeed")
    assert outcomes["a"] == Done("a", "a done")


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "release"
    for k in range(6):
        write_recording(
            root, f"train/trainfilelist00/rec_{k}", (1, 2, 3), events_per_window=3000, seed=k
        )
    return root


@pytest.fixture(scope="module")
def calm(release) -> dict[str, str]:
    """Content of a cache that one process made."""
    voxelizing(release, release.parent / "calm")
    return content(release.parent / "calm")


def test_a_cluster_makes_the_cache_that_one_process_makes(
    cluster, release, calm, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # the workers run in another folder
    Path("release").symlink_to(release)
    report = voxelizing(Path("release"), Path("c"), scheduler=cluster)
    assert len(report.made) == 6
    assert content(tmp_path / "c") == calm


def test_a_cluster_that_outlives_its_killed_client_does_not_disturb_the_next_run(
    cluster, release, calm, tmp_path
):
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        client = context.Process(
            target=voxelizing, args=(release, tmp_path / "c"), kwargs={"scheduler": cluster}
        )
        client.start()
        while client.is_alive() and not is_building(tmp_path / "c"):
            time.sleep(0.005)
        client.kill()
        client.join()
    voxelizing(release, tmp_path / "c", scheduler=cluster)
    assert content(tmp_path / "c") == calm


def test_fail_stops_every_worker_and_leaves_nothing_half_written(cluster, release, tmp_path):
    damaged = tmp_path / "release"
    shutil.copytree(release, damaged)
    damage_member(shard_path(damaged, "train/trainfilelist00/rec_0", 2, "events"), "e3")
    with pytest.raises(ShardError, match=r"ev002\.npz"):
        voxelizing(damaged, tmp_path / "c", scheduler=cluster, on_corrupt="fail")
    assert {path.name for path in (tmp_path / "c").iterdir()} <= {"train", "zarr.json"}
    assert verify_cache(tmp_path / "c") == []


def test_a_file_that_workers_cannot_read_fails_its_recording_and_no_other(
    cluster, release, tmp_path
):
    broken = tmp_path / "release"
    shutil.copytree(release, broken)
    events = shard_path(broken, "train/trainfilelist00/rec_0", 2, "events")
    events.unlink()
    events.mkdir()
    report = voxelizing(broken, tmp_path / "c", scheduler=cluster)
    assert [failed.key for failed in report.failed] == ["train/trainfilelist00/rec_0"]
    assert f"{events}: is a folder" in str(report.failed[0].error)
    assert len(report.made) == 5


def test_an_address_without_a_scheduler_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.tasks.dask_workers._CONNECT", "2s")
    for address in (f"tcp://127.0.0.1:{free_port()}", "nonsense://"):
        with pytest.raises(UsageError, match="no dask scheduler answers there") as caught:
            list(run_on_cluster(do, {}, Recorder(), address, lambda: None))
        assert len(str(caught.value).splitlines()) == 1


def test_a_cluster_without_workers_is_told_and_waited_for_and_its_loss_is_one_sentence(tmp_path):
    with running_scheduler() as (address, process):
        watcher = Recorder()

        def lose_it() -> bool:
            if watcher.notes and process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            return False

        watcher.should_stop = lose_it
        with pytest.raises(DataError, match="scheduler was lost"):
            run(tmp_path, watcher, address, a="succeed")
        assert "no worker yet" in watcher.notes[0]
