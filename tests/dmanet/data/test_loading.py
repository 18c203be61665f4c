import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import Sample, WindowRange, make_sampler
from pipeline.cache.reader import PillarCache
from pipeline.errors import CacheError
from tests.dmanet.caches import CLASSES, LONG


def lengths(cache):
    return {recording.id: len(recording) for recording in cache.recordings("train")}


def contents(batch):
    """Everything in a batch as comparable values."""
    tensors = {k: v.tolist() for k, v in vars(batch).items() if isinstance(v, torch.Tensor)}
    targets = {k: v.tolist() for k, v in vars(batch.targets).items()}
    return batch.samples, batch.positive, tensors, targets


def test_boxes_of_other_classes_are_left_out_and_the_others_renumbered(cache):
    samples = [Sample((WindowRange(LONG, 0, 10),), (0,), False, 10)]
    (whole,) = BatchLoader(cache, [samples])
    (chosen,) = BatchLoader(cache, [samples], classes=(5, 0))
    number = np.array(CLASSES)
    release = number[whole.targets.classes]
    kept = (release == 5) | (release == 0)
    assert 0 < kept.sum() < len(kept)
    assert np.array_equal(np.array((5, 0))[chosen.targets.classes], release[kept])
    assert np.array_equal(chosen.targets.boxes, whole.targets.boxes[torch.from_numpy(kept)])
    assert np.array_equal(chosen.targets.frame, whole.targets.frame[torch.from_numpy(kept)])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_batches_in_the_same_order(cache, workers):
    sampler = make_sampler("mixed", lengths(cache), steps=4, batch_size=2, seed=5)
    alone, ahead = (BatchLoader(cache, sampler, classes=(2, 5), workers=n) for n in (0, workers))
    for epoch in (0, 1):  # the sampler may change between two iterations of one loader
        sampler.epoch = epoch
        expected = [contents(batch) for batch in alone]
        assert [contents(batch) for batch in ahead] == expected
        assert [list(samples) for samples, *_ in expected] == list(sampler)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_cache_is_one_sentence_also_from_a_worker(cache, tmp_path, workers):
    broken = tmp_path / "cache"
    shutil.copytree(cache.location, broken)
    for chunk in (broken / LONG / "pillars" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:40])
    opened = PillarCache(broken)
    loader = BatchLoader(opened, make_sampler("random", lengths(opened), 4, 2, 0), workers=workers)
    with pytest.raises(CacheError, match="'pillars' cannot be read") as raised:
        list(loader)
    assert "Traceback" not in str(raised.value)


KEPT = """
import sys
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import Sample, WindowRange
from pipeline.cache.reader import PillarCache

sample = Sample((WindowRange(sys.argv[2], 0, 2),), (0,), False, 2)
batches = iter(BatchLoader(PillarCache(sys.argv[1]), [[sample]] * 4, workers=1))
next(batches)
print("read", flush=True)
"""


def test_a_script_that_still_holds_its_loader_ends(cache):
    """At its end Python terminates the workers, which ignore such signals before, and waits for them."""
    command = [sys.executable, "-c", KEPT, cache.location, LONG]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (0, "read\n"), result.stderr
