"""Processes that read ahead, kept alive when the whole group of processes gets a signal.

Ctrl-C in a terminal and many batch systems signal every process. A reader that died of it would take
the training process with it, in the middle of a step; it ends by itself once that process has ended.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the block ends; processes started in it never hear them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
