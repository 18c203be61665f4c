"""The stress: data that is right, runs that repeat, and what they are meant to show."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.divergence import RELEASE, STRESS, ablation_table
from benchmarks.stress_data import (
    STEPS,
    StressBatch,
    batches_of,
    simulated_cache,
    with_wrong_classes,
)
from benchmarks.stress_runs import (
    StressRun,
    embedding_lengths,
    make_network,
    stress_settings,
    summary,
    train,
)
from benchmarks.stress_trainer import (
    TrainerRun,
    preset_with_sampler,
    report_summary,
    train_by_preset,
)
from dmanet.detection.anchors import anchors_for
from dmanet.detection.losses import Targets
from dmanet.recipes import RUN_PRESETS
from pipeline.cache.reader import PillarCache

SETTINGS = stress_settings(32, 8)
ANCHORS = anchors_for(SETTINGS.grid_size, SETTINGS.anchors)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("stress")
    return simulated_cache(folder, 32, recordings=1, seconds=1.5)


@pytest.fixture(scope="module")
def batches(cache: Path) -> list[StressBatch]:
    return batches_of(cache, ANCHORS, 1)


def test_every_shard_is_in_one_batch(batches):
    assert len(batches) == 3
    for batch in batches:
        assert batch.match.shape == (STEPS, len(ANCHORS))
        assert batch.positive.coords[:, 0].max() < STEPS


def test_wrong_classes_are_wrong_and_as_many_as_asked_for():
    right = torch.randint(0, 7, (4000,))
    targets = Targets(torch.zeros(4000, 4), right, torch.zeros(4000).long())
    wrong = with_wrong_classes(targets, 0.3, 7, seed=0)
    assert (wrong.classes != right).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert wrong.classes.min() >= 0
    assert wrong.classes.max() < 7
    assert (with_wrong_classes(targets, 1.0, 7, seed=0).classes != right).all()
    assert torch.equal(with_wrong_classes(targets, 0.0, 7, seed=0).classes, right)


def test_embeddings_are_faded_to_the_length_asked_for(batches):
    model = make_network(StressRun("", embedding_norm=1e-3), SETTINGS, batches[0])
    for lengths in embedding_lengths(model, batches[0]):
        assert lengths.median().item() == pytest.approx(1e-3, rel=0.05)


def test_a_run_repeats_to_the_bit(batches):
    run = StressRun("", precision="fp32", steps=3, learning_rate=1e-3, wrong_labels=0.5)
    first, second = (train(run, SETTINGS, ANCHORS, batches)[1] for _ in range(2))
    assert first == second
    assert first != train(replace(run, seed=1), SETTINGS, ANCHORS, batches)[1]


def test_the_release_loses_every_step_under_stress_and_ours_none(batches):
    lost = {}
    for run in (
        STRESS,
        replace(STRESS, similarity=False),
        replace(STRESS, precision="fp32"),
        StressRun("ours", precision="fp16", embedding_norm=STRESS.embedding_norm),
    ):
        run = replace(run, steps=3)
        figures = summary(run, train(run, SETTINGS, ANCHORS, batches)[1])
        lost[run.similarity, run.precision, run.label] = figures["lost"]
    assert list(lost.values()) == [3, 0, 0, 0]


def test_the_trainers_run_is_the_preset_fitted_to_data_and_precision():
    run = TrainerRun("", 1e-5, 0.3, steps=30, seed=1)
    settings, sampler = preset_with_sampler(run, SETTINGS, {"a": 250, "b": 150})
    assert (sampler.random, sampler.streams, len(sampler)) == (4, 4, 10)
    preset = RUN_PRESETS["default"].model_dump()
    fitted = settings.model_dump()
    assert fitted.pop("model") == SETTINGS.model_dump()
    del preset["model"]
    fits = {"epochs": 3, "batch_size": 8, "precision": "bf16", "seed": 1}
    preset["training"].update(fits)
    assert fitted == preset


def test_the_trainer_skips_no_step_under_stress_and_is_seen_to_skip_those_it_must(cache, batches):
    skipped = {}
    for norm in (1e-5, math.nan):
        run = TrainerRun("", norm, 0.3, steps=2)
        reports = train_by_preset(run, SETTINGS, PillarCache(cache), batches[0])
        figures = report_summary(run, reports)
        skipped[norm] = (figures["lost"], figures["lost_at_end"], figures["steps"])
        assert [report.epoch for report in reports] == [0, 1]  # four streams of eight windows
    assert list(skipped.values()) == [(0, 0, 2), (2, 2, 2)]


def test_a_knocked_class_head_recovers_only_with_our_loss(batches):
    run = replace(
        RELEASE, precision="fp32", class_bias=11.0, steps=8, learning_rate=1e-2, gradient_clip=10.0
    )
    clamped = train(run, SETTINGS, ANCHORS, batches)[1]
    ours = train(replace(run, focal=False), SETTINGS, ANCHORS, batches)[1]
    assert clamped[-1].loss > 0.9 * clamped[0].loss
    assert ours[-1].loss < 0.9 * ours[0].loss


def test_the_table_joins_the_seeds_of_a_variant():
    rows = [
        {
            "run": {"label": "one"},
            "steps": 8,
            "lost": lost,
            "lost_at_end": lost,
            "end_scale": 1.0,
            "end_loss": 2.5,
        }
        for lost in (0, 3)
    ]
    assert ablation_table(rows).splitlines()[-1] == "| one | 0…3 of 8 | 0…3 | 1 | 2.5 |"
