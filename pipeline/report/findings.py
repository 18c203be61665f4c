"""What a reader should know before training on a dataset, as sentences drawn from its statistics."""

from collections import Counter, defaultdict

from pipeline.defects import FATAL
from pipeline.release.shards import SPLITS
from pipeline.statistics.schema import CLIP_WINDOWS, Statistics
from pipeline.text import counted, grouped, listed, share

_PURPOSE = {
    "train": "nothing to learn from",
    "val": "nothing to choose a checkpoint by",
    "test": "nothing to report a final result on",
}

_MANY_UNMATCHED = 0.05  # share of boxes without a positive anchor
_FAR = 0.1  # total variation


def findings(statistics: Statistics) -> list[str]:
    """Sentences, the most consequential first; empty when nothing stands out."""
    if not statistics.recordings:
        return ["No recording is published: there is nothing to train on."]
    return [
        *_empty_splits(statistics),
        *_absent_classes(statistics),
        *_lost_windows(statistics),
        *_shared_names(statistics),
        *_sensors(statistics),
        *_label_offsets(statistics),
        *_thin_labels(statistics),
        *_unmatched_boxes(statistics),
        *_hot_spots(statistics),
        *_full_windows(statistics),
        *_drifts(statistics),
        *_empty_polarities(statistics),
        *_short_sequences(statistics),
        *_unknown(statistics),
    ]


def _empty_splits(statistics: Statistics) -> list[str]:
    return [
        f"Split {split} holds no recording: {_PURPOSE[split]}."
        for split in SPLITS
        if not statistics.splits[split].recordings
    ]


def _absent_classes(statistics: Statistics) -> list[str]:
    if not any(sum(split.kept.values()) for split in statistics.splits.values()):
        return [
            "No box is kept in any split: the data serves prediction, not training or evaluation."
        ]
    sentences = []
    consequence = {
        "train": "cannot be learned",
        "val": "does not count when a checkpoint is chosen",
        "test": "has no average precision",
    }
    for split in SPLITS:
        row = statistics.splits[split]
        absent = [name for name in statistics.classes if not row.kept[name]]
        if not row.recordings or not absent:
            continue
        if len(absent) == len(statistics.classes):
            sentences.append(f"Split {split} keeps no box of any class.")
        else:
            verb = consequence[split]
            if len(absent) > 1:
                verb = verb.replace("does", "do").replace("has", "have")
            sentences.append(f"Split {split} keeps no box of {listed(absent)}, which {verb}.")
    return sentences


def _lost_windows(statistics: Statistics) -> list[str]:
    lost = sum(row.left_out or 0 for row in statistics.recordings)
    repeated = sum(row.repeated or 0 for row in statistics.recordings)
    held = sum(row.windows for row in statistics.recordings)
    sentences = []
    if lost:
        causes = Counter(
            {name: defect.windows_left_out or 0 for name, defect in statistics.defects.items()}
        )
        main, count = causes.most_common(1)[0]
        sentences.append(
            f"{counted(lost, 'window')} ({share(lost, lost + held)}) could not be used and "
            f"{'is' if lost == 1 else 'are'} left out, {grouped(count)} of them for {main}."
        )
    if repeated:
        sentences.append(
            f"{counted(repeated, 'window')} ({share(repeated, held)}) could not be used and "
            f"{'holds' if repeated == 1 else 'hold'} the events of the window before."
        )
    unusable = {n: d.count for n, d in statistics.defects.items() if n in FATAL}
    if unusable and statistics.source.kind == "manifest":
        named = [f"{name} {grouped(count)}" for name, count in unusable.items()]
        sentences.append(
            f"Files or members cannot be used ({listed(named)}): a pillar cache leaves their "
            "windows out unless it is told otherwise."
        )
    return sentences


