"""The report's section on boxes that other boxes, events or their tracks contradict."""

from collections.abc import Iterator, Sequence

from pipeline.defects import BOX_FAULTS
from pipeline.report.elements import Figure, Gallery, Section, Table
from pipeline.statistics.schema import LabelCheckStatistics, OffsetStatistics, Statistics
from pipeline.text import counted, grouped


def label_checks_section(statistics: Statistics, pictures: Sequence[Figure] = ()) -> Section | None:
    """Faulty boxes by class and recording, offsets, and pictures; None where nobody looked."""
    checks = statistics.label_checks
    if checks is None:
        return None
    return Section(
        "label-checks",
        "Label checks",
        text=list(_sentences(checks)),
        galleries=_galleries(pictures),
        tables=list(_tables(checks)),
    )


def _sentences(checks: LabelCheckStatistics) -> Iterator[str]:
    looked = counted(checks.recordings, "recording")
    if checks.offsets:
        yield f"Boxes of {looked} were compared with each other, with events and with their tracks."
    else:
        yield (
            f"Boxes of {looked} were compared with each other and with their tracks. Events were not "
            "read: whether boxes hold some, and when they belong, is not known."
        )
    if not checks.faults:
        yield "No box was found faulty by this."
    if not checks.offsets:
        return
    told = [offset for offset in checks.offsets.values() if offset.windows is not None]
    sure = sum(offset.is_sure for offset in told)
    yield (
        f"Where boxes fit the events best tells when they belong: in {grouped(len(told))} of "
        f"{counted(len(checks.offsets), 'recording')} it does, and in {grouped(sure)} of these boxes "
        "are late or early. In the others too little moves, or too few boxes are there."
    )


def _tables(checks: LabelCheckStatistics) -> Iterator[Table]:
    names = [fault.value for fault in BOX_FAULTS if fault.value in checks.faults]
    if names:
        classes = [
            name
            for name in next(iter(checks.faults.values()))
            if any(checks.faults[fault][name] for fault in names)
        ]
        yield Table(
            "Faulty boxes by class. They are kept; `voxelize --drop` leaves them out.",
            ("fault", *classes, "all"),
            [
                (
                    fault,
                    *(grouped(checks.faults[fault][name]) for name in classes),
                    grouped(sum(checks.faults[fault].values())),
                )
                for fault in names
            ],
        )
    rows = [
        (
            key,
            *(grouped(_count(checks, key, fault)) for fault in names),
            _offset(checks.offsets.get(key)),
        )
        for key in dict.fromkeys([*checks.by_recording, *checks.offsets])
        if key in checks.by_recording or checks.offsets[key].is_sure
    ]
    if rows:
        yield Table(
            "Recordings with faulty boxes, or whose boxes are late or early: by how many windows of "
            "50 ms, and the bounds of 95 % certainty.",
            ("recording", *names, "boxes late by"),
            rows,
        )


def _count(checks: LabelCheckStatistics, recording: str, fault: str) -> int:
    return sum(checks.by_recording.get(recording, {}).get(fault, {}).values())


def _offset(offset: OffsetStatistics | None) -> str:
    if offset is None or offset.windows is None:
        return "not told"
    return f"{offset.windows} ({offset.low} to {offset.high})"


def _galleries(pictures: Sequence[Figure]) -> list[Gallery]:
    if not pictures:
        return []
    return [
        Gallery(
            "Windows with most faulty boxes",
            "Events brighter (blue) and darker (ochre), sound boxes grey; faulty ones red where a box "
            "stands twice, violet where it has no events, green where its track cannot have got.",
            list(pictures),
        )
    ]
