"""Which of a cache's boxes a network learns, and under which numbers."""

import torch
from torch import Tensor

from dmanet.detection.losses import Targets


def class_outputs(cached: tuple[int, ...], classes: tuple[int, ...]) -> Tensor:
    """Where the boxes of a cache's classes go among a network's outputs.

    Args:
        cached: the cache's classes, by the release's numbers.
        classes: the network's, by the release's numbers.

    Returns:
        int64, for each class of the cache its place in ``classes``, -1 where it is not among them.
    """
    return torch.tensor([classes.index(c) if c in classes else -1 for c in cached])


def select_classes(targets: Targets, outputs: Tensor) -> Targets:
    """The boxes of a network's classes, under the numbers of its outputs.

    Args:
        targets: boxes with the cache's numbers.
        outputs: what :func:`class_outputs` gives.
    """
    classes = outputs[targets.classes]
    kept = classes >= 0
    return Targets(targets.boxes[kept], classes[kept], targets.frame[kept])
