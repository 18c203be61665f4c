"""Named evaluation protocols, and results that name theirs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from pipeline.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a number besides the network and the data.

    Filters apply to labels and detections alike, in the units of ``boxes``.

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


def protocol_of(name: str, class_names: Sequence[str]) -> Protocol:
    """The protocol of a name, for a network with these classes.

    Raises:
        UsageError: there is none of that name, or it scores a class that the network lacks.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"protocol '{name}' is unknown; choose one of {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[name]
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
    """

    protocol: Protocol
    rows: tuple[ClassRow, ...]
    summary: Mapping[str, float | None] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)

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
        return json.dumps(
            {
                "protocol": asdict(self.protocol),
                "conditions": dict(self.conditions),
                "rows": [asdict(row) for row in self.rows],
                "summary": dict(self.summary),
            },
            indent=2,
            allow_nan=False,
        )


def _figures(row: ClassRow) -> str:
    return (
        f"{_cell(row.precision):>11}{_cell(row.recall):>9}{_cell(row.map50):>9}"
        f"{_cell(row.map50_95):>14}"
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
