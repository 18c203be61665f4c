"""What a training run says about itself: JSON-lines files and TensorBoard scalars.

``metrics.jsonl`` has one line a step, ``epochs.jsonl`` one line an epoch, ``tensorboard/`` the same
numbers. A value that is not finite is null in a JSON line, and a text such as "nan" within
``bad_step``.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dmanet.runs.curves import Curves, PrecisionRecall
from dmanet.runs.log_lines import EPOCHS_NAME, METRICS_NAME, EpochLine, StepLine, read_lines
from dmanet.runs.loggers import Logger
from dmanet.runs.outcomes import BadStep, Outcome
from pipeline.files.outputs import check_file_output
from pipeline.files.whole import written_whole


@dataclass(frozen=True)
class StepReport:
    """One training step.

    Attributes:
        step: from 0, over the whole run; skipped steps count.
        epoch: from 0.
        outcome: what became of the step; the weights changed if it was ``made``.
        loss: what was minimised: the terms' sum.
        classification: a sum over the T windows of a sample, mean over the samples.
        regression: likewise.
        learning_rate: of this step.
        gradient_norm: of all gradients together, before clipping.
        clipped: whether the gradient was cut.
        clip_rate: share of the steps made so far whose gradient was cut.
        loss_scale: what float16's loss was multiplied by; None in other precisions.
        bad_steps: skipped so far because a loss or gradient was not a number.
        overflows: skipped so far to lower the loss scale.
        data_s: seconds spent waiting for the batch.
        step_s: all other time of the step, in seconds.
        windows_per_s: T * B over both times.
        memory_gb: largest memory of the device so far, or of this process on a CPU.
        bad_step: where numbers were lost, in a bad step.
    """

    step: int
    epoch: int
    outcome: Outcome
    loss: float
    classification: float
    regression: float
    learning_rate: float
    gradient_norm: float
    clipped: bool
    clip_rate: float
    loss_scale: float | None
    bad_steps: int
    overflows: int
    data_s: float
    step_s: float
    windows_per_s: float
    memory_gb: float
    bad_step: BadStep | None = None


@dataclass(frozen=True)
class EpochReport:
    """One epoch.

    Attributes:
        epoch: from 0.
        step: the first step after it.
        loss: mean loss of the steps made.
        score: what ``best.pt`` follows, the larger the better; None where it could not be had.
        score_of: what that is.
        best: whether it is the largest so far.
        validation_s: seconds of the evaluation; 0 without one.
    """

    epoch: int
    step: int
    loss: float
    score: float | None
    score_of: str
    best: bool
    validation_s: float


class RunLog:
    """Writes the files of a run's folder that grow with it."""

    def __init__(
        self,
        run_dir: Path,
        first_step: int,
        first_epoch: int,
        logger: Logger | None = None,
    ) -> None:
        """Open the files of a run that goes on with ``first_step`` and ``first_epoch``.

        ``logger`` gets the same numbers.

        Lines of these and later ones, which a run left that was killed after its last checkpoint, are
        dropped.

        Raises:
            UsageError: something else than a regular file stands where one of them is written.
            DataError: a line of them is damaged.
            OSError: they cannot be written; so do the other methods.
        """
        steps, epochs = run_dir / METRICS_NAME, run_dir / EPOCHS_NAME
        for path in (steps, epochs):
            check_file_output(path)
        if steps.exists():
            logged = read_lines(steps, StepLine)
            _keep(steps, (line for line, found in logged if found.step < first_step))
        if epochs.exists():
            ended = read_lines(epochs, EpochLine)
            _keep(epochs, (line for line, found in ended if found.epoch < first_epoch))
        self._logger = logger
        self._curves = Curves(run_dir / "tensorboard", first_step)
        self._files = {path.name: path.open("a", encoding="utf-8") for path in (steps, epochs)}

    def write(self, report: StepReport) -> None:
        """Log one step."""
        self._write_line(METRICS_NAME, asdict(report))
        self._write_scalars("train", report, report.step)
        if report.bad_step is not None:
            with _naming(self._curves.path):
                self._curves.add_text(report.step, "train/bad_step", str(report.bad_step))

    def write_epoch(self, report: EpochReport) -> None:
        """Log one epoch."""
        self._write_line(EPOCHS_NAME, asdict(report))
        # At its last step: what a resumed run drops from the curves begins with the next one.
        self._write_scalars("epoch", report, report.step - 1)

    def _write_line(self, name: str, values: dict[str, Any]) -> None:
        line = {key: _plain(value) for key, value in values.items()}
        file = self._files[name]
        with _naming(Path(file.name)):
            file.write(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n")
            # Whoever watches the run, or looks after a crash, sees every step.
            file.flush()

    def _write_scalars(self, group: str, report: StepReport | EpochReport, step: int) -> None:
        points = {
            f"{group}/{name}": float(value)
            for name, value in vars(report).items()
            if name != "step" and isinstance(value, int | float)
        }
        with _naming(self._curves.path):
            self._curves.add(step, points)
        if self._logger is not None:
            self._logger(step, points, {})

    def write_pictures(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Log PNG files by the names they go by."""
        with _naming(self._curves.path):
            self._curves.add_pictures(step, {k: path.read_bytes() for k, path in pictures.items()})
        if self._logger is not None and pictures:
            self._logger(step, {}, pictures)

    def write_precision_recall(self, step: int, name: str, curve: PrecisionRecall) -> None:
        """Log a class's precision and recall over the score."""
        with _naming(self._curves.path):
            self._curves.add_precision_recall(step, name, curve)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Everything was flushed as it was written; what could not be is told already.
        with suppress(OSError) if error is not None else nullcontext():
            self._curves.close()
            for file in self._files.values():
                file.close()


def _plain(value: Any) -> Any:
    """JSON has no NaN: null for a number that is not one, its name within a group."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _named(inner) for key, inner in value.items()}
    return value


def _named(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _named(inner) for key, inner in value.items()}
    return value


def _keep(path: Path, lines: Iterable[bytes]) -> None:
    """Let a log hold ``lines`` of its own alone."""
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        file.writelines(lines)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of a file that is open already do not name it."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
