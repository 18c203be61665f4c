"""Scores by motion, against searches that go box by box."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from dmanet.evaluation.details import Resampling
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.headline import headline
from dmanet.evaluation.motion import STRATA, strata_of, with_strata
from dmanet.evaluation.prophesee import BOX_DTYPE
from dmanet.evaluation.protocols import PROTOCOLS, ProtocolResult
from dmanet.evaluation.ranking import rank
from dmanet.evaluation.release import average_precision
from dmanet.evaluation.scored import scored_grid
from dmanet.evaluation.scoring import GridWindows, SensorWindows, score_grid, score_sensor
from dmanet.evaluation.window_matches import match
from dmanet.reporting.details_text import details_text
from pipeline.release.motion import MOVING, NEVER_MOVED, RESTING, SLOW, UNKNOWN, BoxMotion
from tests.dmanet.evaluation.box_scenes import FIRST_US, NAMES, Scene, grid, scenes, scored

BOTH = pytest.mark.parametrize("protocol", ["prophesee", "release"])
FALSE, RIGHT, IGNORED = range(3)


def with_motion(scene: Scene, seed: int) -> Scene:
    """The scene with labels of random motion, some of it unknown."""
    rng = np.random.default_rng(seed)
    true = []
    for window in scene.true:
        kinds = rng.integers(0, 4, len(window)).astype(np.uint8)
        ages = rng.choice([NEVER_MOVED, 1, 2, 3, 10, 11, 40], len(window))
        motion = BoxMotion(kinds, np.where(kinds == RESTING, ages, 0))
        true.append(with_strata(window, strata_of(motion)))
    return replace(scene, true=true)


def moving_scenes(seed, recordings=6):
    return [with_motion(s, seed + r) for r, s in enumerate(scenes(seed, recordings, levels=4096))]


def result_of(recordings, protocol, examination):
    times = FIRST_US + 50_000 * np.arange(len(recordings[0].found))
    if PROTOCOLS[protocol].average_precision == "coco":
        windows = [SensorWindows(s.name, times, s.found, s.true) for s in recordings]
        return score_sensor(windows, NAMES, PROTOCOLS[protocol], examination)
    grids = [
        GridWindows(s.name, times, (1.0, 1.0), *grid(s), [w["strata"] for w in s.true])
        for s in recordings
    ]
    return score_grid(grids, NAMES, PROTOCOLS[protocol], examination)


def overlap(a, b):
    width = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
    height = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
    common = max(0.0, float(width)) * max(0.0, float(height))
    return common / (float(a["w"]) * a["h"] + float(b["w"]) * b["h"] - common)


def passes(box, protocol):
    return protocol.average_precision == "release" or (
        np.hypot(box["w"], box["h"]) >= protocol.min_diagonal
        and min(box["w"], box["h"]) >= protocol.min_side
    )


def taken_label(box, labels, taken, q, threshold, protocol):
    """The label that makes a detection right, by the protocol's own rule."""
    if protocol.average_precision == "release":
        best = max(range(len(labels)), key=lambda i: overlap(box, labels[i]), default=None)
        at_least = best is not None and overlap(box, labels[best]) > 0.5 and best not in taken
        if not at_least:
            return None
        taken.add(best)
        return best if overlap(box, labels[best]) > threshold else None
    for inside in (True, False):
        free = [
            i
            for i in range(len(labels))
            if i not in taken and bool(labels[i]["strata"][q]) == inside
        ]
        best = max(free, key=lambda i: (overlap(box, labels[i]), i), default=None)
        if best is not None and overlap(box, labels[best]) >= threshold:
            taken.add(best)
            return best
    return None


def counts_slowly(box, window, q):
    """Whether a detection that is not right is false in a stratum."""
    best = max(window, key=lambda label: overlap(box, label), default=None)
    if best is not None and overlap(box, best) > 0.1:
        return bool(best["strata"][q])
    return any(label["strata"][q] for label in window)


def states_slowly(recordings, protocol, class_index, q, threshold):
    """Scores and states of a class's detections, and how many labels the stratum has."""
    found, labels = [], 0
    for scene in recordings:
        for boxes, window in zip(scene.found, scene.true, strict=True):
            window = [label for label in window if passes(label, protocol)]
            own = [label for label in window if label["class_id"] == class_index]
            labels += sum(bool(label["strata"][q]) for label in own)
            if not window and protocol.average_precision == "coco":
                continue
            taken = set()
            for box in sorted(boxes, key=lambda box: -box["class_confidence"]):
                if box["class_id"] != class_index or not passes(box, protocol):
                    continue
                if box["class_confidence"] <= protocol.score_threshold:
                    continue
                label = taken_label(box, own, taken, q, threshold, protocol)
                if label is not None:
                    state = RIGHT if own[label]["strata"][q] else IGNORED
                else:
                    state = FALSE if counts_slowly(box, window, q) else IGNORED
                found.append((float(box["class_confidence"]), state))
    return [one for one in found if one[1] != IGNORED], labels


def precision_slowly(found, labels, protocol):
    if not labels:
        return None
    scores = np.array([score for score, _ in found])
    right = np.array([state == RIGHT for _, state in found], bool)
    if protocol.average_precision == "release":
        zeros, ones = np.zeros(len(found), int), np.repeat(right[:, None], 10, axis=1)
        return average_precision(ones, scores, zeros, np.zeros(labels, int)).ap[0, 0]
    right = right[np.argsort(-scores, kind="stable")]
    recall = np.cumsum(right) / labels
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return np.mean(
        [max(precision[recall >= r - 1e-12], default=0.0) for r in np.linspace(0, 1, 101)]
    )


