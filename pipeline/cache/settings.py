"""What a cache is made with: everything that decides what it holds, apart from its sources."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pipeline.defects import BOX_FAULTS
from pipeline.errors import SettingsError
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.settings import PillarSettings, as_tuple
from pipeline.release.classes import (
    CLASS_MAPS,
    MOST_CLASSES,
    ClassMap,
    ClassNames,
    DataSetName,
    published_map,
)
from pipeline.release.labels import CLASS_NAMES, LabelRules
from pipeline.release.shards import SENSOR_SIZE


def _as_written(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Keep a whole number whole: 60 and 60.0 are different bytes in a cache's attributes."""
    check(value)
    return value


_Length = Annotated[float, Field(ge=0), WrapValidator(_as_written)]
_ClassNumber = Annotated[int, Field(ge=0, lt=MOST_CLASSES)]
BoxFault = Literal["duplicate-box", "box-without-events", "box-jump"]


def _in_order(faults: tuple[str, ...]) -> tuple[str, ...]:
    """One choice, one fingerprint."""
    if list(faults) != [fault.value for fault in BOX_FAULTS if fault.value in faults]:
        raise ValueError(f"each is named once, in the order {', '.join(BOX_FAULTS)}")
    return faults


#: Settings that earlier caches do not have: with these values they go without saying.
UNSAID: dict[str, Any] = {"class_names": CLASS_NAMES, "drop": (), "data_set": None}


class CacheSettings(PillarSettings):
    """Everything that decides what a cache holds, apart from its sources.

    The sensor is no setting: each recording carries its own.

    Raises:
        SettingsError: a value is wrong or contradicts another.
    """

    min_diagonal: _Length = Field(default=60.0, description="smallest kept box, sensor pixels")
    min_side: _Length = Field(default=20.0, description="shortest kept side, sensor pixels")
    classes: Annotated[tuple[_ClassNumber, ...], BeforeValidator(as_tuple)] = Field(
        default=(0, 1, 2, 3, 4, 5, 6),
        min_length=1,
        description="class numbers of the release, in output order",
    )
    class_names: ClassNames = Field(
        default=CLASS_NAMES, description="what the release's class numbers mean, from 0 on"
    )
    drop: Annotated[tuple[BoxFault, ...], BeforeValidator(as_tuple), AfterValidator(_in_order)] = (
        Field(
            default=(),
            description="faults of boxes that are left out; not stored where there are none",
        )
    )
    data_set: DataSetName | None = Field(
        default=None,
        description="name of the class map; not stored where the class names alone tell it",
    )

    @model_validator(mode="before")
    @classmethod
    def _all_classes(cls, values: Any) -> Any:
        """Without a choice the classes are all that the release has."""
        if isinstance(values, dict) and "classes" not in values and "class_names" in values:
            names = values["class_names"]
            count = len(names) if isinstance(names, list | tuple) else 0
            return {**values, "classes": tuple(range(count))}
        return values

    @model_validator(mode="after")
    def _check_cache(self) -> "CacheSettings":
        known = len(self.class_names)
        if max(self.classes) >= known:
            raise SettingsError(
                f"classes: the release has the numbers 0 to {known - 1}, not {max(self.classes)}."
            )
        self.encoding(SENSOR_SIZE)  # refuses what the release's own sensor could not satisfy
        return self

    def encoding(self, sensor: tuple[int, int]) -> PillarEncoding:
        """How windows of one sensor size (width, height) become pillars."""
        return _encoding(self, sensor)

    def label_rules(self, sensor: tuple[int, int]) -> LabelRules:
        """Label rules for one sensor size (width, height)."""
        known = len(self.class_names)
        return LabelRules(sensor, self.grid, self.min_diagonal, self.min_side, self.classes, known)

    @property
    def class_map(self) -> ClassMap | None:
        """The class map of the data set; ``None`` where nothing says which it is.

        That of a published data set has its published rules, whatever boxes this cache keeps. Of
        another data set the cache holds only what its boxes were kept by.
        """
        name = self.data_set
        if name is None:
            return published_map(self.class_names)
        if name in CLASS_MAPS and set(self.class_names) <= set(CLASS_MAPS[name].classes):
            return CLASS_MAPS[name].model_copy(update={"classes": self.class_names})
        return ClassMap(
            name=name,
            classes=self.class_names,
            min_diagonal=float(self.min_diagonal),
            min_side=float(self.min_side),
        )

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of ``classes``, in output order."""
        return tuple(self.class_names[number] for number in self.classes)

    def numbers_of(self, names: Iterable[str]) -> tuple[int, ...]:
        """The release's numbers of classes by their names, all of which it has."""
        return tuple(self.class_names.index(name) for name in names)

    def stored(self) -> dict[str, Any]:
        """The settings as a cache holds them.

        The DLUT's class names go without saying, that no boxes are dropped, and the name of a data
        set that its classes tell: the bytes of such caches, and their fingerprint, are those of
        caches from before there was a choice.
        """
        return {k: v for k, v in dict(self).items() if k not in UNSAID or v != UNSAID[k]}


@lru_cache(maxsize=64)  # the recordings of a cache mostly have one sensor size
def _encoding(settings: CacheSettings, sensor: tuple[int, int]) -> PillarEncoding:
    pillars = {name: getattr(settings, name) for name in PillarSettings.model_fields}
    return PillarEncoding(PillarSettings(**pillars), sensor)
