"""What a run of `voxelize` came to, also as a JSON file for programs."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cache.attributes import recording_attributes, root_attributes
from pipeline.defects import Defect
from pipeline.files.whole import written_whole
from pipeline.release.shards import release_order
from pipeline.tasks.outcomes import Failed

_FORMAT = "dmanet-voxelize-report"
_VERSION = 1


@dataclass(frozen=True)
class LeftOut:
    """A window that is not in the cache as the release meant it, and why.

    Attributes:
        recording: The recording's id.
        shard: The shard's number.
        member: The window's number in the shard.
        defect: Why it cannot be used; that of its labels where its events are damaged too.
        repeated: The window before it stands in its place.
    """

    recording: str
    shard: int
    member: int
    defect: Defect
    repeated: bool = False

    def __str__(self) -> str:
        what = "repeated" if self.repeated else "left out"
        return (
            f"{what}: {self.recording} shard {self.shard:03d} window {self.member}: {self.defect}"
        )

    @property
    def place(self) -> tuple[tuple[int, str], int, int]:
        """Sorts windows as a release does."""
        return release_order(self.recording), self.shard, self.member


@dataclass
class RecordingReport:
    """What voxelizing one recording gave.

    Attributes:
        recording: Its id.
        windows: How many are in the cache.
        events: How many they hold, as read.
        source_bytes: Sizes of the files read.
        defects: Counts of faults by name, in windows that are left out too.
        left_out: The windows that are left out or repeated.
    """

    recording: str
    windows: int = 0
    events: int = 0
    source_bytes: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass
class VoxelizeReport:
    """What a run came to.

    Attributes:
        made: Recordings made now.
        already_complete: Ids of those that were there before.
        failed: Those given up.
        waiting: Ids of those whose files are not on disk yet.
        left_out: Windows left out or repeated of all complete recordings that were asked for, whichever
            run made them.
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
        attributes = recording_attributes(cache / recording_id)
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
