"""Results side by side: the same draws, or a sentence that says why not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmanet.evaluation.bootstrap import drawn_weights
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.examination import Examination
from dmanet.reporting.comparison import compare, comparison_text
from dmanet.reporting.details_text import details_text
from pipeline.errors import DataError, UsageError
from tests.dmanet.evaluation.box_scenes import scenes
from tests.dmanet.evaluation.test_bootstrap import numbers, result_of
from tests.dmanet.evaluation.test_motion import moving_scenes
from tests.dmanet.evaluation.test_motion import result_of as moving_result

RESAMPLING = Resampling(40, seed=2)


def worse(recordings):
    """The same recordings with every second detection of a window gone."""
    return [replace(s, found=[w[::2] for w in s.found]) for s in recordings]


def written(
    path: Path, recordings, protocol="release", resampling=RESAMPLING, **conditions
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    result = result_of(recordings, protocol, Examination(resampling))
    path.write_text(result.with_conditions(split="test", **conditions).to_json())
    return path


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_the_paired_bootstrap_is_that_of_scoring_both_on_each_draw(tmp_path, protocol):
    recordings = scenes(6, recordings=6)
    one = written(tmp_path / "one.json", recordings, protocol)
    two = written(tmp_path / "two.json", worse(recordings), protocol)
    (found,) = compare([one, two])
    drawn = []
    for row in drawn_weights(6, RESAMPLING):
        rows = np.repeat(np.arange(6), row)
        both = ([some[r] for r in rows] for some in (recordings, worse(recordings)))
        drawn.append([numbers(result_of(some, protocol)) for some in both])
    checked = 0
    for difference in found.differences:
        if difference.key.startswith("size.") or difference.interval is None:
            continue
        pairs = [(a[difference.key], b[difference.key]) for a, b in drawn]
        gaps = np.array([b - a for a, b in pairs if a is not None and b is not None])
        low, high = np.percentile(gaps, [2.5, 97.5])
        assert (difference.interval.low, difference.interval.high) == pytest.approx(
            (low, high), abs=3e-6
        )
        better = np.mean(np.where(np.abs(gaps) < 1e-6, 0.5, gaps > 0))
        assert difference.second_is_better == pytest.approx(better)
        checked += 1
    assert checked >= 5
    text = comparison_text(found)
    assert "B beats A in" in text
    assert "all.map50_95" in text
    assert "of fewer than 10 recordings" in text


def test_runs_are_compared_by_the_result_in_their_folder(tmp_path):
    recordings = scenes(6)
    written(tmp_path / "a" / "evaluation.json", recordings)
    written(tmp_path / "b" / "evaluation-best.json", recordings)
    (found,) = compare([tmp_path / "a", tmp_path / "b"])
    assert {d.difference for d in found.differences if d.difference is not None} == {0.0}
    assert "A and B are equal" in comparison_text(found)
    written(tmp_path / "b" / "evaluation-last.json", recordings)
    with pytest.raises(UsageError, match="name the file to compare"):
        compare([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "c").mkdir()
    with pytest.raises(UsageError, match="holds no result; `dmanet evaluate"):
        compare([tmp_path / "a", tmp_path / "c"])
    with pytest.raises(UsageError, match="two results or more"):
        compare([tmp_path / "a"])


def test_results_of_different_things_are_refused_in_one_sentence(tmp_path):
    recordings = scenes(6)
    one = written(tmp_path / "one.json", recordings)
    renamed = [replace(recordings[0], name="other"), *recordings[1:]]
    relabelled = [replace(recordings[0], true=recordings[1].true), *recordings[1:]]
    others = {
        "the protocol release and prophesee": (recordings, "prophesee"),
        "different recordings \\(other is in one alone\\)": (renamed,),
        "the same recordings in another order": (recordings[::-1],),
        "different labels": (relabelled,),
        "40 draws with seed 2 and 41": (recordings, "release", Resampling(41, seed=2)),
        "seed 2 and 40 with seed 9": (recordings, "release", Resampling(40, seed=9)),
        "holds no draws": (recordings, "release", Resampling(0)),
    }
    for saying, arguments in others.items():
        two = written(tmp_path / "two.json", *arguments)
        with pytest.raises(UsageError, match=saying):
            compare([one, two])
    content = json.loads(one.read_text())
    content["conditions"]["split"] = "val"
    two.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="the split test and val"):
        compare([one, two])
    content["details"]["intervals"]["draws"]["all.map50"].pop()
    two.write_text(json.dumps(content))
    with pytest.raises(DataError, match="fewer or more draws"):
        compare([one, two])
    del content["details"]
    two.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="holds no draws"):
        compare([one, two])


def test_the_text_says_what_the_result_holds():
    result = result_of(scenes(6, recordings=5), "release", Examination(RESAMPLING))
    text = details_text(result)
    overall, interval = result.rows[0], result.details.intervals.of["all.map50"]
    assert f"mAP@0.5 {overall.map50:.3f} [{interval.low:.3f}, {interval.high:.3f}]" in text
    assert f"expected error {result.details.calibration.expected_error:.3f}" in text
    worst = result.details.worst[0]
    assert f"{worst.missed} of {worst.labels} labels missed, {worst.wrong} wrong" in text
    assert details_text(replace(result, details=None)) == ""
    alone = result_of(scenes(6, recordings=1), "release", Examination(RESAMPLING))
    assert "No intervals: they need two recordings" in details_text(alone)


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_scores_by_motion_are_compared_and_results_of_before_them_too(tmp_path, protocol):
    recordings = moving_scenes(4)
    examination = Examination(RESAMPLING)
    files = []
    for name, scene_list in (("one", recordings), ("two", worse(recordings))):
        result = moving_result(scene_list, protocol, examination).with_conditions(split="test")
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(result.to_json())
    (found,) = compare(files)
    keys = {difference.key for difference in found.differences}
    assert {"motion.resting.map50", "motion.rest 11+.map50_95"} <= keys
    earlier = json.loads(files[0].read_text())
    del earlier["details"]["motion"]
    for part in ("of", "draws"):
        numbers = earlier["details"]["intervals"][part]
        for key in [key for key in numbers if key.startswith("motion.")]:
            del numbers[key]
    files[0].write_text(json.dumps(earlier))
    (found,) = compare(files)
    assert {difference.key for difference in found.differences} == {
        key for key in keys if not key.startswith("motion.")
    }
