"""The release's published label counts beside what is there, as the statistics hold it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedStatistics:
    """Published counts, ``published[split][class]``, and the same under each rule that was tried.

    ``counts[rule][split][class]``: boxes that a rule keeps. ``difference[rule]``: sum of all absolute
    differences over the sum of the published counts. ``reproduced_by`` names the rules that give every
    published number.
    """

    published: dict[str, dict[str, int]]
    counts: dict[str, dict[str, dict[str, int]]]
    difference: dict[str, float]
    reproduced_by: tuple[str, ...]
