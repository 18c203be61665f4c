"""Simulated recordings in the release's format: a scene, an event camera, shards on disk.

Everything follows from the seed: two runs of the same settings write the same bytes, whatever the
number of processes.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.files.whole import folder_written_whole
from pipeline.release.sensors import write_sensors
from pipeline.release.shards import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    SKIP_US,
    SPLITS,
    WINDOW_US,
    WINDOWS_PER_SHARD,
    write_shard,
)
from pipeline.simulation.estimate import require_room
from pipeline.simulation.event_camera import CameraSettings, EventCamera, threshold_for_rate
from pipeline.simulation.planted_defects import (
    DefectPlan,
    PlantedDefect,
    plan_defects,
    plant_defects,
)
from pipeline.simulation.scene import Scene
from pipeline.simulation.settings import SHARD_US, SimulationSettings
from pipeline.simulation.traffic import random_scene
from pipeline.simulation.traffic_stops import with_stops
from pipeline.tasks.outcomes import Counter, Failed, result_of
from pipeline.tasks.run import run_tasks

RECORD_NAME = "simulation.json"
RECORD_FORMAT, RECORD_VERSION = "simulated-release", 1
_RECORDINGS_PER_FILELIST = 50
_FIRST_SHARD = SKIP_US // SHARD_US
_CALM_DENSITY = 0.2  # events a pixel and window of a calm drive
# To find the contrast threshold: recordings of up to 40 windows whole, 15 of each 40 in others.
_PROBED_WHOLE, _PROBE_WINDOWS, _PROBE_PIXELS = 40, 15, 6_000
_SETTLING_WINDOWS = 5  # shown to the camera before the first that counts


@dataclass(frozen=True)
class SimulatedRecording:
    """What one recording turned out to be. ``threshold``: the camera's contrast threshold."""

    id: str
    windows: int
    events: int
    boxes: int
    threshold: float


@dataclass(frozen=True)
class SimulationSummary:
    """What was written: every recording, and every defect planted afterwards."""

    recordings: tuple[SimulatedRecording, ...]
    defects: tuple[PlantedDefect, ...]


def simulate_release(
    root: Path,
    settings: SimulationSettings,
    progress: Callable[[int], object] | None = None,
    processes: int = 1,
) -> SimulationSummary:
    """Write a simulated release tree to ``root``, which appears whole or not at all.

    Next to the splits stands ``simulation.json``: ``format`` and ``version``; ``settings``, the
    fields of :class:`SimulationSettings`; ``recordings``, those of :class:`SimulatedRecording`
    (before defects); ``defects``, those of
    :class:`pipeline.simulation.planted_defects.PlantedDefect`.

    Args:
        root: the release's folder.
        settings: everything that decides what is written.
        progress: is called with the number of windows just finished, after each shard.
        processes: share the recordings.

    Raises:
        UsageError: ``root`` exists and is not an empty folder, the disk or the memory is too small
            (:func:`pipeline.simulation.estimate.require_room`), or the defects do not fit into the
            recordings.
        OSError: the files cannot be written.
    """
    require_room(settings, root, processes)
    with folder_written_whole(root) as tree:
        plan = _plan_defects(settings)
        recordings = _simulate_all(tree, settings, progress, processes)
        write_sensors(tree, {r.id: settings.sensor for r in recordings})
        planted = plant_defects(tree, plan, settings.sensor)
        summary = SimulationSummary(tuple(recordings), tuple(planted))
        _write_record(tree, settings, summary)
    return summary


