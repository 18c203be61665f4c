"""Windows of one recording, and samples of several that are read together."""

from typing import NamedTuple


class WindowRange(NamedTuple):
    """Windows ``start`` to ``stop`` (exclusive) of the recording ``recording``."""

    recording: str
    start: int
    stop: int


class Sample(NamedTuple):
    """T windows of one slot of a batch.

    Attributes:
        pieces: the windows in order, T together. A second piece begins a recording behind the end of
            another, or repeats a window; where there are stops (:mod:`dmanet.data.stops`), it may be
            a window at rest or follow one.
        draws: a random number for each piece, 0...2**63 - 1: the seed of its augmentation. It is the
            same for all that one slot reads of one recording without a break.
        continues: the first window follows the last one of the same slot in the batch before.
        counted: leading windows that are to be learned from. Fewer than T at the end of a stream
            only, where its last window is repeated to keep the batch's shape.
        rests: 0 for each piece that is shown, k for one that is at rest for the k-th time; empty where
            all are shown.
    """

    pieces: tuple[WindowRange, ...]
    draws: tuple[int, ...]
    continues: bool
    counted: int
    rests: tuple[int, ...] = ()

    def rest_of_pieces(self) -> tuple[int, ...]:
        """``rests``, one for each piece."""
        return self.rests or (0,) * len(self.pieces)
