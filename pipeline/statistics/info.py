"""What a cache or a manifest is, in a few lines: contents, sizes, settings, what was left out."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from pipeline.cache import records as layout
from pipeline.cache.attributes import SourceFile
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.motion import summed_kinds
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import Manifest
from pipeline.statistics.label_checks import collect_label_checks
from pipeline.statistics.motion import motion_of_manifest
from pipeline.statistics.schema import LabelCheckStatistics
from pipeline.text import share
from pipeline.voxelizing.outcome import LeftOut, left_out_windows

_LISTED = 8  # names shown of a longer list; JSON has all of them


def cache_info(cache: PillarCache, manifest: Manifest | None = None) -> dict[str, Any]:
    """Facts of a cache as plain JSON values; sizes in bytes.

    ``manifest``: also say how much of it the cache holds. One recording is looked at after the
    other: attributes and array shapes only, and the file sizes from the file system.
    """
    defects: Counter[str] = Counter()
    sensors, by_split, source_bytes = set(), [], 0
    sources: dict[str, list[SourceFile]] = {}
    arrays: dict[str, dict[str, Any]] = {
        name: {"rows": 0, "raw_bytes": 0, "stored_bytes": 0, "compression": ""}
        for name in layout.ARRAYS
    }
    affected: list[LeftOut] = []
    for recording_id in cache.recording_ids:
        recording = CachedRecording(cache, recording_id)
        for name, row in arrays.items():
            array = recording.array(name)
            row["rows"] += array.shape[0]
            row["raw_bytes"] += array.nbytes
            row["compression"] = array.compression
        attributes = recording.attributes
        defects.update(attributes["defects"]["counts"])
        affected += left_out_windows(recording_id, attributes)
        sensors.add("{}x{}".format(*recording.sensor))
        by_split.append((recording.split, len(recording)))
        files = attributes["source"]["files"]
        source_bytes += sum(file["bytes"] for file in files)
        if manifest is not None:
            sources[recording_id] = files
    sizes = cache.store.sizes()
    for path, size in sizes.items():
        parts = path.split("/")
        if len(parts) > 4 and parts[3] in arrays:
            arrays[parts[3]]["stored_bytes"] += size
    cache_bytes = sum(sizes.values())
    facts = {
        "kind": "cache",
        **cache.attributes,
        "sensors": sorted(sensors),
        "recordings": len(by_split),
        "recording_ids": list(cache.recording_ids),
        "windows": sum(windows for _, windows in by_split),
        "by_split": _by_split(by_split),
        "pillars": arrays["pillars"]["rows"],
        "boxes": arrays["labels"]["rows"],
        "source_bytes": source_bytes,
        "cache_bytes": cache_bytes,
        "cache_to_source": cache_bytes / source_bytes if source_bytes else None,
        "arrays": arrays,
        "left_out": sum(not window.repeated for window in affected),
        "repeated": sum(window.repeated for window in affected),
        "defects": dict(sorted(defects.items())),
        "left_out_windows": [asdict(window) for window in affected],
    }
    if manifest is not None:
        facts["manifest"] = _completeness(sources, manifest)
    return facts


def _completeness(sources: dict[str, list[SourceFile]], manifest: Manifest) -> dict[str, Any]:
    """How much of ``manifest`` is in a cache made from ``sources``, its files by recording."""
    listed = {row.id: row for row in manifest.recordings}
    missing = [key for key in listed if key not in sources]
    changed = [key for key in listed if key in sources and _differ(sources[key], listed[key])]
    filelists = Counter(key.rpartition("/")[0] for key in missing)
    return {
        "digest": manifest.digest,
        "recordings": len(listed),
        "complete": len(listed) - len(missing) - len(changed),
        "missing": missing,
        "missing_filelists": sorted(filelists),
        "missing_bytes": sum(listed[key].bytes for key in missing),
        "changed": changed,
        "not_in_manifest": sorted(set(sources) - set(listed)),
    }


def _differ(files: list[SourceFile], row: RecordingEntry) -> bool:
    """Was a recording made from other files than the manifest lists?

    What a manifest does not know (the events, where labels alone were scanned) is not compared.
    """
    made_from = {file["name"]: file for file in files}
    for shard in row.shards:
        for name, size, digest in (
            (f"ev{shard.number:03d}.npz", shard.event_bytes, shard.event_sha256),
            (f"lb{shard.number:03d}.npz", shard.label_bytes, shard.label_sha256),
        ):
            file = made_from.pop(name, None)
            if size is not None and (file is None or file["bytes"] != size):
                return True
            if digest is not None and (file is None or file["sha256"] != digest):
                return True
    return bool(made_from)


def manifest_info(manifest: Manifest) -> dict[str, Any]:
    """Facts of a manifest as plain JSON values."""
    totals = manifest.totals
    subset = manifest.subset
    checks = collect_label_checks(manifest.recordings, manifest.class_map.classes)
    motion = motion_of_manifest(manifest.recordings)
    return {
        "kind": "manifest",
        "digest": manifest.digest,
        "class_map": manifest.class_map.model_dump(mode="json"),
        "recordings": totals.recordings,
        "windows": totals.windows,
        "by_split": _by_split([(r.split, r.windows) for r in manifest.recordings]),
        "source_bytes": totals.bytes,
        "events": totals.events,
        "labels": totals.labels,
        "labels_kept": totals.kept,
        "defects": {defect.value: count for defect, count in sorted(totals.defects.items())},
        **({} if checks is None else _label_checks(checks)),
        **({} if motion is None else {"motion": summed_kinds(motion.boxes.values())}),
        "subset": None
        if subset is None
        else {
            "strategy": subset.strategy,
            "budget": subset.budget,
            "seed": subset.seed,
            "classes": list(subset.classes),
            "source_recordings": subset.source_recordings,
            "source_bytes": subset.source_bytes,
        },
    }


def _label_checks(checks: LabelCheckStatistics) -> dict[str, Any]:
    """Faulty boxes by class, and the recordings whose boxes are late or early for certain."""
    offsets = checks.offsets.items()
    faults = {
        fault: {name: count for name, count in counts.items() if count}
        for fault, counts in checks.faults.items()
    }
    if not offsets:  # no events were read
        return {"box_faults": faults, "not_checked": ["box-without-events", "label offsets"]}
    return {
        "box_faults": faults,
        "label_offsets": {
            key: {"windows": offset.windows, "low": offset.low, "high": offset.high}
            for key, offset in offsets
            if offset.is_sure
        },
        "label_offset_not_told": sum(offset.windows is None for _, offset in offsets),
    }


def _by_split(windows: list[tuple[str, int]]) -> dict[str, dict[str, int]]:
    splits: dict[str, dict[str, int]] = {}
    for split, count in windows:
        row = splits.setdefault(split, {"recordings": 0, "windows": 0})
        row["recordings"] += 1
        row["windows"] += count
    return splits


def info_lines(info: dict[str, Any]) -> list[str]:
    """The facts as aligned lines of text, nested ones indented."""
    lines = []
    for key, value in info.items():
        if key == "settings":
            value = _with_class_names(value)
        if key == "motion":
            total = sum(value.values())
            value = {name: f"{n:,} ({share(n, total)})" for name, n in value.items()}
        if isinstance(value, dict):
            lines.append(f"{key}:" if value else f"{key}: none")
            for name, inner in value.items():
                shown = (
                    ", ".join(_counted(what, n) for what, n in inner.items())
                    if isinstance(inner, dict)
                    else readable(name, inner)
                )
                lines.append(f"  {name:<18} {shown}")
        else:
            lines.append(f"{key:<20} {readable(key, value)}")
    return lines


def _with_class_names(settings: dict[str, Any]) -> dict[str, Any]:
    """A cache's settings with its classes by number and name."""
    names = settings.get("class_names", CLASS_NAMES)
    return {**settings, "classes": [f"{number} {names[number]}" for number in settings["classes"]]}


def _counted(what: str, value: Any) -> str:
    """``3 windows``, ``12.6 MB raw``; a text speaks for itself."""
    shown = readable(what, value)
    return shown if isinstance(value, str) else f"{shown} {what.removesuffix('_bytes')}"


def readable(key: str, value: Any) -> str:
    """One value for a person: bytes with a unit, counts with separators, lists with commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int) and "bytes" in key:
        return format_bytes(value)
    if isinstance(value, int) and key not in ("version", "kernel_version", "seed"):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        more = [f"and {len(value) - _LISTED:,} more"] if len(value) > _LISTED else []
        return ", ".join([*map(_item, value[:_LISTED]), *more]) or "none"
    return str(value)


def _item(item: Any) -> str:
    return str(LeftOut(**item)) if isinstance(item, dict) else str(item)


def format_bytes(count: int) -> str:
    """Decimal units, as disks and downloads are sold: ``12.3 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
