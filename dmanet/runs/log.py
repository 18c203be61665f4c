"""What a training run says about itself: JSON-lines files and TensorBoard scalars.

``metrics.jsonl`` has one line a step, ``epochs.jsonl`` one line an epoch, ``tensorboard/`` the same
numbers. A value that is not finite is null in a JSON line, and a text such as "nan" within
``bad_step``.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from dmanet.runs.outcomes import BadStep, Outcome
from pipeline.files.whole import written_whole

METRICS_NAME = "metrics.jsonl"
EPOCHS_NAME = "epochs.jsonl"


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

    def __init__(self, run_dir: Path, first_step: int, first_epoch: int) -> None:
        """Open the files of a run that goes on with ``first_step`` and ``first_epoch``.

        Lines of these and later ones, which a run left that was killed after its last checkpoint, are
        dropped.
        """
        self._files = {}
        for name, key, first in (
            (METRICS_NAME, "step", first_step),
            (EPOCHS_NAME, "epoch", first_epoch),
        ):
            path = run_dir / name
            if path.exists():
                _drop_lines_from(path, key, first)
            self._files[name] = path.open("a", encoding="utf-8")
        self._scalars = SummaryWriter(str(run_dir / "tensorboard"), purge_step=first_step)

    def write(self, report: StepReport) -> None:
        """Log one step."""
        self._write_line(METRICS_NAME, asdict(report))
        self._write_scalars("train", report, report.step)
        if report.bad_step is not None:
            self._scalars.add_text("train/bad_step", str(report.bad_step), report.step)

    def write_epoch(self, report: EpochReport) -> None:
        """Log one epoch."""
        self._write_line(EPOCHS_NAME, asdict(report))
        # At its last step: what a resumed run drops from the curves begins with the next one.
        self._write_scalars("epoch", report, report.step - 1)

    def _write_line(self, name: str, values: dict[str, Any]) -> None:
        line = {key: _plain(value) for key, value in values.items()}
        self._files[name].write(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n")
        # Whoever watches the run, or looks after a crash, sees every step.
        self._files[name].flush()

    def _write_scalars(self, group: str, report: StepReport | EpochReport, step: int) -> None:
        for name, value in vars(report).items():
            if name != "step" and isinstance(value, int | float):
                self._scalars.add_scalar(f"{group}/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        self._scalars.close()


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


def _drop_lines_from(path: Path, key: str, first: int) -> None:
    """Keep the lines before ``first``. The last line may be cut short where a run was killed."""
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)[key] < first:
                kept.append(line + "\n")
        except ValueError:
            continue
    with written_whole(path) as unfinished:
        unfinished.write_text("".join(kept), encoding="utf-8")
