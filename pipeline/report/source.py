"""Sections of the report on defects, bytes, recordings, and what the numbers describe."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.cache.settings import CacheSettings
from pipeline.defects import BOX_FAULTS, FATAL, Defect
from pipeline.report.elements import Section, Table, median
from pipeline.statistics.schema import Statistics
from pipeline.text import counted, grouped, share, short, size

DEFECT_MEANING = {
    Defect.BAD_CRC: "bytes do not match their CRC-32",
    Defect.UNREADABLE_FILE: "not an npz file, or cut short",
    Defect.TOO_LARGE: "more bytes, events or boxes than a window may have",
    Defect.DUPLICATE_MEMBER: "one window twice in a file",
    Defect.MISSING_EVENT_FILE: "labels without their event file",
    Defect.MISSING_LABEL_FILE: "events without their label file",
    Defect.MISSING_MEMBER: "a shard of fewer than ten windows",
    Defect.WRONG_DTYPE: "fields that are not those of events or boxes, or no whole numbers",
    Defect.BAD_POLARITY: "a polarity other than 0 and 1",
    Defect.UNSORTED_TIME: "events not in order of time; sorted",
    Defect.EMPTY_WINDOW: "no event inside the sensor",
    Defect.SINGLE_TIMESTAMP: "all events at the same time",
    Defect.SINGLE_POLARITY: "all events of the same polarity",
    Defect.LONG_WINDOW: "events of more than one slot of 50 ms; kept",
    Defect.EVENT_OUT_OF_FRAME: "outside the sensor; dropped",
    Defect.TIME_GAP: "a window does not follow the one before it",
    Defect.BOX_OUT_OF_FRAME: "cropped to the frame, or dropped",
    Defect.BOX_TOO_WIDE: "wider than the sensor; dropped",
    Defect.BOX_NOT_FINITE: "a coordinate that is no number; dropped",
    Defect.BOX_OUT_OF_TIME: "of another time than its window; dropped",
    Defect.WRONG_CLASS: "a class number that does not exist; dropped",
    Defect.BAD_CONFIDENCE: "a confidence that is not from 0 to 1; kept",
    Defect.DUPLICATE_BOX: "twice in a window; kept unless told otherwise",
    Defect.BOX_WITHOUT_EVENTS: "no event in it, though the window has some; likewise",
    Defect.BOX_JUMP: "where its track cannot have got, or of such a size; likewise",
    Defect.OVER_60_BOXES: "beyond the 60th of a window, where the release's loader fails; kept",
}
_BOX_DEFECTS = frozenset(
    {
        Defect.BOX_OUT_OF_FRAME,
        Defect.BOX_TOO_WIDE,
        Defect.BOX_NOT_FINITE,
        Defect.BOX_OUT_OF_TIME,
        Defect.BAD_CONFIDENCE,
        Defect.WRONG_CLASS,
        Defect.OVER_60_BOXES,
        *BOX_FAULTS,
    }
)
_FILE_DEFECTS = frozenset(
    {Defect.UNREADABLE_FILE, Defect.MISSING_EVENT_FILE, Defect.MISSING_LABEL_FILE}
)


def _unit(defect: Defect, kind: str) -> tuple[str, ...]:
    """What a defect's count counts, singular and plural where that is not regular.

    A file that is lost is one to a scan, and each of its ten windows to a cache; all else is counted
    alike.
    """
    if defect in _BOX_DEFECTS:
        return "box", "boxes"
    if defect is Defect.EVENT_OUT_OF_FRAME:
        return ("event",)
    if defect in _FILE_DEFECTS:
        return ("file",) if kind == "manifest" else ("window",)
    if defect in FATAL:
        return ("member",)
    return ("gap",) if defect is Defect.TIME_GAP else ("window",)


def defects_section(statistics: Statistics) -> Section | None:
    """The known defects that were found, and how often; None without recordings."""
    if not statistics.recordings:
        return None
    kind = statistics.source.kind
    if not statistics.defects:
        return Section("defects", "Defects", text=["None of the known defects was found."])
    rows = []
    for defect in Defect:
        found = statistics.defects.get(defect.value)
        if found is None:
            continue
        row = [
            defect.value,
            DEFECT_MEANING[defect],
            counted(found.count, *_unit(defect, kind)),
            f"{grouped(found.recordings)} of {grouped(len(statistics.recordings))}",
        ]
        if kind == "cache":
            row.append(grouped(found.windows_left_out))
        rows.append(tuple(row))
    columns = ("defect", "what it is", "count", "recordings")
    return Section(
        "defects",
        "Defects",
        text=["The table of recordings tells where they are."],
        tables=[
            Table(
                "Known defects that occur in the source. The others that are looked for do not.",
                (*columns, "windows left out") if kind == "cache" else columns,
                rows,
                text=2,
            )
        ],
    )


def storage_section(statistics: Statistics) -> Section | None:
    """Bytes on disk, of the release and of a cache's arrays; None without recordings."""
    if not statistics.recordings:
        return None
    storage = statistics.storage
    source = storage.events + storage.labels
    windows = sum(row.windows for row in statistics.splits.values())

    def each(count: int) -> str:
        return size(round(count / windows)) if windows else "–"

    rows = [
        ("release: event files", size(storage.events), each(storage.events), "", ""),
        ("release: label files", size(storage.labels), each(storage.labels), "", ""),
    ]
    if storage.arrays_stored is not None and storage.arrays_decoded is not None:
        for name, stored in storage.arrays_stored.items():
            decoded = storage.arrays_decoded[name]
            rows.append(
                (
                    f"cache: {name}",
                    *(size(stored), each(stored), size(decoded), share(stored, source)),
                )
            )
        stored = sum(storage.arrays_stored.values())
        decoded = sum(storage.arrays_decoded.values())
        rows.append(
            ("cache: all", size(stored), each(stored), size(decoded), share(stored, source))
        )
        return Section(
            "storage",
            "Bytes",
            tables=[
                Table(
                    "Bytes on disk, for a mean window, and decoded in memory. The release's files "
                    "include windows that were left out.",
                    ("what", "on disk", "a window", "decoded", "share of the release"),
                    rows,
                )
            ],
        )
    return Section(
        "storage",
        "Bytes",
        tables=[
            Table(
                "Bytes on disk, and for a mean window.",
                ("what", "on disk", "a window"),
                [row[:3] for row in rows],
            )
        ],
    )


