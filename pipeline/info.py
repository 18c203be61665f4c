"""What a cache or a manifest is, in a few lines: contents, sizes, settings, what was left out."""

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.cache import PillarCache
from pipeline.manifest import Manifest


def cache_info(cache: PillarCache) -> dict[str, Any]:
    """Facts of a cache as plain JSON values; sizes in bytes, of files on this disk."""
    recordings = cache.recordings()
    root = Path(cache.location)
    defects: Counter[str] = Counter()
    for recording in recordings:
        defects.update(recording.attributes["defects"]["counts"])
    source_bytes = sum(
        file["bytes"] for r in recordings for file in r.attributes["source"]["files"]
    )
    cache_bytes = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    return {
        "kind": "cache",
        **cache.attributes,
        "sensors": sorted({f"{r.sensor[0]}x{r.sensor[1]}" for r in recordings}),
        "recordings": len(recordings),
        "windows": sum(len(r) for r in recordings),
        "by_split": _by_split([(r.split, len(r)) for r in recordings]),
        "pillars": sum(r.array_length("pillars") for r in recordings),
        "boxes": sum(r.array_length("labels") for r in recordings),
        "source_bytes": source_bytes,
        "cache_bytes": cache_bytes,
        "cache_to_source": cache_bytes / source_bytes if source_bytes else None,
        "left_out": sum(len(r.attributes["defects"]["left_out"]) for r in recordings),
        "defects": dict(sorted(defects.items())),
    }


def manifest_info(manifest: Manifest) -> dict[str, Any]:
    """Facts of a manifest as plain JSON values."""
    totals = manifest.totals
    subset = manifest.subset
    return {
        "kind": "manifest",
        "digest": manifest.digest,
        "recordings": totals.recordings,
        "windows": totals.windows,
        "by_split": _by_split([(r.split, r.windows) for r in manifest.recordings]),
        "source_bytes": totals.bytes,
        "events": totals.events,
        "labels": totals.labels,
        "labels_kept": totals.kept,
        "defects": {defect.value: count for defect, count in sorted(totals.defects.items())},
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
        if isinstance(value, dict):
            lines.append(f"{key}:" if value else f"{key}: none")
            for name, inner in value.items():
                shown = (
                    ", ".join(f"{count} {what}" for what, count in inner.items())
                    if isinstance(inner, dict)
                    else readable(name, inner)
                )
                lines.append(f"  {name:<18} {shown}")
        else:
            lines.append(f"{key:<20} {readable(key, value)}")
    return lines


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
        return ", ".join(str(item) for item in value)
    return str(value)


def format_bytes(count: int) -> str:
    """Decimal units, as disks and downloads are sold: ``12.3 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
