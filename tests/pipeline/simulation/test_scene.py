"""Objects of a simulated scene: their boxes, their motion, what tells the classes apart."""

import dataclasses

import numpy as np
import pytest

from pipeline.release.labels import CLASS_NAMES, LabelRules, apply_label_rules
from pipeline.release.shards import LABEL_DTYPE
from pipeline.simulation.rendering import mark_parts
from pipeline.simulation.scene import MIN_VISIBLE, CameraPath, Scene
from pipeline.simulation.silhouettes import CLASS_LOOKS
from pipeline.simulation.street import make_surroundings
from pipeline.simulation.traffic import random_object, random_scene

SENSOR = (320, 180)
STANDING = CameraPath(0.0, 0.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
STREET = make_surroundings(np.random.default_rng(0))
STATIC = (5, 6)


def lone_object(class_id, seed, **changes):
    rng = np.random.default_rng(seed)
    item = random_object(class_id, 1, 1.0, 1.0, rng)
    return dataclasses.replace(item, **changes)


def scene_of(*objects, sensor=SENSOR, path=STANDING):
    return Scene(sensor, STREET, path, objects)


def silhouette(class_id, seed):
    """The class's outline over its own box, bool [48, 48], and its width over its height."""
    look = CLASS_LOOKS[class_id]
    parts = [p for p in look.parts(np.random.default_rng(seed)) if p.solid]
    points = np.zeros((len(parts), 8, 2))
    for row, part in zip(points, parts, strict=True):
        row[: len(part.points)] = part.points
    counts = np.array([len(p.points) for p in parts])
    radii = np.array([p.radius for p in parts])
    used = (np.arange(8) < counts[:, None])[..., None]
    low = np.where(used, points - radii[:, None, None], np.inf).min((0, 1))
    high = np.where(used, points + radii[:, None, None], -np.inf).max((0, 1))
    owner = np.full((400, 400), -1, np.int32)
    scale = 399 / (high - low).max()  # one scale for both axes: discs stay discs
    mark_parts(owner, (points - low) * scale, counts, radii * scale, np.zeros_like(counts))
    width, height = np.ceil((high - low) * scale).astype(int)
    rows = np.linspace(0, height - 1, 48).astype(int)
    columns = np.linspace(0, width - 1, 48).astype(int)
    return owner[rows][:, columns] >= 0, (high - low)[0] / (high - low)[1]


@pytest.mark.parametrize("class_id", range(7), ids=CLASS_NAMES)
def test_a_box_is_the_tight_box_of_what_the_object_changes_in_the_picture(class_id):
    empty = scene_of()
    seen = 0
    for seed in range(8):
        scene = scene_of(lone_object(class_id, seed))
        for seconds in (0.9, 1.0, 1.3):
            for box in scene.boxes(seconds):
                changed = np.abs(scene.draw(seconds) - empty.draw(seconds)) > 1e-5
                if class_id in STATIC:  # the pole below is no part of the box
                    changed[int(box.y + box.h + 1) :] = False
                rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
                expected = [
                    max(0, box.x),
                    max(0, box.y),
                    min(SENSOR[0], box.x + box.w),
                    min(SENSOR[1], box.y + box.h),
                ]
                found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
                np.testing.assert_allclose(found, expected, atol=1.6)  # anti-aliased border
                seen += 1
    assert seen > 10


def test_boxes_leave_the_frame_with_their_object_and_end_when_little_is_visible():
    car = lone_object(2, 3, time=0.0, east=0.0, velocity=6.0, approach=0.0)
    scene = scene_of(car)
    boxes = [scene.boxes(t) for t in np.arange(0, 6, 0.05)]
    found = [b[0] for b in boxes if b]
    assert not boxes[-1]  # it has gone
    assert found[0].visible == pytest.approx(1.0)
    beyond = [b for b in found if b.x + b.w > SENSOR[0]]
    assert beyond
    assert all(b.visible < 1 for b in beyond)
    assert MIN_VISIBLE <= found[-1].visible < MIN_VISIBLE + 0.1
    np.testing.assert_allclose([b.w for b in found], found[0].w)  # never cropped


def test_an_object_behind_another_is_less_visible_and_has_no_box_when_hidden():
    bus = lone_object(4, 1, track_id=1, east=0.0, north=14.0, velocity=0.001, approach=0.0)
    behind = lone_object(2, 1, track_id=2, east=0.0, north=18.0, velocity=0.001, approach=0.0)
    before = dataclasses.replace(behind, north=10.0)
    aside = dataclasses.replace(behind, east=6.5)
    assert [b.track_id for b in scene_of(bus, behind).boxes(1.0)] == [1]
    assert [b.track_id for b in scene_of(bus, before).boxes(1.0)] == [1, 2]
    partly = {b.track_id: b.visible for b in scene_of(bus, aside).boxes(1.0)}
    assert MIN_VISIBLE < partly[2] < 0.9
    assert partly[1] == pytest.approx(1.0)


def test_tracks_keep_their_class_move_smoothly_and_come_and_go():
    rng = np.random.default_rng(5)
    scene = random_scene(SENSOR, (0.5, 6.5), range(7), [1] * 7, 20, 1.0, rng)
    classes, centres = {}, {}
    for k, seconds in enumerate(np.arange(0.5, 6.5, 0.02)):
        for box in scene.boxes(seconds):
            assert classes.setdefault(box.track_id, box.class_id) == box.class_id
            centres.setdefault(box.track_id, {})[k] = (box.x + box.w / 2, box.y + box.h / 2)
    assert len(classes) > 12
    for path in centres.values():
        for k in path.keys() & {k - 1 for k in path}:
            assert np.hypot(*np.subtract(path[k + 1], path[k])) < 8  # pixels in 20 ms
    first, last = (
        {t for t, p in centres.items() if 0 in p},
        {t for t, p in centres.items() if 299 in p},
    )
    assert last - first
    assert first - last


def test_signs_and_lights_move_only_with_the_camera():
    driving = dataclasses.replace(STANDING, speed=5.0)
    for class_id in STATIC:
        sign = lone_object(class_id, 2)
        still = scene_of(sign)
        assert still.boxes(0.5) == still.boxes(1.5)
        assert still.boxes(0.5)
        near, far = (scene_of(sign, path=driving).boxes(t)[0] for t in (1.2, 0.8))
        assert near.h > far.h  # the camera comes closer
    car = scene_of(lone_object(2, 2))
    assert car.boxes(0.9)[0].x != car.boxes(1.1)[0].x


def test_a_pedestrian_swings_its_legs():
    walking = scene_of(lone_object(0, 1, east=0.0, velocity=1.5, approach=0.0))
    widths = [walking.boxes(t)[0].w for t in np.arange(0.5, 1.5, 0.05)]
    assert max(widths) > 1.2 * min(widths)


def test_sizes_and_places_scale_with_the_sensor():
    def boxes(sensor):
        rng = np.random.default_rng(9)
        return random_scene(sensor, (0.5, 2.5), range(7), [1] * 7, 10, 0.8, rng).boxes(1.5)

    small = {b.track_id: b for b in boxes((320, 180))}
    large = {b.track_id: b for b in boxes((1280, 720))}
    assert len(small.keys() & large.keys()) >= 4
    for track in small.keys() & large.keys():
        for name in "xywh":
            assert getattr(large[track], name) == pytest.approx(4 * getattr(small[track], name))


def test_most_boxes_are_large_enough_for_the_release_rules():
    labels = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scene = random_scene((1280, 720), (0.5, 2.5), range(7), [1] * 7, 10, 1.0, rng)
        for box in scene.boxes(1.5):
            labels.append((75, box.x, box.y, box.w, box.h, box.class_id, 1.0, box.track_id))
    kept = apply_label_rules(np.array(labels, LABEL_DTYPE), LabelRules())
    assert len(labels) > 30
    assert len(kept.rows) > 0.8 * len(labels)
    assert set(kept.classes) == set(range(7))


def test_each_class_has_a_silhouette_and_a_shape_of_its_own():
    aspects = {c: [silhouette(c, seed)[1] for seed in range(20)] for c in range(7)}
    ranges = {CLASS_NAMES[c]: (min(a), max(a)) for c, a in aspects.items()}
    assert ranges["pedestrian"][1] < 0.6
    assert ranges["traffic light"][1] < 0.5
    assert ranges["two wheeler"][0] > 0.6
    assert ranges["two wheeler"][1] < 1.5
    assert ranges["truck"][0] > 1.8
    assert ranges["car"][0] > 2.2
    assert ranges["bus"][0] > 2.7
    for a in range(7):
        for b in range(a):
            outlines = [(silhouette(a, s)[0], silhouette(b, s)[0]) for s in range(3)]
            overlap = np.mean([(p & q).sum() / (p | q).sum() for p, q in outlines])
            ratio = np.mean(aspects[a]) / np.mean(aspects[b])
            # Alike in outline only where the proportions differ clearly, and the other way round.
            assert overlap < 0.88 or max(ratio, 1 / ratio) > 1.5, (CLASS_NAMES[a], CLASS_NAMES[b])


def test_a_scene_without_objects_has_no_boxes():
    empty = scene_of()
    assert empty.boxes(1.0) == []
    assert np.isfinite(empty.draw(1.0)).all()
