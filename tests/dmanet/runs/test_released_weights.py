"""A released checkpoint on a user's way: imported, run on shards by `dmanet evaluate`, exported.

The shards are made from the reference network's own input pillars, so that `evaluate` must find the
reference outputs behind npz files, the cache, batches and streaming state.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from torch import Tensor

from cli.main import main
from dmanet.models.detector import DMANet, HeadOutput
from dmanet.models.pillar_net import Pillars
from dmanet.runs.released_names import UNUSED_RELEASED, from_released
from dmanet.runs.weights import load_weights
from dmanet.settings import MODEL_PRESETS
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import (
    EVENT_DTYPE,
    LABEL_DTYPE,
    SENSOR_SIZE,
    WINDOW_US,
    shard_path,
    walk_release,
)
from pipeline.voxelizing.run import voxelize

DMANET18 = MODEL_PRESETS["dmanet18"]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def make_cache(release: Path, cache: Path, sensor: tuple[int, int], **settings: str) -> Path:
    voxelize(walk_release(release), lambda recording: sensor, cache, CacheSettings(**settings))
    return cache


@contextmanager
def recorded_outputs() -> Iterator[list[HeadOutput]]:
    """What every network that runs inside the block gives, whoever runs it."""
    seen: list[HeadOutput] = []

    def record(module, inputs, result):
        if isinstance(module, DMANet):
            seen.append(result[0])

    handle = torch.nn.modules.module.register_module_forward_hook(record)
    try:
        yield seen
    finally:
        handle.remove()


def joined(outputs: list[HeadOutput]) -> tuple[Tensor, Tensor]:
    """Probabilities and deltas of all frames in order."""
    return torch.cat([o.logits for o in outputs]).sigmoid(), torch.cat([o.deltas for o in outputs])


@pytest.fixture(scope="module")
def imported(released_state, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.save({"epoch": 3, "state_dict": released_state}, folder / "best.pth")
    run("import-weights", folder / "best.pth", folder / "dmanet18.safetensors")
    return folder / "dmanet18.safetensors"


GRID = (512, 512)


def events_of(file, step: int, sequence: int, start: int) -> np.ndarray | None:
    """A window with one event for each of the reference's pillars.

    On a sensor as large as the grid, and without deduplication, preset `paper` makes exactly those
    pillars of it. None where the reference has pillars of several points, between the pixels.
    """
    columns = []
    for polarity, name in ((0, "neg"), (1, "pos")):
        prefix = f"step{step}/b{sequence}/{name}"
        if (file[f"{prefix}_num_points"] != 1).any():
            return None
        x, y, t = file[f"{prefix}_voxels"][:, 0].astype(int).T
        columns.append((start + 10_000 * t, x, y, np.full_like(x, polarity)))
    t, x, y, p = np.concatenate(columns, axis=1)
    order = np.argsort(t, kind="stable")
    window = np.zeros(len(t) + 1, EVENT_DTYPE)
    # The last event says how long the window is: at time 4 it belongs to no pillar.
    for name, values, last in zip("txyp", (t, x, y, p), (start + 40_000, 0, 0, 0), strict=True):
        window[name] = [*values[order], last]
    assert window["t"][0] == start
    return window


def write_windows(root: Path, recording: str, windows: list[np.ndarray]) -> None:
    """A shard of as many windows as there are (the cache leaves out the rest), each with one box."""
    box = np.zeros(1, LABEL_DTYPE)
    for name, value in {"x": 200, "y": 200, "w": 100, "h": 120, "class_id": 2}.items():
        box[name] = value
    for kind, members in (
        ("events", {f"e{k}": window for k, window in enumerate(windows)}),
        ("labels", {f"l{k}": box for k in range(len(windows))}),
    ):
        path = shard_path(root, recording, 1, kind)
        path.parent.mkdir(parents=True)
        np.savez_compressed(path, **members)


def test_golden_outputs_come_out_of_evaluate(golden, imported, tmp_path: Path):
    # Tolerance 1e-4, as for the full network; two windows at a time, so that memory is also carried
    # from one batch to the next. (Nearly every anchor of these weights passes the threshold of
    # protocol `release`, which has no limit of detections and so takes minutes.)
    file = np.load(golden / "fullmodel.npz")
    names = [name.split("/") for name in file.files if name.endswith("/pos_voxels")]
    steps, batch = (len({name[k] for name in names}) for k in (0, 1))
    expected: list[tuple[int, int]] = []
    for b in range(batch):
        windows: list[np.ndarray] = []
        for t in range(steps):
            window = events_of(file, t, b, (10 + t) * WINDOW_US)
            if window is None:
                break
            windows.append(window)
            expected.append((t, b))
        write_windows(tmp_path / "release", f"test/testfilelist00/b{b}", windows)
    assert max(t for t, _ in expected) >= 2
    cache = make_cache(tmp_path / "release", tmp_path / "cache", GRID, preset="paper", dedup="none")
    with recorded_outputs() as outputs:
        table = run(
            "evaluate", cache, "--checkpoint", imported, "--protocol", "prophesee", "--steps", 2,
            "--precision", "fp32", "--device", "cpu", "--quiet",
        )  # fmt: skip
    assert load_weights(imported).fingerprint() in table
    probabilities, deltas = joined(outputs)
    assert len(probabilities) == len(expected)
    for n, (t, b) in enumerate(expected):
        for name, values in (("classification", probabilities), ("regression", deltas)):
            wanted = torch.from_numpy(file[f"step{t}/{name}_every97"][b])
            torch.testing.assert_close(values[n, ::97], wanted, atol=1e-4, rtol=0)


def golden_pillars(golden: Path, windows: int, polarity: str) -> Pillars:
    """The release's own tensors of the first windows of the reference shard."""
    with np.load(golden / "shard_getitem.npz") as arrays:
        offsets = arrays[f"{polarity}_offsets"][: windows + 1]
        points, num_points, cells = (
            torch.from_numpy(arrays[f"{polarity}_{name}"][: offsets[-1]])
            for name in ("voxels", "num_points", "coors")
        )
    frame = torch.repeat_interleave(torch.from_numpy(np.diff(offsets)))
    return Pillars(points, num_points.long(), torch.cat([frame[:, None], cells.long()], dim=1))


