"""What a training run says about each step: a JSON-lines file and TensorBoard scalars."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from pipeline.atomic import written_whole


@dataclass(frozen=True)
class StepReport:
    """One optimiser step.

    ``loss`` is what was minimised, ``classification`` and ``regression`` its terms; all are sums
    over the T windows of a sample, means over the samples. ``gradient_norm`` is the norm before
    clipping. ``data_s`` is the time spent waiting for the batch, ``step_s`` all other time.
    """

    step: int
    epoch: int
    loss: float
    classification: float
    regression: float
    learning_rate: float
    gradient_norm: float
    data_s: float
    step_s: float
    windows_per_s: float


class RunLog:
    """Writes ``metrics.jsonl`` (one line a step) and ``tensorboard/`` into a run's folder."""

    def __init__(self, run_dir: Path, first_step: int) -> None:
        """``first_step``: of a resumed run, the step it goes on with; later lines are dropped."""
        path = run_dir / "metrics.jsonl"
        if path.exists():
            _drop_lines_from(path, first_step)
        self._lines = path.open("a", encoding="utf-8")
        self._scalars = SummaryWriter(str(run_dir / "tensorboard"), purge_step=first_step)

    def write(self, report: StepReport) -> None:
        """Log one step."""
        values = asdict(report)
        self._lines.write(json.dumps(values) + "\n")
        self._lines.flush()  # whoever watches the run, or looks after a crash, sees every step
        step = values.pop("step")
        for name, value in values.items():
            self._scalars.add_scalar(f"train/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._scalars.close()


def _drop_lines_from(path: Path, step: int) -> None:
    """Keep the lines of earlier steps. The last line may be cut short where a run was killed."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] < step:
                kept.append(line + "\n")
        except ValueError:
            continue
    with written_whole(path) as unfinished:
        unfinished.write_text("".join(kept), encoding="utf-8")
