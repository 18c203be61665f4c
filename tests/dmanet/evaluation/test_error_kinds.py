"""Curves, calibration, kinds of error, confusion and worst windows, against slow searches."""

import numpy as np
import pytest

from dmanet.evaluation.calibration import calibration_of
from dmanet.evaluation.confusion import confusion_of
from dmanet.evaluation.curves import curves_of
from dmanet.evaluation.error_kinds import KINDS, errors_of
from dmanet.evaluation.prophesee import BOX_DTYPE
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.ranking import rank
from dmanet.evaluation.window_matches import RIGHT, match
from dmanet.evaluation.worst import worst_windows
from tests.dmanet.evaluation.box_scenes import FIRST_US, NAMES, Scene, scenes, scored

SEEDS = pytest.mark.parametrize("seed", range(4))
BOTH = pytest.mark.parametrize("protocol", ["prophesee", "release"])


def matched(seed, protocol):
    return [match(scored(s, protocol), PROTOCOLS[protocol]) for s in scenes(seed, recordings=6)]


def overlap(a, b):
    """Of x, y, width, height or of corners alike: both are brought to corners first."""
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (areas[0] + areas[1] - common)


def corners(boxes):
    if boxes.boxes.dtype == np.float32:
        return boxes.boxes.astype(float)
    return np.concatenate([boxes.boxes[:, :2], boxes.boxes[:, :2] + boxes.boxes[:, 2:]], axis=1)


def errors_slowly(one, score):
    """TIDE's rules for one detection after another."""
    found, true = one.recording.found, one.recording.true
    found_corners, true_corners = corners(found), corners(true)
    right = {
        d for d in range(len(found)) if found.scores[d] >= score and one.state[0, 0, d] == RIGHT
    }
    used = {int(one.label[d]) for d in right}
    meant, kinds = set(used), {}
    for d in range(len(found)):
        if found.scores[d] < score or d in right:
            continue
        near = {
            g: overlap(found_corners[d], true_corners[g])
            for g in range(len(true))
            if true.window[g] == found.window[d]
        }
        own = {g: v for g, v in near.items() if true.classes[g] == found.classes[d]}
        other = {g: v for g, v in near.items() if g not in own}
        if own and 0.1 <= max(own.values()) <= 0.5:
            kinds[d] = "poor box"
            meant.add(max(own, key=lambda g: (own[g], -g)))
        elif other and max(other.values()) >= 0.5:
            kinds[d] = "wrong class"
            meant.add(max(other, key=lambda g: (other[g], -g)))
        elif any(own[g] >= 0.5 for g in own if g in used):
            kinds[d] = "duplicate"
        elif not near or max(near.values()) <= 0.1:
            kinds[d] = "background"
        else:
            kinds[d] = "wrong class and poor box"
    return right, kinds, {g for g in range(len(true)) if g not in meant}


@SEEDS
@BOTH
@pytest.mark.parametrize("score", [0.0, 0.5])
def test_errors_are_those_of_a_slow_search(seed, protocol, score):
    seen = set()
    for one in matched(seed, protocol):
        found = errors_of(one, score)
        right, kinds, missed = errors_slowly(one, score)
        assert set(found.right.tolist()) == right
        assert dict(zip(found.rows.tolist(), [KINDS[k] for k in found.kinds], strict=True)) == kinds
        assert set(np.flatnonzero(found.missed).tolist()) == missed
        seen |= set(kinds.values())
    assert len(seen) >= 3


def scene(found, true):
    """One window; rows x, y, w, h, class, score."""

    def records(rows):
        boxes = np.zeros(len(rows), BOX_DTYPE)
        boxes["t"] = FIRST_US
        for box, row in zip(boxes, rows, strict=True):
            for name, value in zip(
                ("x", "y", "w", "h", "class_id", "class_confidence"), row, strict=True
            ):
                box[name] = value
        return boxes

    return Scene("r", [records(found)], [records(true)])


@BOTH
def test_each_kind_has_its_example(protocol):
    true = [(0, 0, 100, 100, 0, 1), (300, 0, 100, 100, 2, 1), (0, 300, 100, 100, 1, 1),
            (300, 300, 100, 100, 0, 1)]  # fmt: skip
    found = [
        (0, 0, 100, 90, 0, 0.9),  # right
        (0, 0, 100, 80, 0, 0.8),  # duplicate
        (300, 0, 100, 90, 0, 0.7),  # wrong class
        (0, 340, 100, 140, 1, 0.6),  # poor box
        (700, 700, 90, 90, 2, 0.5),  # background
        (300, 340, 100, 140, 1, 0.4),  # wrong class and poor box: its label is missed
    ]
    one = match(scored(scene(found, true), protocol), PROTOCOLS[protocol])
    wrong = errors_of(one, 0.0)
    scores = one.recording.found.scores
    kinds = zip(wrong.rows, wrong.kinds, strict=True)
    assert {round(float(scores[d]), 1): KINDS[k] for d, k in kinds} == {
        0.8: "duplicate", 0.7: "wrong class", 0.6: "poor box", 0.5: "background",
        0.4: "wrong class and poor box",
    }  # fmt: skip
    missed = one.recording.true.rows(np.flatnonzero(wrong.missed))
    assert (len(missed), int(missed.classes[0]), float(missed.boxes[0, 0])) == (1, 0, 300.0)
    assert len(errors_of(one, 0.75).rows) == 1


