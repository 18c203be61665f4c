"""How the strategies of `dmanet-data subset` compare on a manifest of the release's size.

`python -m benchmarks.subset_strategies` prints the table of `docs/subsets.md`. The manifests are
simulated: 900 recordings on 40 days, whose streets differ in what drives and walks there, so that
classes are as uneven as on real streets; bytes and boxes a recording are log-normal.
"""

import time
from pathlib import Path

import click
import numpy as np

from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import SPLITS
from pipeline.selection.drift import class_counts, class_shares, divergence, total_variation
from pipeline.selection.entries import RecordingEntry, ShardEntry
from pipeline.selection.manifest import Manifest
from pipeline.selection.strategy import Strategy
from pipeline.selection.subset import choose_subset, recording_size

#: Pedestrians, two-wheelers, cars, trucks, buses, signs, lights: what there is of them.
_STREETS = np.array([0.25, 0.05, 0.55, 0.04, 0.01, 0.06, 0.04])
_RECORDINGS = {"train": 630, "val": 135, "test": 135}
_DAYS = 40
_BYTES = 3e8  # a recording's median
_BOXES = 3000
_TARGET = {"car": 0.4, "pedestrian": 0.3}


def simulated_manifest(seed: int) -> Manifest:
    """A manifest of 900 recordings; the same seed gives the same one."""
    rng = np.random.default_rng(seed)
    days = rng.dirichlet(_STREETS * 8, size=_DAYS)
    rows = []
    for split in SPLITS:
        for k in range(_RECORDINGS[split]):
            day = k * _DAYS // _RECORDINGS[split]
            shares = rng.dirichlet(days[day] * 5 + 1e-3)
            boxes = rng.poisson(shares * rng.lognormal(np.log(_BOXES), 1.0))
            size = int(rng.lognormal(np.log(_BYTES), 0.35))
            name = f"simulated_2019-{2 + day // 28:02d}-{1 + day % 28:02d}_{k:03d}"
            rows.append(_recording(f"{split}/{split}filelist{k // 30:02d}/{name}", size, boxes))
    return Manifest(root=Path("/release"), recordings=tuple(rows))


def _recording(recording_id: str, size: int, boxes: np.ndarray) -> RecordingEntry:
    counts = dict(zip(CLASS_NAMES, map(int, boxes), strict=True))
    shards = tuple(
        ShardEntry(k, size // 33 - 2000 + (size % 33 if k == 0 else 0), 2000, 10, None, None)
        for k in range(33)
    )
    return RecordingEntry(
        id=recording_id,
        sensor=(1280, 720),
        bytes=size,
        windows=330,
        events=0,
        time_us=None,
        labels=counts,
        kept=counts,
        defects={},
        defect_places=(),
        digest=None,
        shards=shards,
    )


def measured(
    manifest: Manifest, strategy: Strategy, budget: int, seed: int, solver: bool
) -> dict[str, float]:
    """What a strategy comes to in the split ``train``, and how long the whole choice takes."""
    began = time.perf_counter()
    target = _TARGET if strategy is Strategy.TARGET else None
    limit = {} if solver else {"time_limit": 0.0}
    chosen = choose_subset(manifest, budget, strategy, target=target, seed=seed, **limit).manifest
    seconds = time.perf_counter() - began
    classes = tuple(range(len(CLASS_NAMES)))
    before, after = (class_shares(class_counts(m, "train", classes)) for m in (manifest, chosen))
    reached = chosen.subset.reached["train"]
    sought = [abs(after[CLASS_NAMES.index(name)] - share) for name, share in _TARGET.items()]
    return {
        "filled": sum(map(recording_size, chosen.recordings)) / budget,
        "smallest": after.min(),
        "variation": float(total_variation(after, before)),
        "kl": divergence(after, before),
        "sought": max(sought),
        "boxes": class_counts(chosen, "train", classes).sum(),
        "days": reached.days[0],
        "bound": np.nan if reached.bound is None else reached.bound,
        "seconds": seconds,
    }


@click.command()
@click.option("--seeds", default="0,1,2", show_default=True, help="Manifests, one a seed.")
@click.option("--budget", default=0.15, show_default=True, help="A part of the manifest's bytes.")
def main(seeds: str, budget: float) -> None:
    """Print a Markdown table: each strategy's mean over the seeds, in the split train."""
    numbers = [int(seed) for seed in seeds.split(",")]
    manifests = {seed: simulated_manifest(seed) for seed in numbers}
    click.echo(
        f"900 recordings, budget {budget:.0%} of the bytes, means over seeds {seeds}; `train`:\n"
    )
    click.echo(
        "| strategy | budget filled | smallest share | at most | total variation | KL | "
        "car, pedestrian off by | boxes | days of 40 | seconds |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|---|")
    for strategy in Strategy:
        goal = strategy in (Strategy.BALANCED, Strategy.TARGET, Strategy.STRATIFIED)
        for solver in (False, True) if goal else (True,):
            rows = [
                measured(manifest, strategy, int(budget * manifest.totals.bytes), seed, solver)
                for seed, manifest in manifests.items()
            ]
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            name = f"`{strategy}`" + ("" if solver else ", search alone")
            balanced = strategy is Strategy.BALANCED and solver
            click.echo(
                f"| {name} | {mean['filled']:.2%} | {mean['smallest']:.2%} | "
                f"{format(mean['bound'], '.2%') if balanced else ''} | {mean['variation']:.4f} | "
                f"{mean['kl']:.4f} | {100 * mean['sought']:.2f} points | {mean['boxes']:.0f} | "
                f"{mean['days']:.0f} | {mean['seconds']:.1f} |"
            )


if __name__ == "__main__":
    main()
