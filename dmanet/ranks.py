"""Processes that train or judge together, one for each GPU, as torchrun starts them.

Messages between hosts' memories go by gloo, those between GPUs by nccl. What is here is collective:
every process makes the same calls in the same order, or all wait for the one that does not.
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
from pipeline.tasks.outcomes import Stopped

T = TypeVar("T")

#: How long one process waits for another that is alive; scoring, done by one, takes its time.
_PATIENCE = timedelta(hours=1)
_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_STOPPED, _FAILED = 1, 2


class RankError(PipelineError):
    """Another process failed or is gone, and this one cannot go on without it."""


@dataclass(frozen=True)
class Ranks:
    """This process among ``ranks`` that work together: number ``rank``, from 0; 0 writes.

    All methods are collective. With a single process they give back what they get.
    """

    rank: int = 0
    ranks: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> Tensor:
        """``tensor``, in place the sum of those of all processes; no gradient."""
        if self.ranks > 1:
            with _reachable():
                dist.all_reduce(tensor)
        return tensor

    def add_up_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Make each parameter's gradient the sum of those of all processes, sent in one piece.

        One that a process had no use for (samples of one window, without a memory) counts as 0, and
        one that none had a use for stays without a gradient.
        """
        if self.ranks == 1:
            return
        used = self.add_up(torch.tensor([p.grad is not None for p in parameters], dtype=torch.int))
        gradients = []
        for parameter, times in zip(parameters, used.tolist(), strict=True):
            if times and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        sums = self.add_up(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = sums.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def rows(self, own: Tensor) -> list[Tensor]:
        """The ``[G, K]`` of each process; G may differ."""
        if self.ranks == 1:
            return [own]
        sizes = torch.zeros(self.ranks, dtype=torch.int64, device=own.device)
        sizes[self.rank] = len(own)
        counts = self.add_up(sizes).tolist()
        padded = own.new_zeros((max(counts), *own.shape[1:]))
        padded[: len(own)] = own
        found = [torch.empty_like(padded) for _ in counts]
        with _reachable():
            dist.all_gather(found, padded)
        return [rows[:count] for rows, count in zip(found, counts, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.add_up(torch.tensor(int(flag))))

    def gathered(self, value: T) -> list[T]:
        """The value of each process, in the order of their ranks. It travels pickled."""
        if self.ranks == 1:
            return [value]
        values: list[Any] = [None] * self.ranks
        with _reachable():
            dist.all_gather_object(values, value)
        return values

    def gathered_by_first(self, value: T) -> list[T]:
        """:meth:`gathered` in the first process; nothing in the others."""
        if self.ranks == 1:
            return [value]
        values: list[Any] | None = [None] * self.ranks if self.first else None
        with _reachable():
            dist.gather_object(value, values)
        return values or []

    def from_first(self, value: T | None) -> T:
        """The value of the first process, which must have one."""
        values = [value]
        if self.ranks > 1:
            with _reachable():
                dist.broadcast_object_list(values)
        assert values[0] is not None
        return values[0]

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block, without collectives in it, that no process leaves before all; or all fail.

        Raises:
            RankError: another process failed in the block; it raises its own error, unless one
                before it says the same.
            Stopped: none failed, and one of them was stopped.
        """
        if self.ranks == 1:
            yield
            return
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        ends = torch.zeros(self.ranks, dtype=torch.int64)
        if error is not None:
            ends[self.rank] = _STOPPED if isinstance(error, Stopped) else _FAILED
        try:
            if not self.add_up(ends).any():
                return
            told = self.gathered("" if error is None else f"{error}" or type(error).__name__)
        except RankError:
            raise error or RankError(_GONE) from None
        failed = (ends == _FAILED).nonzero().flatten().tolist()
        if not failed:
            raise error or Stopped("another process of this run was asked to stop.")
        known = told[self.rank] in told[: self.rank]
        if error is not None and (not known or not isinstance(error, PipelineError)):
            raise error
        # With the reason: torchrun may end that process before it has told it.
        raise RankError(f"process {failed[0]} of {self.ranks} failed: {told[failed[0]]}")


#: A process that works alone.
ALONE = Ranks()


def launched() -> bool:
    """Whether torchrun, or something like it, started this process."""
    return all(name in os.environ for name in _TORCHRUN)


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """The processes that torchrun started, connected until the block ends; else this one alone.

    Raises:
        RankError: they do not find each other.
    """
    if not launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, rank=ranks.rank, world_size=ranks.ranks, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise RankError(
            f"The {ranks.ranks} processes of this run did not find each other ({_line(error)}); "
            "check what torchrun was started with."
        ) from error
    try:
        yield ranks
    except RankError:
        raise  # nobody is left to close the connections with
    except BaseException:
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


_GONE = "Another process of this run has ended, and this one cannot go on alone."


@contextmanager
def _reachable() -> Iterator[None]:
    """What torch raises when a process is gone, as one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise RankError(f"{_GONE[:-1]} ({_line(error)}); that one's message says why.") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