def confusion_slowly(matches, score):
    counts = np.zeros((4, 4), int)
    for one in matches:
        found, true = one.recording.found, one.recording.true
        found_corners, true_corners = corners(found), corners(true)
        free, alone = (
            set(range(len(true))),
            {d for d in range(len(found)) if found.scores[d] >= score},
        )
        while True:
            pairs = [
                (
                    overlap(found_corners[d], true_corners[g]),
                    found.classes[d] == true.classes[g],
                    -d,
                    -g,
                )
                for d in alone
                for g in free
                if found.window[d] == true.window[g]
            ]
            best = max(pairs, default=(0,))
            if best[0] < 0.5:
                break
            d, g = -best[2], -best[3]
            alone.remove(d)
            free.remove(g)
            counts[true.classes[g], found.classes[d]] += 1
        for d in alone:
            counts[3, found.classes[d]] += 1
        for g in free:
            counts[true.classes[g], 3] += 1
    return counts


@SEEDS
@BOTH
def test_confusion_is_that_of_a_slow_search(seed, protocol):
    matches = matched(seed, protocol)
    found = confusion_of(matches, NAMES, 0.3)
    assert found.names == (*NAMES, "background")
    np.testing.assert_array_equal(np.array(found.counts), confusion_slowly(matches, 0.3))
    assert sum(found.counts[k][k] for k in range(3)) > 0


@SEEDS
@BOTH
def test_curves_are_counts_at_each_score(seed, protocol):
    matches = matched(seed, protocol)
    curves = curves_of([rank(matches, k) for k in range(3)], NAMES)
    assert (len(curves.scores), curves.scores[0], curves.scores[-1]) == (51, 0.0, 1.0)
    f1_of = []
    for k, curve in enumerate(curves.classes):
        scores, right, labels = [], [], 0
        for one in matches:
            own = one.recording.found.classes == k
            scores += one.recording.found.scores[own].tolist()
            right += (one.state[0, 0, own] == RIGHT).tolist()
            labels += int((one.recording.true.classes == k).sum())

        def at(score, scores=scores, right=right, labels=labels):
            total = sum(s >= score for s in scores)
            good = sum(r for s, r in zip(scores, right, strict=True) if s >= score)
            return good / total if total else None, good / labels, 2 * good / (total + labels)

        for place, score in enumerate(curves.scores):
            precision, recall, f1 = at(score)
            assert curve.precision[place] == (precision and pytest.approx(precision, abs=1e-6))
            assert curve.recall[place] == pytest.approx(recall, abs=1e-6)
            if precision is not None:
                assert curve.f1[place] == pytest.approx(f1, abs=1e-6)
        every = [at(step / 1000)[2] for step in range(1001)]
        assert curve.best_f1 == pytest.approx(max(every))
        assert curve.best_score == pytest.approx(every.index(max(every)) / 1000)
        f1_of.append(every)
    mean = np.mean(f1_of, axis=0)
    assert mean[round(curves.operating_score * 1000)] == pytest.approx(mean.max())


@SEEDS
def test_calibration_is_that_of_counting_detections_one_by_one(seed):
    matches = matched(seed, "prophesee")
    found = calibration_of([rank(matches, k) for k in range(3)])
    bins = {k: [] for k in range(10)}
    for one in matches:
        for score, state in zip(one.recording.found.scores, one.state[0, 0], strict=True):
            place = next(k for k in range(10) if score <= (k + 1) / 10)
            bins[place].append((score, state == RIGHT))
    total = sum(map(len, bins.values()))
    error = 0.0
    for k, own in bins.items():
        assert found.bins[k].detections == len(own)
        if own:
            mean, right = np.mean(own, axis=0)
            assert found.bins[k].mean_score == pytest.approx(mean)
            assert found.bins[k].precision == pytest.approx(right)
            error += len(own) / total * abs(mean - right)
        else:
            assert found.bins[k].precision is None
    assert found.expected_error == pytest.approx(error)


@SEEDS
def test_the_worst_windows_are_those_with_most_errors(seed):
    matches = matched(seed, "release")
    errors = [errors_of(one, 0.3) for one in matches]
    costs = {}
    for one, wrong in zip(matches, errors, strict=True):
        for window in range(len(one.recording.numbers)):
            missed = int((wrong.missed & (one.recording.true.window == window)).sum())
            false = int((one.recording.found.window[wrong.rows] == window).sum())
            costs[one.recording.name, window] = (missed, false)
    found = worst_windows(matches, errors, 5)
    assert [w.missed + w.wrong for w in found] == sorted(map(sum, costs.values()))[:-6:-1]
    assert all(costs[w.recording, w.window] == (w.missed, w.wrong) for w in found)
    assert found[0].t == FIRST_US + 50_000 * found[0].window
