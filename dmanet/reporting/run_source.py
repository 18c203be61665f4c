"""What a run's page is made of, read from the run's folder: its result, its steps and epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dmanet.evaluation.details import Details
from dmanet.reporting.results import EVALUATION_NAME, Evaluation, RunResult, read_runs
from dmanet.runs.log_lines import EPOCHS_NAME, METRICS_NAME, EpochLine, StepLine, read_lines
from dmanet.runs.sessions import SessionLine, read_sessions
from pipeline.errors import DataError

_Number = Annotated[float, Field(allow_inf_nan=False)] | None
_Word = Annotated[str, Field(max_length=1000)]


class SkippedStep(BaseModel):
    """Where numbers were lost, as a line of the log has it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    terms: dict[_Word, float | _Word] = Field(default={}, max_length=100)
    gradient_norms: dict[_Word, float | _Word] = Field(default={}, max_length=1000)
    windows: Annotated[list[_Word], Field(max_length=100_000)] = []


class LoggedStep(StepLine):
    """A step with what is drawn of it; None: no finite number, or not logged."""

    epoch: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    loss: _Number = None
    classification: _Number = None
    regression: _Number = None
    learning_rate: _Number = None
    gradient_norm: _Number = None
    windows_per_s: _Number = None
    memory_gb: _Number = None
    bad_step: SkippedStep | None = None


class LoggedEpoch(EpochLine):
    """An epoch with its score and what that is."""

    step: Annotated[int, Field(ge=0, lt=2**63)] = 0
    score: _Number = None
    score_of: _Word = ""
    best: bool = False


@dataclass(frozen=True)
class RunSource:
    """Everything of one run.

    Attributes:
        run: settings, counts and evaluations.
        steps: of the log, in order.
        epochs: likewise.
        sessions: when it began and went on.
        shown: the evaluation whose details are shown; None without any.
    """

    run: RunResult
    steps: Sequence[LoggedStep]
    epochs: Sequence[LoggedEpoch]
    sessions: Sequence[SessionLine]
    shown: Evaluation | None


def read_run_source(folder: Path, result: Path | None) -> RunSource:
    """What is in a run's folder, and a result that is elsewhere.

    Args:
        folder: of the run.
        result: whose details to show; None takes ``evaluation.json`` of the folder, or else its first
            other evaluation.

    Raises:
        UsageError: the folder holds no run, or the result is of another one.
        DataError: a file is damaged.
    """
    (run,) = read_runs([folder], [result] if result else [])
    wanted = result or folder / EVALUATION_NAME
    for one in run.evaluations:
        if one.result.details is not None and (what := _contradiction(one.result.details)):
            raise DataError(
                f"{one.file}: contradicts itself in its {what}; evaluate again with "
                "`dmanet evaluate --json`."
            )
    named = [e for e in run.evaluations if e.file.resolve() == wanted.resolve()]
    return RunSource(
        run=run,
        steps=[line for _, line in read_lines(folder / METRICS_NAME, LoggedStep)],
        epochs=[line for _, line in read_lines(folder / EPOCHS_NAME, LoggedEpoch)],
        sessions=read_sessions(folder),
        shown=next(iter((*named, *run.evaluations)), None),
    )


def _contradiction(details: Details) -> str | None:
    """The part of a result's details whose lists do not fit each other; None where all do."""
    classes = len(details.confusion.names)
    if [len(row) for row in details.confusion.counts] != [classes] * classes:
        return "confusion"
    scores = len(details.curves.scores)
    for curve in details.curves.classes:
        if {scores} != {len(curve.precision), len(curve.recall), len(curve.f1)} or not scores:
            return "curves"
    if any(row.keys() != details.errors.keys() for row in details.errors_by_class.values()):
        return "errors"
    return None
