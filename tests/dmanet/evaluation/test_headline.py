"""Numbers of ranked detections are those of the protocols computed from scratch, drawn or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.evaluation.coco import coco_result
from dmanet.evaluation.headline import headline
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.ranking import rank
from dmanet.evaluation.release import IOU_THRESHOLDS, average_precision, release_result
from dmanet.evaluation.sizes import SIZE_RANGES
from dmanet.evaluation.window_matches import FALSE, IGNORED, RIGHT, match
from tests.dmanet.evaluation.box_scenes import NAMES, grid, scenes, scored


def from_scratch(drawn, protocol):
    """The protocol's own result of the drawn scenes, by the keys of `headline`."""
    if PROTOCOLS[protocol].average_precision == "coco":
        found = [window for scene in drawn for window in scene.found]
        true = [window for scene in drawn for window in scene.true]
        result = coco_result(found, true, NAMES, PROTOCOLS[protocol])
    else:
        windows = [grid(scene) for scene in drawn]
        result = release_result(
            [w for found, _ in windows for w in found],
            [w for _, true in windows for w in true],
            NAMES,
            PROTOCOLS[protocol],
        )
    numbers = {f"summary.{name}": value for name, value in result.summary.items()}
    for row in result.rows:
        for what in ("precision", "recall", "map50", "map50_95"):
            numbers[f"{row.name}.{what}"] = getattr(row, what)
    return numbers


def numbers_of(recordings, weights, protocol):
    matches = [match(scored(scene, protocol), PROTOCOLS[protocol]) for scene in recordings]
    rankings = [rank(matches, k) for k in range(len(NAMES))]
    return headline(rankings, NAMES, np.asarray(weights), PROTOCOLS[protocol])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any),
    st.sampled_from(["prophesee", "rvt", "release"]),
    st.sampled_from([4, 16, 4096]),
)
def test_a_draw_scores_as_its_recordings_scored_from_scratch(seed, weights, protocol, levels):
    """Scores of four levels tie in a window, in a recording and between recordings."""
    recordings = scenes(seed, levels=levels)
    drawn = [
        scene for scene, weight in zip(recordings, weights, strict=True) for _ in range(weight)
    ]
    expected = from_scratch(drawn, protocol)
    found = numbers_of(recordings, [[1, 1, 1, 1], weights], protocol)
    for key, value in expected.items():
        if key not in found:
            assert value is None, key  # precision and recall where the protocol has none
            continue
        number = found[key][1]
        assert (value is None) == bool(np.isnan(number)), key
        if value is not None:
            assert number == pytest.approx(value, abs=1e-9), key


def release_size_slowly(recordings, size, class_index):
    """AP of one class and size range: boxes one by one, then the release's own average."""
    correct, scores, labels = [], [], 0
    for scene in recordings:
        for found, true in zip(*grid(scene), strict=True):
            inside = size.holds(np.stack([true.boxes[:, 2] - true.boxes[:, 0],
                                          true.boxes[:, 3] - true.boxes[:, 1]], axis=1))  # fmt: skip
            own = np.flatnonzero(true.classes == class_index)
            labels += int(inside[own].sum())
            taken = set()
            rows = np.flatnonzero(found.classes == class_index)
            for row in rows[np.argsort(-found.scores[rows], kind="stable")]:
                if found.scores[row] <= 0.1:
                    continue
                x1, y1, x2, y2 = found.boxes[row].tolist()
                best, most = None, 0.0
                for label in own:
                    a1, b1, a2, b2 = true.boxes[label].tolist()
                    common = max(0, min(x2, a2) - max(x1, a1)) * max(0, min(y2, b2) - max(y1, b1))
                    union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - common
                    if np.float32(common / union) > most:
                        best, most = label, np.float32(common / union)
                mine = most > 0.5 and best not in taken
                if mine:
                    taken.add(best)
                self_inside = size.holds(np.array([[x2 - x1, y2 - y1]]))[0]
                passed = [bool(mine and most > threshold) for threshold in IOU_THRESHOLDS]
                counted = [bool(inside[best]) if p else bool(self_inside) for p in passed]
                correct.append([RIGHT if p and c else FALSE if c else IGNORED
                                for p, c in zip(passed, counted, strict=True)])  # fmt: skip
                scores.append(float(found.scores[row]))
    if not labels:
        return None
    states, scores = np.array(correct).reshape(-1, 10), np.array(scores)
    areas = []
    for t in range(10):
        kept = states[:, t] != IGNORED
        right = np.repeat(states[kept, t][:, None] == RIGHT, 10, axis=1)
        zeros = np.zeros(int(kept.sum()), int)
        areas.append(average_precision(right, scores[kept], zeros, np.zeros(labels, int)).ap[0, 0])
    return areas[0], np.mean(areas)


@pytest.mark.parametrize("seed", range(3))
def test_sizes_of_the_release_are_those_of_a_slow_search(seed):
    recordings = scenes(seed, recordings=6)
    found = numbers_of(recordings, [[1] * 6], "release")
    for size in SIZE_RANGES[1:]:
        expected = [release_size_slowly(recordings, size, k) for k in range(3)]
        present = [value for value in expected if value is not None]
        for place, what in enumerate(("map50", "map50_95")):
            number = found[f"size.{size.name}.{what}"][0]
            if present:
                assert number == pytest.approx(np.mean([v[place] for v in present]), abs=1e-9)
            else:
                assert np.isnan(number)


def test_the_ranges_of_each_measure_cover_every_box_once():
    sides = np.random.default_rng(0).uniform(1, 500, (1000, 2))
    for measure in ("area", "diagonal"):
        ranges = [size for size in SIZE_RANGES[1:] if size.measure == measure]
        assert (sum(size.holds(sides).astype(int) for size in ranges) == 1).all()
    ends = np.array([[32.0, 32.0], [36.0, 48.0]])  # COCO's ranges share an end, the others do not
    assert [bool(size.holds(ends)[0]) for size in SIZE_RANGES[1:4]] == [True, True, False]
    assert [bool(size.holds(ends)[1]) for size in SIZE_RANGES[4:]] == [False, True, False, False]
