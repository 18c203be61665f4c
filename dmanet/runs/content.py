"""What a checkpoint file may hold, field by field and type by type, before anything is made of it."""

from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from dmanet.runs.stored_classes import StoredClasses

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Tensors = dict[str, Tensor]


class _Content(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True
    )


class TallyContent(_Content):
    """Counts of a run's steps."""

    made: _Count
    clipped: _Count
    bad: _Count
    bad_in_a_row: _Count
    overflows: _Count
    epoch_made: _Count
    epoch_loss: float


class LevelContent(_Content):
    """What one recurrent level remembers."""

    hidden: Tensor
    cell: Tensor
    feature: Tensor


class AverageContent(_Content):
    """A running average of the weights."""

    updates: _Count
    tensors: _Tensors


class OptimizerContent(_Content):
    """An optimiser's state dict."""

    state: dict[_Count, dict[str, Tensor]]
    param_groups: Annotated[list[dict[str, Any]], Field(min_length=1)]


class CheckpointContent(_Content):
    """The fields of a :class:`~dmanet.runs.records.Checkpoint` as a file holds them."""

    settings: dict[str, Any]
    model: _Tensors
    optimizer: OptimizerContent
    scaler: dict[str, int | float]
    average: AverageContent | None
    carried: tuple[LevelContent, ...] | None
    epoch: _Count
    position: _Count
    step: _Count
    tally: TallyContent
    best_score: Annotated[float, Field(allow_inf_nan=False)] | None
    cache: str
    recordings: dict[str, str]
    classes: StoredClasses
    cache_settings: dict[str, Any] | None = None


def first_problem(error: ValidationError) -> str:
    """Which field of a file is wrong, and why; the first of them."""
    problem = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in problem["loc"])
    return f"'{name[:100]}': {problem['msg']}"


def check_tensors(
    found: dict[str, Tensor], expected: dict[str, Tensor], *, finite: bool = True
) -> str | None:
    """What is wrong with tensors, naming the first that is; None where nothing is.

    Args:
        found: by name.
        expected: tensors of the names, shapes and dtypes that they must have; their numbers are not
            looked at.
        finite: a number that is none is wrong too.
    """
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            return f"the tensor '{name}' is missing"
        tensor = found[name]
        if name not in expected:
            return f"the tensor '{name[:100]}' is surplus"
        shape, wanted = tuple(tensor.shape), tuple(expected[name].shape)
        if shape != wanted:
            return f"the tensor '{name}' has the shape {shape} instead of {wanted}"
        if tensor.dtype != expected[name].dtype:
            return f"the tensor '{name}' has the dtype {tensor.dtype} instead of {expected[name].dtype}"
    if finite:
        for name in sorted(found):
            if not bool(torch.isfinite(found[name]).all()):
                return f"the tensor '{name}' holds a number that is not finite"
    return None
