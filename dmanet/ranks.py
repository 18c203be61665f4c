"""The processes of one run, one for each GPU, as torchrun starts them.

Tensors on CPUs travel by gloo, tensors on GPUs by nccl. Everything here is collective: every process
makes the same calls in the same order, or all wait for the one that does not.

Tested with processes on CPUs (gloo); untested on GPUs (nccl).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.tasks.processes import Stopped

T = TypeVar("T")

#: How long a process waits for another that is alive; only one of them scores, which takes long.
_TIMEOUT = timedelta(hours=1)
_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_STOPPED, _FAILED = 1, 2


class RankError(PipelineError):
    """Another process failed or has ended, and this one cannot go on alone."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of its run; all methods are collective.

    With a single process they return what they get.

    Attributes:
        rank: number of this process, from 0; process 0 writes the files.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Sum ``tensor`` over all processes, in place and without a gradient."""
        if self.world_size > 1:
            with _reachable():
                dist.all_reduce(tensor)
        return tensor

    # Not DistributedDataParallel: it renames weights, averages where our losses add up, and must be told
    # to search for weights that a rank left unused. Unlike it, nothing overlaps; untested on GPUs.
    def all_reduce_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sum each parameter's gradient over all processes, in one message.

        A gradient that this process lacks (samples of one window never use a memory) counts as 0; one
        that all processes lack stays None.
        """
        if self.world_size == 1:
            return
        has_gradient = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int)
        gradients = []
        for parameter, times in zip(
            parameters, self.all_reduce(has_gradient).tolist(), strict=True
        ):
            if times and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        sums = self.all_reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = sums.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def all_gather_rows(self, rows: Tensor) -> list[Tensor]:
        """The ``[G, K]`` tensor of each process; G may differ."""
        if self.world_size == 1:
            return [rows]
        sizes = torch.zeros(self.world_size, dtype=torch.int64, device=rows.device)
        sizes[self.rank] = len(rows)
        counts = self.all_reduce(sizes).tolist()
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        gathered = [torch.empty_like(padded) for _ in counts]
        with _reachable():
            dist.all_gather(gathered, padded)
        return [of_rank[:count] for of_rank, count in zip(gathered, counts, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set in any process."""
        return bool(self.all_reduce(torch.tensor(int(flag))))

    def all_gather(self, value: T) -> list[T]:
        """The value of each process, by rank. It travels pickled."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        with _reachable():
            dist.all_gather_object(values, value)
        return values

    def gather(self, value: T) -> list[T]:
        """The value of each process, by rank, in the main process; an empty list in the others."""
        if self.world_size == 1:
            return [value]
        values: list[Any] | None = [None] * self.world_size if self.is_main else None
        with _reachable():
            dist.gather_object(value, values)
        return values or []

    def broadcast(self, value: T | None) -> T:
        """The main process's value, which must not be None; the others' are ignored."""
        values = [value]
        if self.world_size > 1:
            with _reachable():
                dist.broadcast_object_list(values)
        assert values[0] is not None
        return values[0]

    @contextmanager
    def barrier(self) -> Iterator[None]:
        """A block that no process leaves before all have reached its end; if one fails, all fail.

        The block itself must not make collective calls.

        Raises:
            RankError: another process failed in the block. The one that failed raises its own error,
                unless a lower rank raises the same sentence.
            Stopped: none failed, and one of them was stopped.
        """
        if self.world_size == 1:
            yield
            return
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        ends = torch.zeros(self.world_size, dtype=torch.int64)
        if error is not None:
            ends[self.rank] = _STOPPED if isinstance(error, Stopped) else _FAILED
        try:
            if not self.all_reduce(ends).any():
                return
            messages = self.all_gather("" if error is None else f"{error}" or type(error).__name__)
        except RankError:
            raise error or RankError(_GONE) from None
        failed = (ends == _FAILED).nonzero().flatten().tolist()
        if not failed:
            raise error or Stopped("another process of this run was asked to stop.")
        repeated = messages[self.rank] in messages[: self.rank]
        if error is not None and (not repeated or not isinstance(error, PipelineError)):
            raise error
        # With the reason: torchrun may end that process before it has printed it.
        raise RankError(f"process {failed[0]} of {self.world_size} failed: {messages[failed[0]]}")


#: The only process of its run.
ALONE = Ranks()


def launched() -> bool:
    """Whether torchrun, or something like it, started this process."""
    return all(name in os.environ for name in _TORCHRUN)


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Connect the processes that torchrun started, until the block ends; else this one is alone.

    Raises:
        RankError: the processes do not find each other.
    """
    if not launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(
            backend, rank=ranks.rank, world_size=ranks.world_size, timeout=_TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        raise RankError(
            f"The {ranks.world_size} processes of this run did not find each other ({_line(error)}); "
            "check what torchrun was started with."
        ) from error
    try:
        yield ranks
    except RankError:
        raise  # closing needs the others, and they are gone
    except BaseException:
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


_GONE = "Another process of this run has ended, and this one cannot go on alone."


@contextmanager
def _reachable() -> Iterator[None]:
    """Turn what torch raises when a process is gone into one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise RankError(f"{_GONE[:-1]} ({_line(error)}); that one's message says why.") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
