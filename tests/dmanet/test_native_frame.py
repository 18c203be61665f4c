"""The sensor's own 720x1280 frame as the grid, from shards to a training step and detections."""

from pathlib import Path

import pytest
import torch

from dmanet.data.batches import collate
from dmanet.data.samplers import WindowRange
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.losses import detection_loss
from dmanet.evaluation.streaming import StreamSettings, stream_detections
from dmanet.models.detector import DMANet
from dmanet.settings import ModelSettings
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.members import read_events
from pipeline.release.npz import NpzFile
from pipeline.release.shards import SENSOR_SIZE, shard_path, walk_release
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import write_recording

RECORDING = "test/testfilelist00/native"
NETWORK = ModelSettings(
    grid_size=(720, 1280),
    stem_width=8,
    feature_size=8,
    head_convs=1,
    anchors=AnchorSettings(scales=(1.0,), ratios=(1.0,)),
)


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_the_native_frame_is_voxelized_trained_on_and_detected_in(tmp_path: Path, preset):
    write_recording(tmp_path / "release", RECORDING, shards=(1,))
    settings = CacheSettings(preset=preset, grid=SENSOR_SIZE)
    voxelize(walk_release(tmp_path / "release"), lambda key: SENSOR_SIZE, tmp_path / "c", settings)
    cache = PillarCache(tmp_path / "c")
    batch = collate([cache.recording(RECORDING).read(0, 2)])
    positive, negative = decode_batch(batch)

    # A cell is a pixel: the pillars of a window are the pixels of its events but those of the last
    # instant.
    shard = NpzFile(shard_path(tmp_path / "release", RECORDING, 1, "events"))
    events = read_events(shard, 0)
    events = events[events["t"] < events["t"].max()]
    pixels = set(zip(events["x"].tolist(), events["y"].tolist(), strict=True))
    cells = torch.cat([p.coords[p.coords[:, 0] == 0] for p in (positive, negative)])
    assert {(x, y) for _, _, y, x in cells.tolist()} == pixels

    torch.manual_seed(0)
    model = DMANet(NETWORK).train()
    torch.nn.init.normal_(model.class_head.output.weight)  # so that scores differ
    output, _ = model(positive, negative, 2, 1, None, batch.reset)
    anchors = anchors_for(NETWORK.grid_size, NETWORK.anchors)
    loss = sum(detection_loss(output.logits, output.deltas, anchors, batch.targets).values())
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)

    stream = StreamSettings(torch.device("cpu"), "fp32")
    (found,) = stream_detections(
        model, cache, [WindowRange(RECORDING, 1, 3)], stream, score_threshold=0.001,
        max_detections=20,
    )  # fmt: skip
    for detections in found.detections:
        assert len(detections) > 0
        assert (detections.boxes >= 0).all()
        assert (detections.boxes <= [1280, 720, 1280, 720]).all()
        assert detections.boxes[:, 2].max() > 720  # not the axes of the square grid, nor swapped
