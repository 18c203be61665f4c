"""Beginning a run with the weights of another: whatever of them fits."""

from dataclasses import dataclass

from torch import Tensor

from dmanet.runs.records import Weights
from dmanet.training.averaging import WeightAverage
from dmanet.training.step import Trainer
from pipeline.errors import CheckpointError

_OF_CLASSES = ("class_head.output.weight", "class_head.output.bias")
_COUNTER = ".num_batches_tracked"
_MOST_NAMES = 10  # of tensors of another shape in a sentence


@dataclass(frozen=True)
class WarmStart:
    """What a run took from other weights; tensors by name.

    Attributes:
        source: the file.
        taken: those of the network that are the file's; the next three are as drawn from the seed.
        new: those that the file lacks.
        other_shape: those that the file has in another shape, with its shape and the network's.
        other_classes: those that belong to classes by number, where the file's classes are others.
        unused: those of the file that the network lacks.
    """

    source: str
    taken: tuple[str, ...]
    new: tuple[str, ...]
    other_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    other_classes: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """In one sentence, for whoever begins the run."""
        told = f"{self.source}: took {_told(self.taken)}"
        if self.new:
            told += f"; new are {_told(self.new)}"
        if self.other_shape:
            shapes = [
                f"{name} {found} instead of {wanted}"
                for name, (found, wanted) in list(self.other_shape.items())[:_MOST_NAMES]
            ]
            more = len(self.other_shape) - len(shapes)
            told += f"; of another shape and not taken are {', '.join(shapes)}"
            told += f" and {more} more" if more else ""
        if self.other_classes:
            told += f"; of other classes and not taken are {', '.join(self.other_classes)}"
        if self.unused:
            told += f"; not needed were {_told(self.unused)}"
        return f"{told}."


def warm_start(trainer: Trainer, weights: Weights, classes: tuple[str, ...]) -> WarmStart:
    """Give a trainer that has not begun the tensors of ``weights`` that fit by name and shape.

    Optimiser and schedule begin anew, and an average of the weights with what was taken.

    Args:
        trainer: of the run.
        weights: of any network of this project.
        classes: the name of each of the run's outputs.

    Raises:
        CheckpointError: the weights do not fit their own settings, or nothing of them fits the network.
    """
    weights.check()
    own, found = trainer.model.state_dict(), weights.tensors
    others = weights.classes is not None and weights.classes != classes
    other_classes = tuple(name for name in _OF_CLASSES if others and name in found)
    shapes = {
        name: (tuple(found[name].shape), tuple(tensor.shape))
        for name, tensor in own.items()
        if name in found and found[name].shape != tensor.shape and name not in other_classes
    }
    taken = {
        name: found[name]
        for name in own
        if name in found and name not in shapes and name not in other_classes
    }
    # How many batches statistics are of says nothing without them.
    taken = {name: tensor for name, tensor in taken.items() if _has_its_statistics(name, taken)}
    if not taken:
        raise CheckpointError(
            f"{weights.source}: no tensor of it fits this network by name and shape, so that there is "
            "nothing to begin with; leave training.init_from out, or give a network more alike."
        )
    trainer.model.load_state_dict(taken, strict=False)
    if trainer.average is not None:
        trainer.average = WeightAverage(trainer.model, trainer.average.decay)
    return WarmStart(
        weights.source,
        tuple(taken),
        tuple(name for name in own if name not in found),
        shapes,
        other_classes,
        tuple(name for name in found if name not in own),
    )


def _has_its_statistics(name: str, taken: dict[str, Tensor]) -> bool:
    return not name.endswith(_COUNTER) or f"{name.removesuffix(_COUNTER)}.running_mean" in taken


def _told(names: tuple[str, ...]) -> str:
    """How many tensors there are of each part of the network, in its order."""
    parts: dict[str, int] = {}
    for name in names:
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0) + 1
    listed = ", ".join(f"{part} {count}" for part, count in parts.items())
    return f"{len(names)} tensors ({listed})"
