"""Which classes of a data set a release gets, and under which numbers its boxes are written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UsageError
from pipeline.release.classes import DLUT, ClassMap, class_numbers

_LEFT_OUT = -1


@dataclass(frozen=True)
class ClassChoice:
    """How the boxes of a data set become those of a release.

    Attributes:
        class_map: The release's.
        numbers: The release's class number of each of the data set's; -1 for boxes that are left out.
    """

    class_map: ClassMap = DLUT
    numbers: tuple[int, ...] = tuple(range(len(DLUT.classes)))

    def apply(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes under the release's class numbers, without those that are left out.

        Numbers that the data set does not have stay as they are: no class of the release has them, so
        that they are found as wrong.

        Args:
            boxes: ``LABEL_DTYPE [M]``.
        """
        table = np.arange(256)
        table[: len(self.numbers)] = self.numbers
        numbers = table[boxes["class_id"]]
        kept = boxes[numbers != _LEFT_OUT]
        kept["class_id"] = numbers[numbers != _LEFT_OUT]
        return kept


#: All classes of the DLUT release, as they are.
DLUT_CHOICE = ClassChoice()


def choose_classes(
    class_map: ClassMap,
    merged: Iterable[tuple[str, str]] = (),
    kept: Sequence[str] | None = None,
) -> ClassChoice:
    """Classes of a data set merged into one another, then some of them kept, in the data set's order.

    Args:
        class_map: The data set's.
        merged: Pairs of names; boxes of the first become boxes of the second.
        kept: Names of the classes to keep; all for ``None``.

    Raises:
        UsageError: A name is no class, or is named twice, or was merged into another before.
    """
    names = class_map.classes
    into: dict[int, int] = {}
    for source, target in merged:
        (one,), (other,) = class_numbers([source], names), class_numbers([target], names)
        if one == other or one in into or other in into or one in into.values():
            raise UsageError(
                f"{names[one]}={names[other]}: merge a class once, into one that stays itself."
            )
        into[one] = other
    left = tuple(name for number, name in enumerate(names) if number not in into)
    if kept is not None:
        chosen = class_numbers(kept, left)
        left = tuple(name for number, name in enumerate(left) if number in chosen)
    numbers = []
    for number in range(len(names)):
        name = names[into.get(number, number)]
        numbers.append(left.index(name) if name in left else _LEFT_OUT)
    return ClassChoice(class_map.model_copy(update={"classes": left}), tuple(numbers))
