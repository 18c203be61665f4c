"""Progress bars, on stderr."""

import sys
from collections.abc import Callable
from typing import Any


def progress_bar(total: int | None, unit: str, quiet: bool, **options: Any) -> Any:
    """A tqdm bar on stderr; silent with ``--quiet`` and where nobody watches.

    Args:
        total: how many there are to do; ``None`` where that is not known beforehand.
        unit: what is counted.
        quiet: show nothing.
        options: further options of :class:`tqdm.tqdm`.
    """
    from tqdm import tqdm

    return tqdm(
        total=total, unit=unit, disable=quiet or not sys.stderr.isatty(), leave=False, **options
    )


def reach(bar: Any) -> Callable[[int, int], None]:
    """What moves ``bar`` to "so many done, of so many", both counted from the begin."""

    def move(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return move
