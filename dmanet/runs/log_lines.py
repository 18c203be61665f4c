"""The JSON lines of a run's log, read back: strictly, a line at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmanet.runs.outcomes import Outcome
from pipeline.errors import DataError
from pipeline.files.documents import MalformedError, parse_json
from pipeline.files.inputs import open_regular

METRICS_NAME = "metrics.jsonl"
EPOCHS_NAME = "epochs.jsonl"
LONGEST_LINE = 1 << 20  # bytes; one with the windows of a bad step may have some thousand

_Count = Annotated[int, Field(ge=0, lt=2**63)]


class LogLine(BaseModel):
    """One line; what else than its fields it holds is for people and other programs."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class StepLine(LogLine):
    """A step in ``metrics.jsonl``."""

    step: _Count
    outcome: Outcome
    bad_steps: _Count
    overflows: _Count


class EpochLine(LogLine):
    """An epoch in ``epochs.jsonl``."""

    epoch: _Count
    loss: Annotated[float, Field(allow_inf_nan=False)] | None


L = TypeVar("L", bound=LogLine)


def read_lines(file: Path, kind: type[L]) -> Iterator[tuple[bytes, L]]:
    """Each line as it stands and as what it says. A last one cut short by a kill is left out.

    Raises:
        UsageError: it is no regular file.
        DataError: a line is no line of such a log.
        OSError: it cannot be read.
    """
    with open_regular(file) as opened:
        number = 0
        while line := opened.readline(LONGEST_LINE + 1):
            number += 1
            whole = line.endswith(b"\n")
            try:
                if len(line) > LONGEST_LINE:
                    raise MalformedError(f"it is longer than {LONGEST_LINE} bytes")
                found = kind.model_validate(parse_json(line))
            except (MalformedError, ValidationError) as error:
                if not whole and len(line) <= LONGEST_LINE:
                    return
                raise DataError(
                    f"{file}, line {number}: is no line of a log that `dmanet train` wrote "
                    f"({_reason(error)}); the file is damaged, leave the run out or move the file away."
                ) from None
            yield (line if whole else line + b"\n"), found


def _reason(error: MalformedError | ValidationError) -> str:
    if isinstance(error, MalformedError):
        return str(error)
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'all of it'}: {problem['msg']}"
