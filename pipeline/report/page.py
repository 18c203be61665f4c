"""Dataset statistics as one HTML page that opens without a network and needs no script."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.files.whole import written_whole
from pipeline.release.shards import SPLITS
from pipeline.report.anchors import anchors_section
from pipeline.report.comparison import comparison_section
from pipeline.report.elements import WINDOW_SECONDS, Figure, KeyFigure, Section
from pipeline.report.events import events_section, pillars_section, sequences_section
from pipeline.report.example_windows import examples_section
from pipeline.report.findings import findings
from pipeline.report.label_checks import label_checks_section
from pipeline.report.labels import boxes_section, labels_section, splits_section
from pipeline.report.losses import hot_spots_section, losses_section
from pipeline.report.motion import motion_section
from pipeline.report.published import published_section
from pipeline.report.rates import rates_section
from pipeline.report.source import (
    defects_section,
    method_section,
    recordings_section,
    storage_section,
)
from pipeline.report.template import render_page
from pipeline.statistics.schema import Statistics
from pipeline.text import counted, duration, grouped, listed, share, short, size

_KINDS = {"cache": "Pillar cache", "manifest": "Manifest of the release"}


def write_report(
    statistics: Statistics,
    path: Path,
    pictures: Sequence[Figure] = (),
    examples: Sequence[Figure] = (),
) -> None:
    """Write the page whole or not at all.

    Args:
        statistics: that it shows.
        path: of the page.
        pictures: of windows with faulty boxes.
        examples: pictures of any windows.

    Raises:
        OSError: it cannot be written.
    """
    with written_whole(path) as unfinished:
        unfinished.write_text(render_report(statistics, pictures, examples), encoding="utf-8")


def render_report(
    statistics: Statistics, pictures: Sequence[Figure] = (), examples: Sequence[Figure] = ()
) -> str:
    """The page's HTML; the same statistics and pictures give the same text."""
    return render_page(
        f"Dataset statistics: {statistics.source.name}",
        _lead(statistics),
        key_figures(statistics),
        findings(statistics),
        sections(statistics, pictures, examples),
        findings_title="Worth knowing before training",
    )


def sections(
    statistics: Statistics, pictures: Sequence[Figure] = (), examples: Sequence[Figure] = ()
) -> list[Section]:
    """Every section that the statistics have something for, in the page's order."""
    parts = [
        splits_section(statistics),
        comparison_section(statistics),
        labels_section(statistics),
        published_section(statistics),
        boxes_section(statistics),
        anchors_section(statistics),
        motion_section(statistics),
        label_checks_section(statistics, pictures),
        examples_section(list(examples), statistics.source.kind),
        events_section(statistics),
        rates_section(statistics),
        pillars_section(statistics),
        losses_section(statistics),
        hot_spots_section(statistics),
        sequences_section(statistics),
        defects_section(statistics),
        storage_section(statistics),
        recordings_section(statistics),
        method_section(statistics),
    ]
    return [section for section in parts if section is not None]


def _lead(statistics: Statistics) -> str:
    source = statistics.source
    sensors = sorted({row.sensor for row in statistics.recordings}, reverse=True)
    of = listed([f"{width} × {height}" for width, height in sensors])
    text = f"{_KINDS[source.kind]} “{source.name}”"
    if sensors:
        text += f", recorded at {of} pixels"
    if source.settings is not None:
        columns, rows = source.settings["grid"]
        text += f", preset “{source.settings['preset']}” on a grid of {columns} × {rows} cells"
    chosen = len(statistics.classes)
    text += f", {counted(chosen, 'class', 'classes')}"
    if source.class_map is not None:
        text += f" of {source.class_map}"
    if source.subset is not None:
        text += f", a subset chosen by the strategy “{source.subset['strategy']}”"
    return text + "."


def key_figures(statistics: Statistics) -> list[KeyFigure]:
    """The numbers to see first, as far as the source tells them."""
    splits = statistics.splits
    windows = sum(row.windows for row in splits.values())
    raw = sum(row.labels[name] for row in splits.values() for name in statistics.classes)
    kept = Counter[str]()
    for row in splits.values():
        kept.update(row.kept)
    if not statistics.recordings:
        return [KeyFigure("0", "recordings", "nothing is published yet")]
    counts = [f"{splits[split].recordings} {split}" for split in SPLITS]
    figures = [
        KeyFigure(grouped(len(statistics.recordings)), "recordings", " · ".join(counts)),
        KeyFigure(
            duration(windows * WINDOW_SECONDS), "recorded", f"{counted(windows, 'window')} of 50 ms"
        ),
        _event_figure(statistics, windows),
        KeyFigure(short(kept.total()), "kept boxes", f"of {grouped(raw)} in the release"),
    ]
    if kept.total():
        rare, count = min(kept.items(), key=lambda item: (item[1], item[0]))
        figures.append(
            KeyFigure(
                short(count),
                f"boxes of the rarest class: {rare}",
                f"{share(count, kept.total())} of the kept boxes",
            )
        )
    if statistics.pillars is not None:
        mean = sum(q.mean for q in statistics.pillars.per_window.values() if q is not None)
        occupied = [f"{share(value)} {name}" for name, value in statistics.pillars.occupied.items()]
        figures.append(
            KeyFigure(short(mean), "pillars in a mean window", f"cells: {', '.join(occupied)}")
        )
    figures.append(_size_figure(statistics))
    lost = sum(row.left_out or 0 for row in statistics.recordings)
    if statistics.source.kind == "cache":
        figures.append(
            KeyFigure(grouped(lost), "windows left out", f"{share(lost, lost + windows)} of all")
        )
    else:
        figures.append(
            KeyFigure(
                grouped(sum(defect.count for defect in statistics.defects.values())),
                "defects found",
                f"of {counted(len(statistics.defects), 'kind')}",
            )
        )
    return figures


def _event_figure(statistics: Statistics, windows: int) -> KeyFigure:
    events = [row.events for row in statistics.splits.values()]
    if None in events or not windows:
        return KeyFigure("–", "events in a mean window", "not known")
    total = sum(n for n in events if n is not None)
    return KeyFigure(
        short(total / windows), "events in a mean window", f"{short(total)} events in all"
    )


def _size_figure(statistics: Statistics) -> KeyFigure:
    storage = statistics.storage
    source = storage.events + storage.labels
    if storage.arrays_stored is None:
        return KeyFigure(size(source), "of release files", f"{size(storage.labels)} are labels")
    stored = sum(storage.arrays_stored.values())
    return KeyFigure(
        size(stored), "on disk", f"{share(stored, source)} of {size(source)} release files"
    )
