"""RAW files written and read word by word, independently of the decoder and as the cameras do it."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np

Event = tuple[int, int, int, int]  # t in µs, x, y, p


def evt3_words(events: Iterable[Event], *, vectors: bool = False) -> list[int]:
    """Words of EVT 3.0: every step of the high time is written, as cameras write it.

    With ``vectors``, neighbours in a row at one time become a base and a vector word.
    """
    words, high, low, row = [0x8000], 0, None, None
    left = deque(events)
    while left:
        t, x, y, p = left.popleft()
        while high < t >> 12:
            high, low = high + 1, None
            words.append(0x8000 | high & 0xFFF)
        if low != t & 0xFFF:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if row != y:
            row = y
            words.append(y)
        valid = 1
        while vectors and left and left[0][0] == t and left[0][2:] == (y, p):
            step = left[0][1] - x
            if not 0 < step < 12 or valid >> step:
                break
            valid |= 1 << step
            left.popleft()
        if valid == 1:
            words.append(0x2000 | p << 11 | x)
        else:
            words += [0x3000 | p << 11 | x, 0x4000 | valid]
    return words


def evt2_words(events: Iterable[Event]) -> list[int]:
    """Words of EVT 2.0."""
    words, high = [], None
    for t, x, y, p in events:
        if high != t >> 6:
            high = t >> 6
            words.append(0x80000000 | high & 0xFFFFFFF)
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    return words


def write_raw(
    path: Path, encoding: str, words: Iterable[int], size: tuple[int, int] = (64, 48)
) -> None:
    """A RAW file of these words."""
    header = (
        f"% evt {encoding}\n% format EVT{encoding[0]};height={size[1]};width={size[0]}\n% end\n"
    )
    body = np.array(list(words), "<u2" if encoding == "3.0" else "<u4").tobytes()
    path.write_bytes(header.encode() + body)


def slow_evt2(words: Iterable[int]) -> list[Event]:
    """Events of EVT 2.0 words, one word after the other."""
    events, high, turns = [], None, 0
    for word in words:
        kind = word >> 28
        if kind == 8:
            new = word & 0xFFFFFFF
            if high is not None and high - new > 1 << 27:
                turns += 1
            high = new
        elif kind in (0, 1) and high is not None:
            t = (turns << 34) + (high << 6) + (word >> 22 & 63)
            events.append((t, word >> 11 & 0x7FF, word & 0x7FF, kind))
    return events


def slow_evt3(words: Iterable[int]) -> list[Event]:
    """Events of EVT 3.0 words, one word after the other, after the format's public description."""
    events: list[Event] = []
    high = low = row = base = polarity = turns = 0
    known = False
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 0x0:
            row = value & 0x7FF
        elif kind == 0x2:
            if known:
                events.append(((turns << 24) + (high << 12) + low, value & 0x7FF, row, value >> 11))
        elif kind == 0x3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (0x4, 0x5):
            width = 12 if kind == 0x4 else 8
            t = (turns << 24) + (high << 12) + low
            events += [
                (t, base + k, row, polarity) for k in range(width) if known and value >> k & 1
            ]
            base += width
        elif kind == 0x6:
            low = value
        elif kind == 0x8:
            if known and high - value > 1 << 11:
                turns += 1
            high, low, known = value, 0, True
    return events
