"""Results of `dmanet evaluate --json`, read strictly and within bounds; without torch."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dmanet.evaluation.protocols import ProtocolResult
from pipeline.errors import DataError, UsageError
from pipeline.files.documents import MalformedError, parse_json
from pipeline.files.inputs import read_regular

_LARGEST_RESULT = 64 << 20  # bytes; ten thousand draws of every number have about 3 MB
_RESULT = TypeAdapter(ProtocolResult)


def read_result(file: Path) -> ProtocolResult:
    """The result in a file.

    Raises:
        UsageError: there is no such file, or it is none.
        DataError: it is not what `dmanet evaluate --json` writes.
    """
    try:
        data = read_regular(file, _LARGEST_RESULT)
    except FileNotFoundError:
        raise UsageError(f"{file}: cannot be read, there is no such file.") from None
    try:
        # parsed first: no key twice, no NaN, no depth without end
        result = _RESULT.validate_json(json.dumps(parse_json(data)), strict=True)
    except (MalformedError, ValidationError) as error:
        raise DataError(
            f"{file}: is not a result that `dmanet evaluate --json` wrote ({_reason(error)}); evaluate "
            "again."
        ) from None
    if sum(row.name == "all" for row in result.rows) != 1:
        raise DataError(
            f"{file}: lacks the row of all classes; evaluate again with `dmanet evaluate --json`."
        )
    return result


def _reason(error: MalformedError | ValidationError) -> str:
    if isinstance(error, MalformedError):
        return str(error)
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part)[:100] for part in problem["loc"])
    return f"{f'{place}: ' if place else ''}{problem['msg']}"
