"""Recordings of random boxes in which every kind of right and wrong detection occurs, scores tied."""

from dataclasses import dataclass

import numpy as np

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.coco import filtered_windows
from dmanet.evaluation.prophesee import BOX_DTYPE
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.scored import ScoredRecording, scored_grid, scored_records

NAMES = ("pedestrian", "two wheeler", "car")
FIRST_US = 600_000


@dataclass(frozen=True)
class Scene:
    """One recording: BOX_DTYPE records of each window."""

    name: str
    found: list[np.ndarray]
    true: list[np.ndarray]


def scenes(seed: int, recordings: int = 4, windows: int = 4, levels: int = 16) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [
        Scene(
            f"r{r}",
            *zip(
                *[_window(rng, FIRST_US + 50_000 * w, levels) for w in range(windows)], strict=True
            ),
        )
        for r in range(recordings)
    ]


def _window(rng, t: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    true = np.zeros(rng.integers(0, 5), BOX_DTYPE)
    true["t"], true["class_confidence"] = t, 1
    true["x"], true["y"] = rng.integers(0, 300, (2, len(true)))
    true["w"], true["h"] = rng.integers(10, 260, (2, len(true)))
    true["class_id"] = rng.integers(0, 3, len(true))
    found = np.zeros(rng.integers(0, 7), BOX_DTYPE)
    found["t"] = t
    found["x"], found["y"] = rng.integers(0, 300, (2, len(found)))
    found["w"], found["h"] = rng.integers(10, 260, (2, len(found)))
    found["class_id"] = rng.integers(0, 3, len(found))
    if len(true):
        near = rng.random(len(found)) < 0.8
        source = true[rng.integers(0, len(true), len(found))]
        for name in "xywh":
            found[name] = np.where(
                near, source[name] + rng.integers(-9, 10, len(found)), found[name]
            )
        found["w"], found["h"] = np.maximum(found["w"], 5), np.maximum(found["h"], 5)
        same = near & (rng.random(len(found)) < 0.8)
        found["class_id"] = np.where(same, source["class_id"], found["class_id"])
    found["class_confidence"] = rng.integers(2, levels, len(found)) / levels
    return found, true


def scored(scene: Scene, protocol: str = "prophesee") -> ScoredRecording:
    if PROTOCOLS[protocol].average_precision == "coco":
        windows = filtered_windows(scene.found, scene.true, range(3), PROTOCOLS[protocol])
        numbered = [(k, FIRST_US + 50_000 * k, found, true) for k, found, true in windows]
        return scored_records(scene.name, numbered, range(3), PROTOCOLS[protocol])
    found, true = grid(scene)
    times = FIRST_US + 50_000 * np.arange(len(found))
    return scored_grid(scene.name, times, found, true, (1.0, 1.0), PROTOCOLS[protocol])


def grid(scene: Scene) -> tuple[list[Detections], list[Labels]]:
    """The same boxes as a network of one cell a pixel finds them."""
    return (
        [
            Detections(_corners(w), w["class_confidence"], w["class_id"].astype(int))
            for w in scene.found
        ],
        [Labels(_corners(w), w["class_id"].astype(int)) for w in scene.true],
    )


def _corners(records: np.ndarray) -> np.ndarray:
    x, y, w, h = (records[name] for name in "xywh")
    return np.stack([x, y, x + w, y + h], axis=1)
