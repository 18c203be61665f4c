"""What a choice of recordings seeks: class shares near a target, or a smallest share that is large."""

from dataclasses import dataclass

import numpy as np

from pipeline.selection.drift import class_shares, total_variation

_TIE_WEIGHT = 0.01  # so that a search sees which way leads to a class that is still missing


@dataclass(frozen=True)
class Goal:
    """A distance of class counts from what is sought: 0 is reached, 1 is as far as can be.

    Attributes:
        present: Which classes there are to choose, bool ``[C]``.
        target: Shares to come near, float64 ``[C]``, and the distance is the total variation; ``None``
            to make the smallest share large, and the distance is what it lacks to equal shares, as a
            part of that.
    """

    present: np.ndarray
    target: np.ndarray | None = None

    @property
    def equal_share(self) -> float:
        """The share of each class that is present where all are equal."""
        return 1 / max(1, int(self.present.sum()))

    def distance(self, counts: np.ndarray) -> np.ndarray:
        """Distance of boxes by class ``[..., C]``: ``[...]``."""
        shares = class_shares(counts)
        if self.target is not None:
            return total_variation(shares, self.target)
        if not self.present.any():
            return np.zeros(shares.shape[:-1])
        return 1 - shares[..., self.present].min(axis=-1) / self.equal_share

    def slope(self, counts: np.ndarray) -> np.ndarray:
        """The distance as a search climbs it: among equal ones, nearer to equal shares is less."""
        if self.target is not None or not self.present.any():
            return self.distance(counts)
        equal = class_shares(self.present.astype(np.float64))
        far = total_variation(class_shares(counts), equal)
        return self.distance(counts) + _TIE_WEIGHT * far

    def measure(self, distance: float) -> float:
        """A distance as people say it: the total variation, or the smallest share."""
        return distance if self.target is not None else (1 - distance) * self.equal_share