def _write_record(root: Path, settings: SimulationSettings, summary: SimulationSummary) -> None:
    record = {
        "format": RECORD_FORMAT,
        "version": RECORD_VERSION,
        "settings": settings.stated(),
        **dataclasses.asdict(summary),
    }
    (root / RECORD_NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _jobs(settings: SimulationSettings) -> list[tuple[str, int]]:
    """Split and index of every recording."""
    return [(split, i) for split in SPLITS for i in range(settings.recordings.get(split, 0))]


def _plan_defects(settings: SimulationSettings) -> list[DefectPlan]:
    numbers = range(_FIRST_SHARD, _FIRST_SHARD + settings.shards)
    names = [recording_id(settings, *job) for job in _jobs(settings)]
    rng = np.random.default_rng([settings.seed, len(SPLITS)])  # apart from any recording's
    return plan_defects([(name, n) for name in names for n in numbers], settings.defects, rng)


def _simulate_all(
    root: Path,
    settings: SimulationSettings,
    progress: Callable[[int], object] | None,
    processes: int,
) -> list[SimulatedRecording]:
    """Every recording, in the order of their ids."""
    tasks = {recording_id(settings, *job): job for job in _jobs(settings)}
    recordings = []
    outcomes = run_tasks(
        partial(_simulate, root, settings), tasks, Counter(progress), workers=processes
    )
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            if isinstance(outcome, Failed) and outcome.cause is not None:
                raise outcome.cause
            recordings.append(result_of(outcome))
    return sorted(recordings, key=lambda recording: recording.id)


def _simulate(
    root: Path, settings: SimulationSettings, job: tuple[str, int], tick: Callable[[int], None]
) -> SimulatedRecording:
    return simulate_recording(root, settings, *job, tick)


def recording_id(settings: SimulationSettings, split: str, index: int) -> str:
    """``split/filelist/name`` of a simulated recording."""
    filelist = f"{split}filelist{index // _RECORDINGS_PER_FILELIST:02d}"
    return f"{split}/{filelist}/sim_{settings.seed:06d}_{split}_{index:04d}"


def simulate_recording(
    root: Path,
    settings: SimulationSettings,
    split: str,
    index: int,
    tick: Callable[[int], None] = lambda windows: None,
) -> SimulatedRecording:
    """Simulate one recording and write its shards under ``root``.

    Args:
        root: the release's folder.
        settings: everything that decides what is written.
        split: ``train``, ``val`` or ``test``.
        index: number of the recording in its split, from 0.
        tick: is called with the number of windows just written; what it raises ends the work.
    """
    seed = settings.seed, SPLITS.index(split), index
    rng = np.random.default_rng(seed)
    identity = recording_id(settings, split, index)
    width, height = settings.sensor
    density = settings.rate / (width * height)
    span = SKIP_US * 1e-6, (SKIP_US + settings.shards * SHARD_US) * 1e-6
    scene = random_scene(
        settings.sensor,
        span,
        settings.classes,
        settings.weights,
        settings.objects,
        activity=float(np.clip(np.sqrt(density / _CALM_DENSITY), 0.25, 2.5)),
        rng=rng,
    )
    begin = SKIP_US - _SETTLING_WINDOWS * WINDOW_US
    threshold = _calibrate(scene, settings, rng)
    if settings.stops:  # of a generator of its own: street, traffic and camera are as without
        scene = with_stops(scene, span, np.random.default_rng([*seed, 1]))
    camera = EventCamera(
        CameraSettings(
            threshold,
            refractory_us=settings.refractory_us,
            noise_hz=settings.noise * settings.rate * 1e6 / WINDOW_US,
        ),
        scene.draw(begin * 1e-6),
        begin,
        rng,
    )
    for k in range(begin // WINDOW_US, SKIP_US // WINDOW_US):
        _window_events(scene, camera, settings, k)
    events_total = boxes_total = 0
    for shard in range(_FIRST_SHARD, _FIRST_SHARD + settings.shards):
        windows = range(shard * WINDOWS_PER_SHARD, (shard + 1) * WINDOWS_PER_SHARD)
        events = [_window_events(scene, camera, settings, k) for k in windows]
        labels = [_window_labels(scene, settings, k) for k in windows]
        write_shard(root, identity, shard, events, labels)
        tick(WINDOWS_PER_SHARD)
        events_total += sum(map(len, events))
        boxes_total += sum(map(len, labels))
    return SimulatedRecording(
        identity, settings.shards * WINDOWS_PER_SHARD, events_total, boxes_total, threshold
    )


def _calibrate(scene: Scene, settings: SimulationSettings, rng: np.random.Generator) -> float:
    """The contrast threshold that brings the recording near its rate.

    Found on every ``step``-th pixel over a short recording, or over stretches spread over a long
    one. A stretch needs windows before those that count: a camera just switched on reports more
    than one whose references have settled.
    """
    width, height = scene.sensor
    step = max(1, round(np.sqrt(width * height / _PROBE_PIXELS)))
    frame_us = WINDOW_US // settings.frames_per_window
    windows = settings.shards * WINDOWS_PER_SHARD
    stretches = -(-windows // _PROBED_WHOLE)
    counted = windows if stretches == 1 else _PROBE_WINDOWS
    settling = _SETTLING_WINDOWS * settings.frames_per_window
    frames = np.arange(-settling, counted * settings.frames_per_window + 1)

    def runs() -> Iterator[np.ndarray]:  # float32 [F, N] each
        for k in range(stretches):
            first = int((k + 0.5) * windows / stretches - counted / 2)
            times = SKIP_US + first * WINDOW_US + frames * frame_us
            yield np.stack([scene.draw(t * 1e-6, step).ravel() for t in times.tolist()])

    share = -(-width // step) * -(-height // step) / (width * height)  # of the sensor's pixels
    wanted = settings.rate * (1 - settings.noise) * share * counted
    return threshold_for_rate(runs(), settling, frame_us, wanted, settings.refractory_us, rng)


def _window_events(
    scene: Scene, camera: EventCamera, settings: SimulationSettings, window: int
) -> np.ndarray:
    """Events of window number ``window`` of the recording's clock, ``EVENT_DTYPE [N]``."""
    start, frame_us = window * WINDOW_US, WINDOW_US // settings.frames_per_window
    times = [start + (k + 1) * frame_us for k in range(settings.frames_per_window)]
    return np.concatenate(
        [np.empty(0, EVENT_DTYPE), *(camera.show(scene.draw(t * 1e-6), t) for t in times)]
    )


def _window_labels(scene: Scene, settings: SimulationSettings, window: int) -> np.ndarray:
    """Boxes at the window's middle, ``LABEL_DTYPE [M]``; none in windows without annotation."""
    if window % settings.labelled_every:
        return np.empty(0, LABEL_DTYPE)
    t = window * WINDOW_US + WINDOW_US // 2
    boxes = scene.boxes((t - settings.label_offset * WINDOW_US) * 1e-6)
    labels = np.zeros(len(boxes), LABEL_DTYPE)
    labels["t"], labels["class_confidence"] = t, 1.0
    for name in ("x", "y", "w", "h", "class_id", "track_id"):
        labels[name] = [getattr(box, name) for box in boxes]
    return labels
