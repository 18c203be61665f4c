"""The strategies by which a subset is chosen: the names of ``--strategy``."""

from enum import StrEnum


class Strategy(StrEnum):
    """What decides between the recordings of a split."""

    STRATIFIED = "stratified"  # keep the class shares of the source
    BALANCED = "balanced"  # make the smallest class share as large as can be
    TARGET = "target"  # come near to given class shares
    UNIFORM = "uniform"  # draw recordings at random
    FIRST = "first"  # take recordings in order
