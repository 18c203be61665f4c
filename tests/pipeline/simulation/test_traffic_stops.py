"""Scenes that stop: still while they stand, smooth before and after, one object behind another."""

import dataclasses
import json

import numpy as np
import pytest

from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import WINDOW_US, walk_release
from pipeline.simulation import traffic_stops
from pipeline.simulation.event_camera import CameraSettings, EventCamera
from pipeline.simulation.recordings import SimulationSettings, simulate_release
from pipeline.simulation.scene import FOCAL, MIN_VISIBLE, CameraPath, Scene
from pipeline.simulation.stops import Clock, Stop, Timing
from pipeline.simulation.street import make_surroundings
from pipeline.simulation.traffic import random_object, random_scene
from pipeline.simulation.traffic_stops import LONGEST_STAND, SHORTEST_STAND, with_stops

SENSOR = (320, 180)
SPAN = (0.5, 12.5)
STREET = make_surroundings(np.random.default_rng(0))
DRIVE = CameraPath(5.0, 0.3, (0.03, 0.01, 0.001), (1.0, 3.0, 9.0), (0.5, 1.0, 2.0))


def stopping(seed, classes=range(7), objects=14):
    rng = np.random.default_rng(seed)
    scene = random_scene(SENSOR, SPAN, classes, [1] * len(classes), objects, 1.0, rng)
    return with_stops(scene, SPAN, np.random.default_rng([seed, 1]))


def car(track, **changes):
    item = random_object(2, track, 2.0, 1.0, np.random.default_rng(track))
    return dataclasses.replace(item, track_id=track, approach=0.0, **changes)


def by_track(scene, seconds):
    return {box.track_id: box for box in scene.boxes(seconds)}


