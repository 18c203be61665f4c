"""Named evaluation protocols, and results that name theirs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from dmanet.evaluation.details import Details
from pipeline.errors import UsageError
from pipeline.release.classes import DLUT, ClassMap


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a number besides the network and the data.

    Filters apply to labels and detections alike, in the units of ``boxes``. Those of a protocol that
    scores boxes of the sensor are the data set's own, see :func:`protocol_of`.

    Attributes:
        name: of the protocol.
        average_precision: whose definition.
        score_threshold: what a score must exceed, 0…1.
        nms_iou: overlap above which the weaker of two boxes of a class is dropped.
        boxes: whether boxes are scored in grid units or in pixels of the sensor.
        max_detections: at most so many of each class in a window; None for all.
        min_diagonal: smaller boxes are not scored.
        min_side: boxes with a shorter side are not scored.
        after_us: boxes up to this time of their recording are not scored, µs; None for none.
        time_tolerance_us: how far a detection of a box file may be from its label's time, µs.
        classes: names of those that are scored; None for every class of the data.
        data_set: whose filters these are; None for the DLUT's, and where there are none.
    """

    name: str
    average_precision: Literal["release", "coco"]
    score_threshold: float
    nms_iou: float
    boxes: Literal["grid", "sensor"]
    max_detections: int | None = None
    min_diagonal: float = 0.0
    min_side: float = 0.0
    after_us: int | None = None
    time_tolerance_us: int | None = None
    classes: tuple[str, ...] | None = None
    data_set: str | None = None


_PROPHESEE = Protocol(
    name="prophesee",
    average_precision="coco",
    score_threshold=0.001,
    nms_iou=0.5,
    boxes="sensor",
    max_detections=100,
    min_diagonal=60.0,
    min_side=20.0,
    after_us=500_000,
    time_tolerance_us=50_000,
)
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "release": Protocol("release", "release", score_threshold=0.1, nms_iou=0.5, boxes="grid"),
        "prophesee": _PROPHESEE,
        "rvt": replace(_PROPHESEE, name="rvt", classes=("pedestrian", "two wheeler", "car")),
    }
)


#: Classes that RVT scores of a data set, where they are others than those of its protocol here.
_RVT_CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType({"gen1": ("car", "pedestrian")})


def protocol_of(
    name: str, class_names: Sequence[str], class_map: ClassMap | None = None
) -> Protocol:
    """The protocol of a name, for a network with these classes on this data set.

    Under `prophesee` and `rvt` boxes are left out by the data set's rules, its ``min_diagonal``,
    ``min_side`` and ``skip``: of Gen1's 304 x 240 pixels the rules of 1280 x 720 would leave little.
    Under `rvt` Gen1's two classes are scored.

    Args:
        name: one of :data:`PROTOCOLS`.
        class_names: that can be scored.
        class_map: of the data set; None: the rules of the DLUT and of 1 Mpx.

    Raises:
        UsageError: there is none of that name, or it scores a class that the network lacks.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"protocol '{name}' is unknown; choose one of {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[name]
    if protocol.boxes == "sensor":
        rules = class_map or DLUT
        classes = protocol.classes and _RVT_CLASSES.get(rules.name, protocol.classes)
        protocol = replace(
            protocol,
            min_diagonal=rules.min_diagonal,
            min_side=rules.min_side,
            after_us=round(rules.skip * 1e6),
            classes=classes,
            data_set=None if rules.name == DLUT.name else rules.name,
        )
    missing = [one for one in protocol.classes or () if one not in class_names]
    if missing:
        raise UsageError(
            f"The {name} protocol scores {', '.join(missing)}, which the network does not know (it "
            f"knows {', '.join(class_names)}); choose another protocol."
        )
    return protocol


@dataclass(frozen=True)
class ClassRow:
    """One row of a result. None: the protocol does not define it, or the class has no labels.

    Attributes:
        name: of the class, or "all".
        windows: that were scored.
        labels: of the class in them.
        precision: at the confidence that the protocol chooses.
        recall: at the same confidence.
        map50: average precision at IoU 0.5.
        map50_95: its mean over IoU 0.50…0.95.
    """

    name: str
    windows: int
    labels: int
    precision: float | None
    recall: float | None
    map50: float | None
    map50_95: float | None


@dataclass(frozen=True)
class ProtocolResult:
    """A result that cannot be told apart from its protocol; ``print`` shows it as a table.

    Attributes:
        protocol: that it was scored by.
        rows: "all" (the mean over the classes that have labels), then every class.
        summary: further numbers of the protocol by name.
        conditions: what else decides the numbers (sequence length, state and reset policy, how
            windows were paired, checkpoint), plain JSON values.
        details: sizes, recordings, intervals, curves and errors; None where nobody asked for them.
    """

    protocol: Protocol
    rows: tuple[ClassRow, ...]
    summary: Mapping[str, float | None] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    details: Details | None = None

    def with_conditions(self, **conditions: Any) -> "ProtocolResult":
        """The same result under further conditions."""
        return replace(self, conditions={**self.conditions, **conditions})

    def __str__(self) -> str:
        return self.as_table()

    def as_table(self) -> str:
        """The protocol, the conditions and a row for each class, as text."""
        settings = {k: v for k, v in asdict(self.protocol).items() if v not in (None, 0.0)}
        lines = ["protocol " + ", ".join(f"{key} {value}" for key, value in settings.items())]
        if self.conditions:
            lines.append("with " + ", ".join(f"{k} {v}" for k, v in self.conditions.items()))
        lines.append(
            f"{'Class':<15}{'Events':>9}{'Labels':>9}{'Precision':>11}{'Recall':>9}"
            f"{'mAP@0.5':>9}{'mAP@0.5:0.95':>14}"
        )
        lines += [
            f"{row.name:<15}{row.windows:>9}{row.labels:>9}"
            + (_figures(row) if row.labels else f"{'no label':>11}")
            for row in self.rows
        ]
        if self.summary:
            lines.append(", ".join(f"{k} {_cell(v)}" for k, v in self.summary.items()))
        return "\n".join(lines)

    def to_json(self) -> str:
        """The whole result as a JSON object."""
        content = {
            "protocol": asdict(self.protocol),
            "conditions": dict(self.conditions),
            "rows": [asdict(row) for row in self.rows],
            "summary": dict(self.summary),
        }
        if self.details is not None:
            content["details"] = asdict(self.details)
        return _lists_of_numbers_in_a_line(json.dumps(content, indent=2, allow_nan=False))


def _figures(row: ClassRow) -> str:
    return (
        f"{_cell(row.precision):>11}{_cell(row.recall):>9}{_cell(row.map50):>9}"
        f"{_cell(row.map50_95):>14}"
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _lists_of_numbers_in_a_line(text: str) -> str:
    """JSON whose lists of plain numbers do not take a line for each."""
    return re.sub(
        r"\[\s+((?:(?:null|-?[0-9.eE+-]+),?\s+)+)\]",
        lambda found: f"[{' '.join(found[1].split())}]",
        text,
    )
