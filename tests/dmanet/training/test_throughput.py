"""What is measured adds up, and measuring leaves nothing behind."""

import itertools
import time

import pytest
import torch

from dmanet import regions
from dmanet.training.batches import TrainingBatches
from dmanet.training.step import Trainer
from dmanet.training.throughput import PARTS, PHASES, measure_throughput, seconds_by_part
from pipeline.errors import CacheError
from tests.dmanet.caches import small_run

CPU = torch.device("cpu")


def test_rates_parts_and_phases_of_a_short_run(cache):
    phases = []
    found = measure_throughput(cache, small_run(), CPU, seconds=0.5, on_phase=phases.append)
    assert phases == list(PHASES)
    assert (found.steps, found.batch, found.workers, found.precision) == (3, 2, 0, "fp32")
    assert found.device.startswith("CPU")
    # Training is slower than either of its halves alone, give or take what disturbs a machine.
    assert found.windows_per_s < 2 * min(found.loader_windows_per_s, found.step_windows_per_s)
    assert 0 < found.data_wait_share < 1
    assert 0.05 < found.peak_gb < 50
    assert tuple(found.seconds) == PARTS


@pytest.mark.parametrize(
    "override",
    [
        "training.activation_checkpointing=true",
        "model.short_memory=false",
        "model.long_memory=none",
    ],
)
def test_the_parts_of_a_step_are_all_of_it(cache, override):
    settings = small_run(override)
    batches = list(itertools.islice(TrainingBatches(cache, settings, CPU, 0).forever(), 2))
    trainer = Trainer(settings, CPU, 10)
    began = time.perf_counter()
    found = seconds_by_part(trainer, batches, seconds=0.0)  # two steps
    elapsed = time.perf_counter() - began
    assert all(seconds > 0 for seconds in found.values())
    # Medians of two steps are their means.
    assert sum(found.values()) == pytest.approx(elapsed / 2, rel=0.2)


def test_measuring_ends_with_the_measurement_also_when_a_step_fails(cache, monkeypatch):
    settings = small_run()
    batches = list(itertools.islice(TrainingBatches(cache, settings, CPU, 0).forever(), 1))
    trainer = Trainer(settings, CPU, 10)
    seconds_by_part(trainer, batches, seconds=0.0)
    assert regions._timer.get() is None

    def fail(batch, data_s):
        raise RuntimeError("no step")

    monkeypatch.setattr(trainer, "make_step", fail)
    with pytest.raises(RuntimeError, match="no step"):
        seconds_by_part(trainer, batches, seconds=0.0)
    assert regions._timer.get() is None


def test_torch_profiler_shows_the_parts_of_a_step(cache):
    settings = small_run()
    (batch,) = itertools.islice(TrainingBatches(cache, settings, CPU, 0).forever(), 1)
    trainer = Trainer(settings, CPU, 10)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        trainer.make_step(batch, 0.0)
    assert {event.name for event in profile.events()} >= set(PARTS)


def test_batches_are_those_of_training_epoch_after_epoch(cache):
    batches = TrainingBatches(cache, small_run(), CPU, 0)
    epoch = len(batches.sampler)
    found = [batch.samples for batch in itertools.islice(batches.forever(), 2 * epoch)]
    for number, part in enumerate((found[:epoch], found[epoch:])):
        batches.sampler.epoch = number
        assert [list(samples) for samples in part] == list(batches.sampler)


def test_a_network_that_does_not_fit_the_cache_is_refused(cache):
    with pytest.raises(CacheError, match="num_classes = 3, this recipe's has 5"):
        measure_throughput(cache, small_run("model.num_classes=5"), CPU, seconds=0.5)