def recordings_section(statistics: Statistics) -> Section | None:
    """A row for every recording; None without recordings."""
    if not statistics.recordings:
        return None
    is_cache = statistics.source.kind == "cache"
    several = len({row.sensor for row in statistics.recordings}) > 1
    columns = ["recording", *(["sensor"] if several else []), "windows", "gaps"]
    columns += ["left out", "median events", "positive"] if is_cache else ["events"]
    columns += ["kept boxes", "release files", *(["cache"] if is_cache else []), "defects"]
    rows = []
    for row in statistics.recordings:
        cells = [row.id]
        if several:
            cells.append(f"{row.sensor[0]} × {row.sensor[1]}")
        cells += [grouped(row.windows), grouped(row.gaps)]
        if is_cache:
            cells.append(grouped(row.left_out))
            cells.append(median(row.events_per_window))
            cells.append("–" if row.positive_share is None else share(row.positive_share))
        else:
            cells.append(short(row.events))
        cells += [grouped(sum(row.kept.values())), size(row.source_bytes)]
        if is_cache:
            cells.append(size(row.cache_bytes))
        cells.append(", ".join(f"{name} {grouped(n)}" for name, n in row.defects.items()) or "none")
        rows.append(tuple(cells))
    return Section(
        "recordings",
        "Recordings",
        tables=[
            Table(
                "Every recording, by split. Label counts by class are in the JSON file of the same "
                "statistics.",
                tuple(columns),
                rows,
            )
        ],
    )


def method_section(statistics: Statistics) -> Section:
    """What the numbers describe: the source, and a cache's settings."""
    source = statistics.source
    text = []
    if source.kind == "cache":
        text.append(
            "All numbers are of the recordings published in this cache when the report was made; "
            "windows that were left out or recordings not yet voxelized are not among them. "
            "Counts come from every window."
        )
        pillars = statistics.pillars
        if pillars is not None and pillars.sampled_windows:
            every = sum(row.windows for row in statistics.splits.values())
            drawn = (
                "all of them"
                if pillars.sampled_windows == every
                else f"of {grouped(every)}, drawn with seed {pillars.sample_seed}"
            )
            text.append(
                "Only points in a pillar, the map of pillars and hot cells were measured on a sample: "
                f"{counted(pillars.sampled_windows, 'window')}, {drawn}."
            )
    else:
        text.append(
            "All numbers are sums over the recordings that the manifest lists, as the scan found "
            "them. Windows count whether or not they can be read; kept boxes follow the "
            "release's own label rules. What only windows and pillars "
            "tell (event rates, box sizes, pillars) needs a pillar cache."
        )
        if statistics.presets is not None:
            text.append(
                "Hot pixels and what presets drop were measured on a sample: "
                f"{counted(statistics.presets.sampled_windows, 'window')} of the shards."
            )
    if source.subset is not None:
        subset = source.subset
        text.append(
            f"The recordings are a subset of {grouped(subset['source_recordings'])}, chosen with "
            f"strategy “{subset['strategy']}”, seed {subset['seed']} and a budget of "
            f"{size(subset['budget'])}."
        )
    rows = [("source", f"{source.kind} “{source.name}”", "")]
    rows.append(("digest", source.digest, "of the content: equal digests, equal data"))
    if source.fingerprint is not None:
        rows.append(("fingerprint", source.fingerprint, "of the settings below"))
    if source.settings is not None:
        rows += _setting_rows(source.settings)
    return Section(
        "method",
        "What this describes",
        text=text,
        tables=[Table("Source and settings.", ("name", "value", "meaning"), rows, text=3)],
    )


def _setting_rows(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning of every setting of a cache."""
    for name, field in CacheSettings.model_fields.items():
        value = settings.get(name, field.default)  # the DLUT's class names go without saying
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        if value is None:
            shown = "–"
        yield name, shown, field.description or ""
