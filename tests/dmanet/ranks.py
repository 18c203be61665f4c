"""Runs a function in several processes that work together, connected as torchrun connects them."""

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from typing import Any

import torch

from dmanet.ranks import joined_ranks
from tests.dmanet.training_runs import CPU


def on_ranks(function: Callable[..., Any], *arguments: Any, ranks: int = 2) -> list[Any]:
    """What ``function(ranks, *arguments)`` returns in each process, or the error that it raised."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(ranks)]
    children = [
        context.Process(target=_run, args=(rank, ranks, port, pipe[1], function, arguments))
        for rank, pipe in enumerate(pipes)
    ]
    for child, (_, end) in zip(children, pipes, strict=True):
        child.start()
        end.close()
    results = []
    for receiver, _ in pipes:
        try:
            there = receiver.poll(100)
            results.append(pickle.loads(receiver.recv_bytes()) if there else TimeoutError())
        except EOFError:
            results.append(EOFError())  # the process has ended without a word
    for child in children:
        child.kill()
        child.join()
    return results


def _run(rank: int, ranks: int, port: int, pipe: Any, function: Any, arguments: Any) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        with joined_ranks(CPU) as joined:
            result = function(joined, *arguments)
    except Exception as error:
        traceback.print_exc()
        result = error
    pipe.send_bytes(pickle.dumps(result))  # tensors as their values, not as shared memory
