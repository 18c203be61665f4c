"""A network's class names, as its files hold them.

Where they are all the DLUT's they are its numbers, as in files from before there were others.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.release.classes import MOST_CLASSES, ClassNames
from pipeline.release.labels import CLASS_NAMES

_Number = Annotated[int, Field(ge=0, lt=len(CLASS_NAMES))]
_Numbers = Annotated[tuple[_Number, ...], Field(min_length=1, max_length=MOST_CLASSES)]
#: Of a file's field.
StoredClasses = _Numbers | ClassNames


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True)

    classes: StoredClasses


def stored_classes(names: Sequence[str]) -> tuple[int, ...] | tuple[str, ...]:
    """What a file holds for these names."""
    if set(names) <= set(CLASS_NAMES):
        return tuple(CLASS_NAMES.index(name) for name in names)
    return tuple(names)


def names_of(stored: Any) -> tuple[str, ...]:
    """The names that a file holds as a list or a tuple.

    Raises:
        ValueError: it holds something else.
    """
    values = tuple(stored) if isinstance(stored, list | tuple) else stored
    try:
        classes = _Stored.model_validate({"classes": values}).classes
    except ValidationError:
        raise ValueError("they are neither names nor numbers of the DLUT's classes") from None
    return tuple(CLASS_NAMES[one] if isinstance(one, int) else one for one in classes)