def test_golden_shard_gives_predict_what_its_released_tensors_give_the_network(
    golden, imported, released_state, tmp_path: Path
):
    # To 1e-4, as for the full network: other orders of pillars, other batches, and memory carried.
    cache, windows = make_cache(golden / "shard", tmp_path / "cache", SENSOR_SIZE), 2
    (recording,) = (golden / "shard" / "train" / "trainfilelist00" / "events").iterdir()
    with recorded_outputs() as outputs:
        run(
            "predict", cache, "--checkpoint", imported, "-o", tmp_path / "out",
            "--recording", f"train/trainfilelist00/{recording.name}", "--windows", f"0:{windows}",
            "--steps", 1, "--precision", "fp32", "--device", "cpu", "--pictures", 0, "--quiet",
        )  # fmt: skip
    network = DMANet(DMANET18).eval()
    network.load_state_dict(from_released(released_state, DMANET18))
    pillars = [golden_pillars(golden, windows, polarity) for polarity in ("pos", "neg")]
    with torch.no_grad():
        output, _ = network(*pillars, windows, 1)
    for found, expected in zip(joined(outputs), joined([output]), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_imported_weights_are_safetensors_with_their_settings_as_json(imported):
    with safe_open(imported, framework="pt") as file:
        header = file.metadata()
    assert json.loads(header["settings"])["depth"] == 18
    assert load_weights(imported).settings == DMANET18


def test_golden_weights_are_exported_bit_for_bit(imported, released_state, tmp_path: Path):
    run("export-weights", imported, tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["state_dict"]
    assert back.keys() == released_state.keys()
    for name, tensor in released_state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor) or name == UNUSED_RELEASED, name
    # What nothing reads is not kept, but stands in its place for a strict loader.
    assert back[UNUSED_RELEASED].shape == released_state[UNUSED_RELEASED].shape
    assert not back[UNUSED_RELEASED].any()
    # A second way round changes nothing.
    run("import-weights", tmp_path / "back.pth", tmp_path / "again.safetensors")
    again = load_weights(tmp_path / "again.safetensors")
    assert again.fingerprint() == load_weights(imported).fingerprint()
