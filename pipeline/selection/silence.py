"""Keep what a library of C prints off standard output, which may be a manifest's own."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """What C code prints on standard output meanwhile goes nowhere.

    HiGHS prints a line of its own where an inner solution fails its checks, whatever it is told.
    """
    try:
        kept = os.dup(1)
    except OSError:  # there is no standard output
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    flush = ctypes.CDLL(None).fflush  # C keeps what it prints until later
    try:
        flush(None)
        os.dup2(nowhere, 1)
        yield
    finally:
        flush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