def _shared_names(statistics: Statistics) -> list[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in statistics.recordings:
        splits[row.id.split("/")[-1]].add(row.split)
    shared = [name for name, found in splits.items() if len(found) > 1]
    if not shared:
        return []
    return [
        f"{counted(len(shared), 'recording name')} (such as {shared[0]}) "
        f"{'stands' if len(shared) == 1 else 'stand'} in more than one split: results may be "
        "measured on what was trained on."
    ]


def _sensors(statistics: Statistics) -> list[str]:
    sensors = Counter(row.sensor for row in statistics.recordings)
    if len(sensors) < 2:
        return []
    parts = [f"{n} of {w} × {h}" for (w, h), n in sorted(sensors.items(), reverse=True)]
    return [
        f"Recordings come from sensors of different sizes ({listed(parts)}): "
        "the same object covers different numbers of grid cells."
    ]


def _label_offsets(statistics: Statistics) -> list[str]:
    offsets = {} if statistics.label_checks is None else statistics.label_checks.offsets
    sure = [key for key, offset in offsets.items() if offset.is_sure]
    if not sure:
        return []
    return [
        f"Boxes of {counted(len(sure), 'recording')} (such as {sure[0]}) are late or early against "
        f"the events by {counted(abs(offsets[sure[0]].windows or 0), 'window')} or so: "
        "a network learns to look in the wrong place."
    ]


def _thin_labels(statistics: Statistics) -> list[str]:
    sentences = []
    raw = sum(row.labels[c] for row in statistics.splits.values() for c in statistics.classes)
    kept = sum(sum(row.kept.values()) for row in statistics.splits.values())
    if kept and raw and kept < raw / 2:
        sentences.append(
            f"The label rules drop {share(raw - kept, raw)} of the boxes of these classes, "
            "most often because they are too small."
        )
    for split in SPLITS:
        row = statistics.splits[split]
        if row.labelled_windows and row.labelled_windows < row.windows / 2:
            sentences.append(
                f"{share(row.windows - row.labelled_windows, row.windows)} of the windows of "
                f"{split} hold no kept box."
            )
    return sentences


def _unmatched_boxes(statistics: Statistics) -> list[str]:
    anchors = statistics.anchors
    missed = None if anchors is None else anchors.released.share_without_positive
    if anchors is None or not missed or missed < _MANY_UNMATCHED:
        return []
    return [
        f"{share(missed)} of the boxes have no positive anchor of the release; with those that "
        f"`dmanet-data anchors` prints it is {share(anchors.suggested.share_without_positive or 0)}."
    ]


def _hot_spots(statistics: Statistics) -> list[str]:
    hot = statistics.hot_spots
    if hot is None or not hot.count:
        return []
    return [
        f"{counted(hot.count, hot.unit)} {'fires' if hot.count == 1 else 'fire'} in half of the windows "
        f"or more and far more often than those around: hot pixels, or something that stands still."
    ]


def _full_windows(statistics: Statistics) -> list[str]:
    if statistics.pillars is None:
        return []
    return [
        f"{counted(count, 'window')} {'holds' if count == 1 else 'hold'} as many {name} pillars as the "
        "settings allow; others may be lost."
        for name, count in statistics.pillars.full_windows.items()
        if count
    ]


def _drifts(statistics: Statistics) -> list[str]:
    comparison = statistics.comparison
    if comparison is None:
        return []
    drifts = {
        "class shares": comparison.splits["all"].class_drift,
        "events of a window": comparison.values["events"].drift,
        "sizes of boxes": comparison.values["side"].drift,
        "aspect ratios": comparison.values["ratio"].drift,
    }
    far = [f"{name} by {share(drift)}" for name, drift in drifts.items() if drift and drift >= _FAR]
    other = comparison.other_name
    return [f"Against “{other}” the distributions drift: {listed(far)}."] if far else []


def _empty_polarities(statistics: Statistics) -> list[str]:
    if statistics.pillars is None:
        return []
    return [
        f"{counted(count, 'window')} {'has' if count == 1 else 'have'} no {name} pillar."
        for name, count in statistics.pillars.empty_windows.items()
        if count
    ]


def _short_sequences(statistics: Statistics) -> list[str]:
    if statistics.sequences is None:
        return []
    sentences = []
    for split in SPLITS:
        windows = statistics.splits[split].windows
        usable = statistics.sequences.clips[split] * CLIP_WINDOWS
        if windows and usable < 0.9 * windows:
            sentences.append(
                f"Gaps cut {split} so that runs of {CLIP_WINDOWS} windows cover "
                f"{share(usable, windows)} of it."
            )
    if statistics.sequences.backwards:
        sentences.append(
            f"The clock jumps back {counted(statistics.sequences.backwards, 'time')} "
            "inside a recording."
        )
    return sentences


def _unknown(statistics: Statistics) -> list[str]:
    sentences = []
    if statistics.source.labels_only:
        sentences.append(
            "Only label files were scanned: events and their defects are not known, and gaps only as "
            "far as boxes show them."
        )
    known = next(iter(statistics.splits.values())).labels
    unused = [name for name in known if name not in statistics.classes]
    if unused:
        sentences.append(f"This cache leaves out {listed(unused)} by choice.")
    return sentences
