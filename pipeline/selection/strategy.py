"""The strategies by which a subset is chosen: the names of ``--strategy``."""

from enum import StrEnum


class Strategy(StrEnum):
    """What decides between the recordings of a split."""

    STRATIFIED = "stratified"  # keep the class shares of the source
    BALANCED = "balanced"  # seek equal class shares, which raises rare classes
    UNIFORM = "uniform"  # draw recordings at random
    FIRST = "first"  # take recordings in order
