"""What augmentation costs beside decoding a batch.

    python -m benchmarks.augmentation [--quick] [--json FILE] [--device DEVICE]

Batches of 2 × 10 random windows of about 60 000 cells with events (512×512 cells, sensor 1280×720),
in both presets. Parts take turns; medians. `--quick` measures a fifth of the windows, three times.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import in_turn, median
from dmanet.data.augmentation import AugmentationSettings, augment
from dmanet.data.batches import PackedBatch, collate
from dmanet.data.unpacking import decode_batch
from pipeline.cache.packed_windows import PackedWindows
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.pillars.settings import PillarSettings
from pipeline.release.shards import EVENT_DTYPE, SENSOR_SIZE, WINDOW_US

EVENTS = 90_000
LIT_ROWS = (200, 480)  # events crowd on a part of the sensor, as they do on edges
AUGMENTATIONS = {
    "flip": AugmentationSettings(flip=0.5),
    "swap": AugmentationSettings(swap_polarity=0.5),
    "enlarge": AugmentationSettings(zoom=(1.0, 1.5), shift=0.1),
    "all": AugmentationSettings(flip=0.5, swap_polarity=0.5, zoom=(0.7, 1.5), shift=0.1),
}


def random_window(rng: np.random.Generator) -> np.ndarray:
    """``EVENT_DTYPE [EVENTS]``: events at random places of the lit rows."""
    window = np.zeros(EVENTS, EVENT_DTYPE)
    window["t"] = np.sort(rng.integers(0, WINDOW_US, EVENTS))
    window["x"] = rng.integers(0, 1280, EVENTS)
    window["y"] = rng.integers(*LIT_ROWS, EVENTS)
    window["p"] = rng.integers(0, 2, EVENTS)
    return window


def random_batch(preset: str, steps: int) -> PackedBatch:
    """Two slots of ``steps`` windows without boxes, each slot with a draw of its own."""
    rng = np.random.default_rng(0)
    encoding = PillarEncoding(PillarSettings(preset=preset), SENSOR_SIZE)
    workspace = Workspace(encoding)
    slots = []
    for slot in range(2):
        packed = [pack_window(random_window(rng), workspace) for _ in range(steps)]
        pillars = [window.pillars[polarity] for window in packed for polarity in (0, 1)]
        points = [window.points[polarity] for window in packed for polarity in (0, 1)]
        counts = [(len(p), len(q)) for p, q in zip(pillars, points, strict=True)]
        slots.append(
            PackedWindows(
                recording=f"random {slot}",
                first=0,
                encoding=encoding,
                pillars=np.concatenate(pillars),
                points=np.concatenate(points),
                offsets=np.cumsum([(0, 0), *counts], axis=0),
                spans=np.array([window.span for window in packed]),
                t_start=np.arange(steps) * WINDOW_US,
                starts=np.arange(steps) == 0,
                boxes=np.zeros((0, 4), np.float32),
                classes=np.zeros(0, np.int64),
                box_window=np.zeros(0, np.int64),
                tracks=np.zeros(0, np.int64),
            )
        )
    batch = collate(slots)
    batch.draws.copy_(torch.tensor([1, 2]).repeat(steps))
    return batch


def milliseconds(
    preset: str, steps: int, repetitions: int, device: torch.device
) -> dict[str, float]:
    """Median time of decoding a batch and of each augmentation after it."""
    batch = random_batch(preset, steps).to(device)
    positive, negative = decode_batch(batch)
    pillars = len(positive.points) + len(negative.points)
    print(f"{preset}: {batch.frames} windows of {pillars / batch.frames:,.0f} pillars")

    def timed(part: Callable[[], object]) -> Callable[[], None]:
        def whole() -> None:
            part()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return whole

    parts: dict[str, Callable[[], object]] = {"decode": timed(partial(decode_batch, batch))}
    for name, settings in AUGMENTATIONS.items():
        grid_size = batch.settings[0].settings.grid[::-1]
        parts[name] = timed(
            partial(augment, positive, negative, batch.targets, batch, settings, grid_size)
        )
    return {name: 1e3 * median(s) for name, s in in_turn(repetitions, **parts).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller batches, three turns")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    arguments = parser.parse_args()
    steps, repetitions = (2, 3) if arguments.quick else (10, 7)
    figures = {}
    for preset in ("release", "paper"):
        figures[preset] = milliseconds(preset, steps, repetitions, arguments.device)
        for name, value in figures[preset].items():
            print(
                f"  {name:<10}{value:>8.1f} ms {value / figures[preset]['decode']:>7.2f} × decode"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
