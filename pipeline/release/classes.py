"""Class maps: what the class numbers of a data set mean, and the rules its boxes are published with.

A release has one. The built-in ones are :data:`CLASS_MAPS`; others are YAML files.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.errors import SettingsError, UsageError
from pipeline.files.documents import MalformedError, parse_yaml
from pipeline.files.inputs import read_regular
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import SENSOR_SIZE, SKIP_US, is_sensor
from pipeline.settings import StrictSettings, load_settings, shown

MOST_CLASSES = 255  # a box's class number has eight bits, and one of them stands for no class
_LONGEST_NAME = 60  # characters
_LARGEST_FILE = 1 << 16  # bytes; 255 names are about 5 kB
_LONGEST_SKIP = 3600.0  # seconds
_MOST_PIXELS = 1e6  # of a side or a diagonal that a rule asks for


def _plain(name: str) -> str:
    if not name.isprintable() or name != name.strip() or set(name) & set(",=") or not name:
        raise ValueError(f"{shown(name)} is no name: letters, digits and spaces inside")
    if folded(name) == "all":
        raise ValueError("'all' is what tables call the sum over the classes; name it otherwise")
    return name


def folded(name: str) -> str:
    """A class's name as it is compared with what somebody types: ``Two_Wheeler`` is two wheeler."""
    return name.strip().lower().replace("_", " ")


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(map(folded, names))) < len(names):
        raise ValueError("a class is named twice")
    return names


def _possible(sensor: tuple[int, int] | None) -> tuple[int, int] | None:
    if sensor is not None and not is_sensor(*sensor):
        raise ValueError("no sensor has this size")
    return sensor


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_number(value: Any) -> Any:
    return float(value) if type(value) is int and abs(value) < 1 << 53 else value


ClassName = Annotated[str, Field(max_length=_LONGEST_NAME), AfterValidator(_plain)]
#: Names of classes by their numbers, each once.
ClassNames = Annotated[
    tuple[ClassName, ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1, max_length=MOST_CLASSES),
    AfterValidator(_each_once),
]
_Pixels = Annotated[float, BeforeValidator(_as_number), Field(ge=0, le=_MOST_PIXELS)]

#: What a data set is called.
DataSetName = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_plain)]


class ClassMap(StrictSettings):
    """The classes of a data set, and its label rules as published.

    Raises:
        SettingsError: a value is wrong.
    """

    name: DataSetName = Field(description="what the data set is called")
    classes: ClassNames = Field(description="names of the classes 0, 1, … in this order")
    sensor: Annotated[
        tuple[int, int] | None, BeforeValidator(_as_tuple), AfterValidator(_possible)
    ] = Field(default=None, description="width and height in pixels of recordings that state none")
    min_diagonal: _Pixels = Field(default=0.0, description="smallest kept box, sensor pixels")
    min_side: _Pixels = Field(default=0.0, description="shortest kept side, sensor pixels")
    skip: Annotated[float, BeforeValidator(_as_number), Field(ge=0, le=_LONGEST_SKIP)] = Field(
        default=SKIP_US / 1e6, description="seconds left out at a recording's begin"
    )

    def __str__(self) -> str:
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(self.classes))
        return (
            f"{self.name} ({numbered}); boxes count from {self.min_side:g} pixels a side and "
            f"{self.min_diagonal:g} across"
        )


DLUT = ClassMap(
    name="dlut", classes=CLASS_NAMES, sensor=SENSOR_SIZE, min_diagonal=60.0, min_side=20.0
)
CLASS_MAPS = {
    one.name: one
    for one in (
        DLUT,
        ClassMap(
            name="gen1",
            classes=("car", "pedestrian"),
            sensor=(304, 240),
            min_diagonal=30.0,
            min_side=10.0,
        ),
        DLUT.model_copy(update={"name": "1mpx"}),
        ClassMap(
            name="etram",
            classes=("pedestrian", "vehicle", "micro-mobility"),
            sensor=(1280, 720),
            min_diagonal=60.0,
            min_side=20.0,
        ),
    )
}


def published_map(classes: Sequence[str]) -> ClassMap | None:
    """The first of :data:`CLASS_MAPS` that has exactly these classes, in this order."""
    return next((one for one in CLASS_MAPS.values() if one.classes == tuple(classes)), None)


def name_to_store(class_map: ClassMap) -> str | None:
    """A class map's name, or ``None`` where its classes alone tell it."""
    published = published_map(class_map.classes)
    return None if published and published.name == class_map.name else class_map.name


def read_class_map(path: Path) -> ClassMap:
    """The class map of a YAML file with the keys of :class:`ClassMap`.

    Raises:
        SettingsError: there is no such file, or it is no class map.
        OSError: it cannot be read.
    """
    try:
        content = parse_yaml(read_regular(path, _LARGEST_FILE).decode())
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; give {', '.join(CLASS_MAPS)} or a YAML file of classes."
        ) from None
    except UsageError as error:
        raise SettingsError(str(error)) from None
    except (MalformedError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as a class map ({error}).") from None
    return class_map_of(content, str(path))


def class_map_of(content: Any, source: str) -> ClassMap:
    """The class map of plain keys and values, as JSON and YAML give them.

    Args:
        content: keys and values.
        source: where they come from, for the message.

    Raises:
        SettingsError: they are those of no class map.
    """
    if not isinstance(content, dict):
        raise SettingsError(f"{source}: is no class map; give the keys name and classes.")
    if missing := [name for name in ("name", "classes") if name not in content]:
        raise SettingsError(f"{source}: '{missing[0]}' is missing.")
    return load_settings(ClassMap, content, source)


def class_numbers(names: Iterable[str] | None, classes: Sequence[str]) -> tuple[int, ...]:
    """Numbers of classes by what somebody typed, in that order; all of them for ``None``.

    Args:
        names: small letters stand for large ones, ``_`` for a space.
        classes: of the data set.

    Raises:
        UsageError: one is no class of the data set, or is named twice.
    """
    known = {folded(name): number for number, name in enumerate(classes)}
    if names is None:
        return tuple(known.values())
    found: list[int] = []
    for name in names:
        number = known.get(folded(name))
        if number is None:
            raise UsageError(f"'{name}' is not a class; choose among {', '.join(classes)}.")
        if number in found:
            raise UsageError(f"the class '{classes[number]}' is named twice.")
        found.append(number)
    return tuple(found)