@BOTH
@pytest.mark.parametrize("seed", range(2))
def test_scores_by_motion_are_those_of_a_search_box_by_box(protocol, seed):
    recordings = moving_scenes(seed)
    details = result_of(recordings, protocol, Examination(Resampling(0))).details
    rules, scored_strata = PROTOCOLS[protocol], 0
    for q, row in enumerate(details.motion):
        expected = []
        for k in range(3):
            found, labels = states_slowly(recordings, rules, k, q, 0.5)
            expected.append(precision_slowly(found, labels, rules))
        present = [value for value in expected if value is not None]
        if not present:
            assert row.map50 is None
            continue
        assert row.map50 == pytest.approx(np.mean(present), abs=1e-9), row.name
        scored_strata += 0 < row.map50 < 1
    assert scored_strata >= 4


@BOTH
def test_stricter_overlaps_are_those_of_the_search_too(protocol):
    recordings = moving_scenes(7)
    rules = PROTOCOLS[protocol]
    matches = [match(_scored(s, protocol), rules) for s in recordings]
    rankings = [rank(matches, k) for k in range(3)]
    found = headline(rankings, NAMES, np.ones((1, len(recordings)), np.int64), rules)
    means = []
    for threshold in np.linspace(0.5, 0.95, 10):
        expected = []
        for k in range(3):
            states = states_slowly(recordings, rules, k, 2, float(np.float32(threshold))
                                   if protocol == "release" else threshold)  # fmt: skip
            expected.append(precision_slowly(*states, rules))
        means.append(np.mean([value for value in expected if value is not None]))
    assert found["motion.moving.map50_95"][0] == pytest.approx(np.mean(means), abs=1e-9)


def _scored(scene, protocol):
    if PROTOCOLS[protocol].average_precision == "coco":
        return scored(scene, protocol)
    times = FIRST_US + 50_000 * np.arange(len(scene.found))
    strata = [window["strata"] for window in scene.true]
    return scored_grid(scene.name, times, *grid(scene), (1.0, 1.0), PROTOCOLS[protocol], strata)


@BOTH
def test_rows_count_labels_and_windows_and_have_intervals(protocol):
    recordings = moving_scenes(3)
    result = result_of(recordings, protocol, Examination(Resampling(30)))
    rules = PROTOCOLS[protocol]
    for q, (stratum, row) in enumerate(zip(STRATA, result.details.motion, strict=True)):
        inside = [
            sum(bool(label["strata"][q]) for label in window if passes(label, rules))
            for scene in recordings
            for window in scene.true
        ]
        assert row.name == stratum.name
        assert (row.labels, row.windows) == (sum(inside), np.count_nonzero(inside))
        if row.labels:
            interval = result.details.intervals.of[f"motion.{row.name}.map50"]
            assert interval.low <= row.map50 <= interval.high
            line = next(t for t in details_text(result).splitlines() if f"  {row.name} " in t)
            assert line.split()[-4:][0] == str(row.labels)
    stored = TypeAdapter(ProtocolResult).validate_json(result.to_json())
    assert stored.details.motion == result.details.motion


@BOTH
def test_without_motion_there_are_no_rows_and_results_of_before_are_read(protocol):
    plain = scenes(3, 3)
    times = FIRST_US + 50_000 * np.arange(len(plain[0].found))
    examination = Examination(Resampling(5))
    if protocol == "prophesee":
        windows = [SensorWindows(s.name, times, s.found, s.true) for s in plain]
        result = score_sensor(windows, NAMES, PROTOCOLS[protocol], examination)
    else:
        grids = [GridWindows(s.name, times, (1.0, 1.0), *grid(s)) for s in plain]
        result = score_grid(grids, NAMES, PROTOCOLS[protocol], examination)
    assert result.details.motion == ()
    assert not [key for key in result.details.intervals.draws if key.startswith("motion.")]
    assert "Motion" not in details_text(result)
    earlier = json.loads(result.to_json())
    del earlier["details"]["motion"]
    read = TypeAdapter(ProtocolResult).validate_json(json.dumps(earlier), strict=True)
    assert read.details == result.details


def test_every_known_motion_is_in_one_stratum_and_each_rest_in_one_more():
    kinds = np.array([RESTING, RESTING, RESTING, RESTING, RESTING, SLOW, MOVING, UNKNOWN, RESTING])
    rests = np.array([1, 2, 3, 11, NEVER_MOVED, 0, 0, 0, 0])
    strata = strata_of(BoxMotion(kinds.astype(np.uint8), rests))
    by_name = {
        s.name: np.flatnonzero(column).tolist() for s, column in zip(STRATA, strata.T, strict=True)
    }
    assert by_name == {
        "resting": [0, 1, 2, 3, 4, 8],
        "slow": [5],
        "moving": [6],
        "rest 1-2": [0, 1],
        "rest 3-10": [2],
        "rest 11+": [3],
        "never moved": [4],
    }
    assert with_strata(np.zeros(9, BOX_DTYPE), strata)["strata"].tolist() == strata.tolist()