def test_a_standing_scene_has_still_boxes_and_no_events_but_noise():
    stop = Stop(1.0, 0.5, 1.5, 0.5)
    objects = (car(1, east=-1.0, north=10.0), car(2, east=2.0, north=14.0))
    clocks = (Clock([stop]),) * 2
    scene = Scene(SENSOR, STREET, DRIVE, objects, Timing(Clock([stop]), clocks, (None, None)))
    noise_hz = 40_000
    settings = CameraSettings(0.2, noise_hz=noise_hz)
    camera = EventCamera(settings, scene.draw(0.75), 750_000, np.random.default_rng(0))
    counts = {}
    for window in range(15, 64):
        frames = [window * WINDOW_US + k * WINDOW_US // 4 for k in range(1, 5)]
        counts[window] = sum(len(camera.show(scene.draw(t * 1e-6), t)) for t in frames)
    standing = [n for window, n in counts.items() if 30 <= window < 60]  # from 1.5 to 3.0 s
    expected = noise_hz * WINDOW_US * 1e-6
    assert np.mean(standing) == pytest.approx(expected, abs=4 * np.sqrt(expected / len(standing)))
    assert max(standing) < expected + 5 * np.sqrt(expected)
    assert min(counts[16], counts[17]) > 2 * expected  # it drives
    assert len({tuple(scene.boxes(t)) for t in (1.5, 1.9, 2.4, 2.99)}) == 1
    assert len(scene.boxes(2.0)) == 2
    assert scene.boxes(1.3) != scene.boxes(1.4)


def test_the_ego_vehicle_stands_for_half_a_second_to_four_and_never_brakes_too_hard():
    stands, seen = [], 0
    for seed in range(5):
        scene = stopping(seed)
        times = np.arange(*SPAN, 0.01)
        north = np.array([scene.camera(t)[4] for t in times])
        speed = np.diff(north) / 0.01
        assert speed.max() == pytest.approx(scene.path.speed, rel=1e-6)
        assert np.abs(np.diff(speed)).max() / 0.01 < 8.1  # metres a second²
        still = np.flatnonzero(np.diff((speed == 0).astype(int), prepend=0, append=0))
        runs = still.reshape(-1, 2)
        whole = runs[runs[:, 1] < len(speed)]
        stands += ((whole[:, 1] - whole[:, 0] + 1) * 0.01).tolist()
        seen += len(runs)
    assert seen >= 8
    assert min(stands) > SHORTEST_STAND - 0.02
    assert max(stands) < LONGEST_STAND + 0.02


def test_boxes_come_to_rest_and_start_again_without_a_jump_of_speed():
    slowest = fastest = 0.0
    for seed in range(2):
        scene = stopping(seed, classes=(2, 3, 4))
        path = {}
        for k, seconds in enumerate(np.arange(0.5, 8.5, 0.01)):
            for box in scene.boxes(seconds):
                path.setdefault(box.track_id, {})[k] = (box.x, box.y, box.w, box.h)
        for boxes in path.values():
            for k in boxes.keys() & {k - 1 for k in boxes} & {k - 2 for k in boxes}:
                first, second, third = (np.array(boxes[k + i]) for i in range(3))
                scale = second[3] / 60  # what is close is fast
                jump = np.abs(third - 2 * second + first)[:2].max() / 0.01 / max(scale, 1)
                slowest, fastest = max(slowest, jump), max(fastest, np.abs(second - first).max())
    assert fastest > 1  # pixels in 10 ms
    assert slowest < 15  # pixels a second, from one 10 ms to the next


def test_single_objects_stop_while_others_move():
    alone = 0
    for seed in range(4):
        scene = stopping(seed)
        for seconds in np.arange(1.0, 12.0, 0.2):
            now, then = by_track(scene, seconds), by_track(scene, seconds + 0.02)
            both = now.keys() & then.keys()
            still = {track for track in both if now[track] == then[track]}
            alone += bool(still) and len(still) < len(both)
    assert alone > 10


def test_an_object_that_stands_while_the_ego_vehicle_drives_keeps_its_place_in_the_world():
    ego, own = Stop(9.0, 1.0, 1.0, 1.0), Stop(1.0, 0.5, 1.0, 0.5)
    timing = Timing(Clock([ego]), (Clock([own, ego]),), (Clock([own, ego]),))
    scene = Scene(SENSOR, STREET, DRIVE, (car(1, east=1.0, north=16.0, velocity=2.0),), timing)

    def place(seconds):
        (box,) = scene.boxes(seconds)
        focal, centre, _, east, north = scene.camera(seconds)[:5]
        distance = FOCAL / 4 * 1.5 * 0.97 / box.h  # near enough: only whether it changes counts
        return east + (box.x + box.w / 2 - centre) / focal * distance, north + distance

    standing = np.array([place(t) for t in np.linspace(1.5, 2.5, 6)])
    moving = np.array([place(t) for t in np.linspace(3.2, 4.2, 6)])
    boxes = [scene.boxes(t)[0] for t in (1.6, 2.4)]
    assert boxes[1].h > 1.2 * boxes[0].h  # the ego vehicle comes closer
    assert np.ptp(standing, axis=0).max() < 0.3
    assert np.ptp(moving[:, 1]) > 3


def test_a_hidden_object_loses_its_box_and_has_the_same_again_when_it_is_seen():
    hidden_tracks = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        plain = random_scene(SENSOR, SPAN, (2, 3, 4), [1] * 3, 12, 1.0, rng)
        scene = with_stops(plain, SPAN, np.random.default_rng([seed, 1]))
        moved = [
            (after, before)
            for after, before in zip(scene.objects, plain.objects, strict=True)
            if after != before
        ]
        if not moved:
            continue
        behind, front = sorted((after for after, _ in moved), key=lambda item: -item.north)
        assert behind.time == front.time
        assert behind.north == pytest.approx(front.north * traffic_stops._NEARER)
        stop = max(
            (s for s in scene._timing.ego.stops if s.go <= SPAN[1]), key=lambda stop: stop.stand
        )
        track = behind.track_id
        rows = [by_track(scene, t).get(track) for t in np.linspace(stop.rest, stop.go, 41)]
        assert rows[20] is None  # in the middle
        seen = [box for box in rows if box is not None]
        assert len({dataclasses.replace(box, visible=1.0) for box in seen}) <= 1  # it rests
        assert all(box.visible >= MIN_VISIBLE for box in seen)
        if rows[0] is not None and rows[-1] is not None:
            hidden_tracks += 1
    assert hidden_tracks >= 2


def settings(**changes):
    base = {"sensor": (160, 90), "rate": 2_000, "recordings": {"train": 2}, "seconds": 6.0}
    return SimulationSettings(**base, **{"seed": 4, "objects": 5, "stops": True, **changes})


def windows_of(root):
    for recording in walk_release(root):
        for shard in recording.shards:
            events, labels = NpzFile(shard.events), NpzFile(shard.labels)
            for k in range(10):
                yield recording.name, read_events(events, k), read_labels(labels, k)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    root = tmp_path_factory.mktemp("stops") / "sim"
    simulate_release(root, settings())
    return root


def test_a_release_with_stops_keeps_boxes_where_only_noise_is_left(stopped):
    quiet, last = [], {}
    for name, events, labels in windows_of(stopped):
        boxes = {int(b["track_id"]): (b["x"], b["y"], b["w"], b["h"]) for b in labels}
        if boxes and last.get(name) == boxes:
            quiet.append(len(events))
        last[name] = boxes
    noise = settings().noise * settings().rate
    assert len(quiet) >= 10
    assert np.sort(quiet)[: len(quiet) // 2].mean() < 2 * noise
    assert json.loads((stopped / "simulation.json").read_text())["settings"]["stops"] is True


def test_stops_repeat_with_the_seed_and_leave_the_drive_before_them_as_it_was(stopped, tmp_path):
    for name, changes in {"again": {}, "plain": {"stops": False}}.items():
        simulate_release(tmp_path / name, settings(**changes))
    files = [p.relative_to(stopped) for p in sorted(stopped.rglob("*.npz"))]
    assert len(files) == 2 * 2 * 12
    assert all((tmp_path / "again" / f).read_bytes() == (stopped / f).read_bytes() for f in files)
    assert any((tmp_path / "plain" / f).read_bytes() != (stopped / f).read_bytes() for f in files)
    stopped_events, plain_events = (
        sum(len(events) for _, events, _ in windows_of(root))
        for root in (stopped, tmp_path / "plain")
    )
    assert stopped_events < 0.8 * plain_events
    assert (
        "stops" not in json.loads((tmp_path / "plain" / "simulation.json").read_text())["settings"]
    )
