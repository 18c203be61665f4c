"""Whether a memory pays: the arms, the scores of windows at rest, and the figures made of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.ablation import make_caches
from benchmarks.memory import (
    SCORES_NAME,
    figures_of,
    make_run,
    read_scores,
    run_folder,
    table,
    train_to_the_end,
)
from benchmarks.memory_plan import ARMS, OWN, plan_of
from benchmarks.stop_scores import AGES, PARTS, PROTOCOL, Score, scores_of
from dmanet.data.fitting import recordings_of
from dmanet.data.samples import WindowRange
from dmanet.data.stops import with_stops
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.streaming import StreamSettings
from dmanet.models.detector import DMANet
from dmanet.recipes import RUN_PRESETS
from dmanet.reporting.results import differing_settings, read_runs
from dmanet.runs.records import Weights
from dmanet.runs.run_files import LAST_NAME
from pipeline.cache.reader import PillarCache
from pipeline.errors import UsageError

PLAN = plan_of("quick")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture(scope="module")
def cache(place) -> Path:
    return make_caches(place, PLAN.scale, 1, ("release",))["release"]


@pytest.fixture(scope="module")
def done(place, cache) -> Path:
    """Every arm, as `--quick` does it, in this process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the benchmark's own processes
    train_to_the_end(cache, PLAN.warm_settings(), place / "warm", "cpu")
    for arm in ARMS:
        settings = PLAN.settings(arm, 0, place / "warm" / LAST_NAME)
        assert make_run(cache, settings, run_folder(place, arm, 0), "cpu", PLAN.draws) > 0
    torch.set_num_threads(threads)
    return place


def test_arms_differ_in_the_memory_alone_and_begin_with_the_same_weights(done):
    runs = read_runs([run_folder(done, arm, 0) for arm in ARMS])
    assert {key.rpartition(".")[0] for key in differing_settings(runs)} == {"model"}
    assert {run.settings.training.init_from for run in runs} == {str(done / "warm" / LAST_NAME)}
    assert len({(run.settings.training.epochs, run.settings.augmentation) for run in runs}) == 1
    by_arm = {arm: run.settings.model for arm, run in zip(ARMS, runs, strict=True)}
    preset = RUN_PRESETS["tiny"].model
    for arm in OWN:  # as our presets have them
        model = by_arm[arm]
        assert (model.long_memory, model.short_memory) == (arm, True)
        for name in ("short_memory_init", "first_hidden", "forget_bias", "candidate_init"):
            assert getattr(model, name) == getattr(preset, name)
    released, zero = by_arm["adaptive-released"], by_arm["adaptive-zero"]
    assert released.model_copy(update={"short_memory_init": "zero"}) == zero
    assert released == preset.model_copy(
        update={
            "short_memory_init": "released",
            "forget_bias": 0.0,
            "candidate_init": "released",
            "num_classes": released.num_classes,
            "grid_size": released.grid_size,
            "stem_width": released.stem_width,
            "feature_size": released.feature_size,
        }
    )
    assert (by_arm["none"].long_memory, by_arm["none"].short_memory) == ("none", False)


def test_figures_and_table_have_every_arm_and_part(done):
    means = read_scores(done, PLAN)
    figures = figures_of(means)
    json.dumps(figures, allow_nan=False)
    assert figures["best"] in OWN
    for arm in ARMS:
        assert figures[arm].keys() - {"gain"} == set(PARTS)
    lines = table(means).splitlines()
    assert len(lines) == 2 + len(ARMS) + 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == [*ARMS, "labels"]


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(done, cache):
    folder = run_folder(done, "hold", 0)
    before = (folder / SCORES_NAME).read_bytes()
    settings = PLAN.settings("hold", 0, done / "warm" / LAST_NAME)
    assert make_run(cache, settings, folder, "cpu", PLAN.draws) == 0.0
    assert (folder / SCORES_NAME).read_bytes() == before
    with pytest.raises(UsageError, match="a run of other settings"):
        make_run(cache, PLAN.settings("plain", 0, done / "x"), folder, "cpu", PLAN.draws)
    with pytest.raises(UsageError, match="a run of other settings"):
        train_to_the_end(cache, PLAN.settings("plain", 0, done / "x"), folder, "cpu")


@pytest.fixture(scope="module")
def lively(cache) -> Weights:
    """A network that finds something everywhere, now and then where an object is."""
    settings = PLAN.settings("hold", 0, Path("x")).model
    torch.manual_seed(1)
    model = DMANet(settings)
    torch.nn.init.normal_(model.class_head.output.weight, std=0.3)
    torch.nn.init.constant_(model.class_head.output.bias, -2.0)
    names = PillarCache(cache).settings.output_names
    return Weights(settings, model.state_dict(), names, "lively")


STREAM = StreamSettings(torch.device("cpu"), "fp32")


def test_recordings_as_they_are_score_as_evaluate_does(cache, lively):
    opened = PillarCache(cache)
    stops = PLAN.settings("hold", 0, Path("x")).augmentation
    scores = scores_of(lively, opened, "test", stops, STREAM, Resampling(20))
    expected = evaluate(lively, opened, PROTOCOL, "test", STREAM).rows[0]
    assert expected.map50 > 0
    assert scores["moving"].map50 == pytest.approx(expected.map50, abs=1e-6)
    assert scores["moving"].labels == expected.labels
    assert scores["all"].map50 != scores["moving"].map50
    # Two recordings: a draw has one of them twice, or each once.
    assert len(np.unique(np.round(scores["moving"].draws, 9))) == 3


def test_labels_at_rest_are_those_of_the_windows_that_are_held(cache, lively):
    opened = PillarCache(cache)
    stops = PLAN.settings("hold", 0, Path("x")).augmentation
    scores = scores_of(lively, opened, "test", stops, STREAM, Resampling(0))
    counts = dict.fromkeys(AGES, 0)
    for place, recording in enumerate(recordings_of(opened, "test")):
        whole = WindowRange(recording.id, 0, len(recording))
        for piece, rest in with_stops(whole, place, stops):
            for age, (least, most) in AGES.items():
                if least <= rest <= most:
                    counts[age] += len(recording.read(piece.start, piece.stop).boxes)
    assert sum(counts.values()) > 0
    assert {age: scores[age].labels for age in AGES} == counts
    assert scores["resting"].labels == sum(counts.values())


def test_gains_are_those_of_the_own_arm_that_gains_most_at_rest():
    draws = np.array([0.0, 0.1])

    def score(value):
        return Score(value, 7, value + draws)

    at_rest = {"none": 0.1, "adaptive": 0.2, "plain": 0.3, "hold": 0.5}
    moving = {"none": 0.4, "adaptive": 0.45, "plain": 0.35, "hold": 0.4}
    means = {
        arm: {
            part: score(moving[arm] if part == "moving" else at_rest[arm]) for part in PARTS
        }
        for arm in at_rest
    }  # fmt: skip
    figures = figures_of(means)
    assert figures["best"] == "plain"
    assert figures["quiet_gain_map50"] == pytest.approx(0.2)
    assert figures["moving_gain_map50"] == pytest.approx(-0.05)
    assert figures["hold_quiet_gain_map50"] == pytest.approx(0.4)
    interval = figures["plain"]["gain"]["resting"]["interval"]
    # Both arms have the same draws, so that what is uncertain in both is not in their difference.
    assert (interval["low"], interval["high"]) == pytest.approx((0.2, 0.2))
