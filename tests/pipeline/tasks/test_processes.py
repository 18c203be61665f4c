"""Tasks in processes of this machine: recovery from their deaths, stopping, and what they leave."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import DataError, UsageError
from pipeline.tasks.outcomes import ATTEMPTS, LIVES, Done, Stopped
from pipeline.tasks.run import run_tasks
from tests.pipeline.task_functions import DeadlyToLoad, Recorder, Task, do, give_what_cannot_travel

REPOSITORY = Path(__file__).parents[3]


def run(folder: Path, watcher: Recorder, **kinds: str):
    """Outcomes by key, and the tasks."""
    tasks = {name: Task(name, folder, kind) for name, kind in kinds.items()}
    (folder / "run").mkdir()
    with closing(run_tasks(do, tasks, watcher, workers=2)) as outcomes:
        for outcome in outcomes:
            watcher.finished(outcome)
    return {outcome.key: outcome for outcome in watcher.outcomes}, tasks


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def processes_of(tasks) -> set[int]:
    return {int(line) for task in tasks for line in (task.folder / task.name).read_text().split()}


def test_processes_do_the_tasks_and_tell_what_failed(tmp_path):
    watcher = Recorder()
    outcomes, tasks = run(
        tmp_path,
        watcher,
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
    assert watcher.amount == 7 + 7 + 0 + 3 + 3  # what the given-up attempts read is taken back
    used = processes_of(tasks.values())
    assert len(used) == 2
    assert os.getpid() not in used
    assert not any(map(is_running, used))


def test_a_lost_worker_s_task_is_done_by_another_and_one_that_kills_all_is_given_up(tmp_path):
    watcher = Recorder()
    outcomes, tasks = run(tmp_path, watcher, a="always lose the worker", b="lose the worker once")
    assert "every worker that tried it died" in str(outcomes["a"].error)
    assert len(str(outcomes["a"].error).splitlines()) == 1
    assert outcomes["b"] == Done("b", "b done")
    assert tasks["a"].attempts == LIVES
    assert tasks["b"].attempts == 2
    assert watcher.amount == 7


def test_a_worker_that_has_run_out_of_tasks_takes_that_of_a_lost_one(tmp_path):
    outcomes, tasks = run(tmp_path, Recorder(), a="lose the worker late", b="succeed")
    assert outcomes["a"] == Done("a", "a done")
    assert outcomes["b"] == Done("b", "b done")
    assert tasks["a"].attempts == 2


def test_a_harmless_task_is_never_blamed_for_the_worker_that_another_one_kills(tmp_path):
    kinds = {f"killer {n}": "always lose the worker" for n in range(2)}
    kinds |= {f"harmless {n}": "succeed" for n in range(4)}
    outcomes, tasks = run(tmp_path, Recorder(), **kinds)
    for name, task in tasks.items():
        if task.kind == "succeed":
            assert outcomes[name] == Done(name, f"{name} done")
            assert task.attempts == 1


def test_a_request_to_stop_ends_running_and_waiting_tasks_which_leave_nothing(tmp_path):
    kinds = dict.fromkeys("abcde", "work until abandoned")
    watcher = Recorder(stop_when=lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    with pytest.raises(Stopped):
        run(tmp_path, watcher, **kinds)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "run"}
    assert list((tmp_path / "run").iterdir()) == []
    assert not any(map(is_running, processes_of(Task(name, tmp_path) for name in "ab")))


def test_processes_that_die_before_they_take_a_task_are_one_sentence():
    with pytest.raises(DataError, match="end with exit code 3 while they start") as caught:
        list(run_tasks(DeadlyToLoad(), {"a": 1, "b": 2}, workers=2))
    assert len(str(caught.value).splitlines()) == 1


def test_a_result_that_cannot_travel_fails_its_task_and_no_other():
    outcomes = {o.key: o for o in run_tasks(give_what_cannot_travel, {"a": 1, "b": 2}, workers=2)}
    assert "pickle" in str(outcomes["a"].error)
    assert "Traceback" in outcomes["a"].trace
    assert outcomes["b"] == Done("b", 2)


def test_fewer_than_one_worker_is_refused():
    with pytest.raises(UsageError, match="0 workers cannot do anything"):
        run_tasks(do, {}, workers=0)


PROGRAM = """
import signal
import sys
from pathlib import Path
from pipeline.tasks.run import run_tasks
from tests.pipeline.task_functions import Task, do

# As in a terminal: what a shell starts in the background ignores Ctrl-C, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path(sys.argv[1])
tasks = {name: Task(name, folder, sys.argv[2]) for name in "ab"}
for outcome in run_tasks(do, tasks, workers=2):
    print(outcome)
print([name for name in ("dask", "distributed") if name in sys.modules])
"""


def program(folder: Path, kind: str) -> subprocess.Popen:
    (folder / "run").mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), kind],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_both_work(folder: Path, process: subprocess.Popen) -> set[int]:
    while not all((folder / name).exists() and (folder / name).read_text() for name in "ab"):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return processes_of(Task(name, folder) for name in "ab")


def test_processes_do_without_dask(tmp_path):
    output, errors = program(tmp_path, "succeed").communicate()
    assert output.splitlines()[-1] == "[]"
    assert errors == ""


def test_an_interrupt_from_the_terminal_reaches_the_run_alone_and_leaves_nothing(tmp_path):
    process = program(tmp_path, "work until abandoned")
    used = wait_until_both_work(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert errors.count("Traceback") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert list((tmp_path / "run").iterdir()) == []
    assert not any(map(is_running, used))


def test_processes_end_with_a_run_that_is_killed(tmp_path):
    process = program(tmp_path, "work until abandoned")
    used = wait_until_both_work(tmp_path, process)
    process.kill()
    assert process.communicate() == ("", "")  # they hold its output no longer
    assert not any(map(is_running, used))


def test_processes_take_their_leave_when_all_is_done():
    code = (
        "from pipeline.tasks.run import run_tasks\n"
        "from tests.pipeline.task_functions import keep_a_lock\n"
        "print(len(list(run_tasks(keep_a_lock, {str(n): n for n in range(6)}, workers=2))))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("6\n", "")  # no word of leaked semaphores
