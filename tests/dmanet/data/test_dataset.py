import pytest
import torch
from torch.utils.data import DataLoader

from dmanet.data.batches import collate
from dmanet.data.dataset import WindowDataset
from dmanet.data.unpacking import decode_batch
from pipeline.errors import DataError, UsageError
from tests.dmanet.caches import LONG, SMALL


def test_samples_together_hold_every_window(cache):
    dataset = WindowDataset(cache, "train", steps=7)
    samples = [dataset[k] for k in range(len(dataset))]
    assert {len(sample) for sample in samples} == {7}
    firsts = [(sample.recording, sample.first) for sample in samples]
    assert firsts == [*((LONG, k) for k in (0, 7, 14, 21, 23)), (SMALL, 0), (SMALL, 3)]


@pytest.mark.parametrize("context", [None, "fork", "spawn"])
def test_a_plain_data_loader_gives_the_same_batches_whoever_reads(cache, context):
    dataset = WindowDataset(cache, "train", steps=5)
    dataset[0]  # its files are open here, which a fork must not share
    loader = DataLoader(
        dataset,
        batch_size=3,
        collate_fn=collate,
        num_workers=2 if context else 0,
        multiprocessing_context=context,
    )
    found = list(loader)
    assert [batch.sequences for batch in found] == [3, 3, 2]
    for k, batch in enumerate(found):
        expected = collate([dataset[3 * k + b] for b in range(batch.sequences)])
        for pillars, others in zip(decode_batch(batch), decode_batch(expected), strict=True):
            assert torch.equal(pillars.points, others.points)
            assert torch.equal(pillars.coords, others.coords)
        assert batch.reset[0].all()


def test_a_split_that_is_not_there_or_too_short_is_one_sentence(cache):
    with pytest.raises(UsageError, match="it holds test, train"):
        WindowDataset(cache, "val")
    with pytest.raises(DataError, match="'train' has 31 windows; choose fewer steps"):
        WindowDataset(cache, "train", steps=31)
