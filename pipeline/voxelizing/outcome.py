"""What a run of `voxelize` came to, also as a JSON file for programs."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cache.writer import root_attributes
from pipeline.defects import Defect
from pipeline.files import written_whole
from pipeline.release.shards import release_order
from pipeline.tasks.processes import Failed
from pipeline.voxelizing.recording import LeftOut, RecordingReport

_FORMAT = "dmanet-voxelize-report"
_VERSION = 1


@dataclass
class VoxelizeReport:
    """Recordings made now, complete before (ids), and failed.

    ``left_out`` lists the windows left out or repeated of all complete recordings that were asked
    for, whichever run made them. ``waiting`` are recordings whose files are not on disk yet.
    """

    made: list[RecordingReport] = field(default_factory=list)
    already_complete: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def left_out_windows(recording_id: str, attributes: Mapping[str, Any]) -> list[LeftOut]:
    """The windows that a published recording's attributes list as left out or repeated."""
    return [
        LeftOut(recording_id, w["shard"], w["member"], Defect(w["defect"]), w["repeated"])
        for w in attributes["defects"]["left_out"]
    ]


def write_report(report: VoxelizeReport, cache: Path, path: Path) -> None:
    """Write the report on a run on ``cache``, whole or not at all; ``docs/cache.md`` has its fields."""
    made = {recording.recording for recording in report.made}
    complete = sorted(made.union(report.already_complete))
    defects: Counter[str] = Counter()
    windows = 0
    for recording_id in complete:
        attributes = root_attributes(cache / recording_id)
        defects.update(attributes["defects"]["counts"])
        windows += attributes["windows"]
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "fingerprint": root_attributes(cache)["fingerprint"],
        "recordings": {
            "made": len(made),
            "already_complete": len(report.already_complete),
            "failed": len(report.failed),
            "waiting": len(report.waiting),
        },
        "windows": windows,
        "defects": dict(sorted(defects.items())),
        "left_out": [asdict(window) for window in report.left_out],
        "failed": [
            {"recording": failed.key, "message": str(failed.error)}
            for failed in sorted(report.failed, key=lambda failed: release_order(failed.key))
        ],
        "waiting": sorted(report.waiting, key=release_order),
    }
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
