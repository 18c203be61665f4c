"""How far a recording's file is read, and what happens at the end of one that still grows."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RecordingError
from pipeline.files.inputs import open_regular

_POLL_S = 0.1


@dataclass(frozen=True)
class Growth:
    """A file that somebody still writes.

    Attributes:
        quiet_s: seconds without growth after which nothing more is waited for; None waits for ever.
        stopped: asked while waiting; True ends it.
    """

    quiet_s: float | None
    stopped: Callable[[], bool]

    def wait(self, path: Path, size: int) -> bool:
        """Whether the file has more than ``size`` bytes: True once it has, False when no more come.

        Raises:
            RecordingError: it has fewer.
            OSError: it cannot be looked at.
        """
        begin = time.monotonic()
        while not self.stopped():
            found = os.stat(path).st_size
            if found < size:
                raise RecordingError(f"{path}: became shorter while it was read; run again.")
            if found > size:
                return True
            if self.quiet_s is not None and time.monotonic() - begin >= self.quiet_s:
                return False
            time.sleep(_POLL_S if self.quiet_s is None else min(_POLL_S, self.quiet_s))
        return False


@dataclass
class Reading:
    """One pass over a recording's file.

    Attributes:
        growth: how its end is waited for; None for a file that is whole.
        share: of it that has been read, 0…1; None where its format does not tell.
    """

    growth: Growth | None = None
    share: float | None = None


def pieces(path: Path, start: int, word: int, length: int, reading: Reading) -> Iterator[bytes]:
    """A file's bytes from ``start`` on, whole words of ``word`` bytes, about ``length`` at a time.

    Of a file that grows all is given that comes, with an empty piece each time that all of it has been
    read; what is left of a word at its end is left out.

    Raises:
        RecordingError: a file that is whole ends within a word, or a growing one became shorter.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(start)
        place, rest = start, b""
        while True:
            data = file.read(length)
            if not data:
                if reading.growth is None:
                    break
                yield b""
                if not reading.growth.wait(path, place + len(rest)):
                    return
                continue
            data = rest + data
            whole = len(data) // word * word
            place, rest = place + whole, data[whole:]
            reading.share = place / max(size, place)
            if whole:
                yield data[:whole]
        if rest:
            raise RecordingError(
                f"{path}: truncated, it ends within the word at byte {place}; download it again."
            )
