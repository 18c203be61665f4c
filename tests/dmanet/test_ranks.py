import os
import time

import pytest
import torch

from dmanet.device import own_device
from dmanet.ranks import ALONE, RankError, Ranks, joined_ranks
from pipeline.errors import DataError, UsageError
from pipeline.tasks.processes import Stopped
from tests.dmanet.ranks import on_ranks
from tests.dmanet.training_runs import CPU


def exchange(ranks):
    """One of each kind of exchange."""
    own = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * (ranks.rank + 1)
    weights = [torch.zeros(2, 2), torch.zeros(1), torch.zeros(1)]
    weights[0].grad = own.clone().T
    if ranks.is_main:
        weights[1].grad = torch.tensor([5.0])
    ranks.all_reduce_gradients(weights)
    return {
        "sums": ranks.all_reduce(own.clone()).tolist(),
        "gradients": [w.grad if w.grad is None else w.grad.tolist() for w in weights],
        "rows": [rows.tolist() for rows in ranks.all_gather_rows(own[: 2 - ranks.rank])],
        "any": [ranks.any(ranks.rank == 1), ranks.any(False)],
        "gathered": ranks.all_gather(("rank", ranks.rank)),
        "by_first": ranks.gather(ranks.rank),
        "broadcast": ranks.broadcast("word" if ranks.is_main else None),
    }


def test_every_exchange_gives_what_all_ranks_have():
    first, second = on_ranks(exchange)
    assert first["sums"] == [[3.0, 6.0], [9.0, 12.0]]
    assert first["gradients"] == [[[3.0, 9.0], [6.0, 12.0]], [5.0], None]
    assert first["rows"] == [[[1.0, 2.0], [3.0, 4.0]], [[2.0, 4.0]]]
    assert first["any"] == [True, False]
    assert first["gathered"] == [("rank", 0), ("rank", 1)]
    assert first["broadcast"] == "word"
    assert first.pop("by_first") == [0, 1]
    assert second.pop("by_first") == []
    assert first == second


def test_a_process_alone_gets_back_what_it_gives():
    alone = exchange(ALONE)
    assert alone["sums"] == alone["rows"][0] == [[1.0, 2.0], [3.0, 4.0]]
    assert alone["gradients"] == [[[1.0, 3.0], [2.0, 4.0]], [5.0], None]
    assert alone["gathered"] == [("rank", 0)]
    with pytest.raises(DataError, match="own"), ALONE.barrier():
        raise DataError("its own.")


def end_a_block(ranks: Ranks, errors: dict[int, Exception]):
    for _ in range(3):
        with ranks.barrier():
            pass
    with ranks.barrier():
        if ranks.rank in errors:
            raise errors[ranks.rank]
    return "through"


def test_a_block_ends_for_all_as_it_ends_for_one():
    assert on_ranks(end_a_block, {}) == ["through", "through"]
    first, second = on_ranks(end_a_block, {1: DataError("a chunk is damaged.")})
    assert (type(second), str(second)) == (DataError, "a chunk is damaged.")
    assert type(first) is RankError
    assert str(first) == "process 1 of 2 failed: a chunk is damaged."
    first, second = on_ranks(end_a_block, {0: Stopped("stop.")})
    assert isinstance(first, Stopped)
    assert isinstance(second, Stopped)


def test_an_error_of_all_is_told_once_and_another_one_too():
    same = {rank: UsageError("wrong.") for rank in range(2)}
    first, second = on_ranks(end_a_block, same)
    assert [type(first), type(second)] == [UsageError, RankError]
    first, second = on_ranks(end_a_block, {0: DataError("one."), 1: DataError("two.")})
    assert [str(first), str(second)] == ["one.", "two."]


def lose_a_rank(ranks):
    if not ranks.is_main:
        os._exit(3)
    time.sleep(0.2)
    ranks.all_reduce(torch.zeros(3))


def test_a_rank_that_is_gone_ends_the_others_with_a_sentence():
    began = time.perf_counter()
    first, second = on_ranks(lose_a_rank)
    assert isinstance(second, EOFError)
    assert isinstance(first, RankError)
    assert str(first).startswith("Another process of this run has ended")
    assert "\n" not in str(first)
    assert time.perf_counter() - began < 30


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with joined_ranks(CPU) as ranks:
        assert ranks == ALONE
    assert own_device("cpu") == CPU
