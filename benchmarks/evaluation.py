"""How fast evaluation is: `python -m benchmarks.evaluation [--quick] [--json]`.

First the network `tiny` over recordings, one at a time and side by side, taken in turn in one run. The
floor is the convolutions of the largest batch, forward, on random tensors, and nothing else; beside it
those of one recording at a time. Then the
examination of a score: matching once, a thousand draws of recordings, and beside them one draw scored
from scratch.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.convolution_floor import ConvolutionFloor
from benchmarks.shards import simulated_release
from benchmarks.timing import in_turn, median
from dmanet.data.samplers import WindowRange
from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.bootstrap import drawn_weights
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.headline import headline
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.ranking import rank
from dmanet.evaluation.release import release_result
from dmanet.evaluation.scored import scored_grid
from dmanet.evaluation.streaming import StreamSettings, stream_detections
from dmanet.evaluation.window_matches import match
from dmanet.models.detector import DMANet
from dmanet.recipes import resolve_settings
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import SENSOR_SIZE, walk_release
from pipeline.voxelizing.run import voxelize

RATE = 50_000  # events a window
NAMES = ("pedestrian", "two wheeler", "car")
DRAWS = 1000


def streaming_figures(work: Path, recordings: int, shards: int, repetitions: int) -> dict[str, Any]:
    """Windows a second of each way to run the network, and ratios to one recording at a time."""
    settings = resolve_settings("tiny", None, ())
    root = simulated_release(work, RATE, recordings, shards)
    path = work / f"evaluation-{recordings}x{shards}"
    height, width = settings.model.grid_size
    if not path.exists():
        cache_settings = CacheSettings(grid=(width, height), max_points=settings.model.max_points)
        voxelize(walk_release(root), lambda key: SENSOR_SIZE, path, cache_settings)
    cache = PillarCache(path)
    torch.manual_seed(0)
    model = DMANet(settings.model)
    spans = [WindowRange(one.id, 0, len(one)) for one in cache.recordings()]
    windows = sum(span.stop for span in spans)
    alone = StreamSettings(torch.device("cpu"), "fp32")

    def run(stream: StreamSettings) -> Callable[[], None]:
        def detect() -> None:
            for _ in stream_detections(model, cache, spans, stream, score_threshold=0.1):
                pass

        return detect

    floor, floor_alone = ConvolutionFloor(), ConvolutionFloor()
    with floor:
        run(replace(alone, batch=recordings))()
    with floor_alone:
        run(alone)()
    ways = {
        "window_by_window": run(replace(alone, steps=1)),
        "one_at_a_time": run(alone),
        "side_by_side_2": run(replace(alone, batch=2)),
        f"side_by_side_{recordings}": run(replace(alone, batch=recordings)),
        f"side_by_side_{recordings}_window_by_window": run(
            replace(alone, batch=recordings, steps=1)
        ),
        "floor": floor.replay,
        "floor_one_at_a_time": floor_alone.replay,
    }
    seconds = {name: median(times) for name, times in in_turn(repetitions, **ways).items()}
    return {
        "windows": windows,
        "threads": torch.get_num_threads(),
        **{f"{name}_windows_per_s": windows / own for name, own in seconds.items()},
        **{
            f"{name}_vs_one_at_a_time": seconds["one_at_a_time"] / own
            for name, own in seconds.items()
            if name != "one_at_a_time"
        },
    }


def examination_figures(recordings: int, windows: int) -> dict[str, Any]:
    """Seconds of a thousand draws of recordings, against scoring one draw from scratch."""
    rng = np.random.default_rng(0)
    scenes = [_scene(rng, windows) for _ in range(recordings)]
    protocol = PROTOCOLS["release"]
    times = np.arange(windows) * 50_000

    def matched() -> list[Any]:
        scored = [
            scored_grid(str(r), times, *s, (1.0, 1.0), protocol) for r, s in enumerate(scenes)
        ]
        return [match(one, protocol) for one in scored]

    rankings = [rank(matched(), k) for k in range(len(NAMES))]
    weights = drawn_weights(recordings, Resampling(DRAWS))
    headline(rankings, NAMES, weights[:2], protocol)  # compiled

    def from_scratch() -> None:
        drawn = [scenes[r] for r in np.repeat(np.arange(recordings), weights[0])]
        release_result(
            [w for found, _ in drawn for w in found], [w for _, true in drawn for w in true], NAMES
        )

    began = time.perf_counter()
    headline(rankings, NAMES, weights, protocol)
    drawing = time.perf_counter() - began
    seconds = {n: median(t) for n, t in in_turn(3, match=matched, scratch=from_scratch).items()}
    return {
        "recordings": recordings,
        "detections": sum(len(ranking.scores) for ranking in rankings),
        "match_once_s": seconds["match"],
        "draws_s": drawing,
        "from_scratch_s": seconds["scratch"],
        "draw_vs_from_scratch": seconds["scratch"] / (drawing / DRAWS),
    }


def _scene(rng: np.random.Generator, windows: int) -> tuple[list[Detections], list[Labels]]:
    """Four labels a window; eight detections, of which those with high scores are mostly right."""
    found, true = [], []
    for _ in range(windows):
        corner = rng.uniform(0, 400, (4, 2))
        labels = np.concatenate([corner, corner + rng.uniform(20, 100, (4, 2))], axis=1)
        scores = rng.uniform(0.1, 1, 8).astype(np.float32)
        of = rng.integers(0, 4, 8)
        shift = rng.normal(0, 4, (8, 4)) + 200 * (rng.random((8, 1)) > scores[:, None])
        classes = rng.integers(0, len(NAMES), 4)
        found.append(Detections((labels[of] + shift).astype(np.float32), scores, classes[of]))
        true.append(Labels(labels.astype(np.float32), classes))
    return found, true


@click.command()
@click.option("--quick", is_flag=True, help="Fewer windows and repetitions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(quick: bool, as_json: bool, work: Path) -> None:
    """Print how fast evaluation is, as ratios."""
    work.mkdir(parents=True, exist_ok=True)
    result = {
        "streaming": streaming_figures(work, 4 if quick else 8, 2, 2 if quick else 5),
        "examination": examination_figures(10 if quick else 40, 100),
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    for part, figures in result.items():
        click.echo(part)
        for name, value in figures.items():
            click.echo(f"  {name:<44}{value:>12.4g}")


if __name__ == "__main__":
    main()
