"""Tasks in this process: what is tried again, what is given up, and stopping."""

import pytest

from pipeline.errors import DataError
from pipeline.tasks import outcomes
from pipeline.tasks.outcomes import (
    ATTEMPTS,
    Done,
    Failed,
    Stopped,
    TaskDefectError,
    Watcher,
    counted,
    result_of,
)
from pipeline.tasks.serial import run_here
from tests.pipeline.task_functions import Recorder, Task, do


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch):
    monkeypatch.setattr(outcomes, "PAUSE", 0)


def run(folder, watcher, **kinds):
    tasks = {name: Task(name, folder, kind) for name, kind in kinds.items()}
    return tasks, list(run_here(do, tasks, watcher))


def test_tasks_are_done_in_order_and_their_progress_is_told(tmp_path):
    watcher = Recorder()
    _, outcomes = run(tmp_path, watcher, b="succeed", a="succeed")
    assert outcomes == [Done("b", "b done"), Done("a", "a done")]
    assert watcher.amount == 14


def test_a_passing_fault_of_the_machine_is_tried_again_and_counted_once(tmp_path):
    watcher = Recorder()
    tasks, outcomes = run(tmp_path, watcher, a="fail once")
    assert outcomes == [Done("a", "a done")]
    assert tasks["a"].attempts == 2
    assert watcher.amount == 7


def test_failed_tasks_are_named_and_the_others_finish(tmp_path):
    watcher = Recorder()
    tasks, outcomes = run(
        tmp_path, watcher, a="always fail", b="fail on purpose", c="have a defect", d="succeed"
    )
    stale, refused, defect, good = outcomes
    assert good == Done("d", "d done")
    assert isinstance(stale, Failed)
    assert (
        str(stale.error)
        == f"a: Stale file handle, tried {ATTEMPTS} times; restore it and run again."
    )
    assert (refused.key, str(refused.error)) == ("b", "b: is not what it should be.")
    assert str(defect.error) == "ZeroDivisionError: an unforeseen division"
    assert "in do" in defect.trace
    assert stale.trace is refused.trace is None
    assert [task.attempts for task in tasks.values()] == [ATTEMPTS, 1, 1, 1]
    assert watcher.amount == 3 + 3 + 7  # what the given-up attempts read is taken back


def test_a_request_to_stop_ends_the_task_at_its_next_tick(tmp_path):
    tasks = {name: Task(name, tmp_path) for name in "abc"}
    watcher = Recorder(stop_when=lambda: len(watcher.outcomes) == 1)
    with pytest.raises(Stopped):
        watcher.outcomes.extend(run_here(do, tasks, watcher))
    assert watcher.outcomes == [Done("a", "a done")]
    assert [task.attempts for task in tasks.values()] == [1, 1, 0]


def test_what_a_run_cannot_do_without_is_its_result_or_the_failure_s_own_sentence(tmp_path):
    _, (good, stale, defect) = run(
        tmp_path, Recorder(), a="succeed", b="always fail", c="have a defect"
    )
    assert result_of(good) == "a done"
    assert stale.cause.strerror == "Stale file handle"
    with pytest.raises(DataError, match="b: Stale file handle, tried"):
        result_of(stale)
    with pytest.raises(TaskDefectError, match=r"in do\n(.*\n)*ZeroDivisionError"):
        result_of(defect)


def test_progress_can_be_told_as_a_count_of_all(tmp_path):
    seen = []
    tasks = {name: Task(name, tmp_path) for name in "ab"}
    list(run_here(do, tasks, counted(lambda *state: seen.append(state), 14)))
    assert seen == [(3, 14), (7, 14), (10, 14), (14, 14)]
    list(run_here(do, tasks, counted(None, 14)))


def test_a_task_without_enough_memory_fails_in_a_sentence_and_the_next_is_done():
    def work(task, tick):
        if task == "large":
            raise MemoryError
        return task

    failed, done = run_here(work, {"a": "large", "b": "small"}, Watcher())
    assert (failed.trace, done.result) == (None, "small")
    assert "run with fewer workers" in str(failed.error)
