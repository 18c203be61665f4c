"""Fixtures for the network's tests: small pillars, and the reference network's weights."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dmanet.models.detector import DMANet
from dmanet.models.pillar_net import Pillars
from dmanet.settings import ModelSettings
from pipeline.cache.reader import PillarCache
from tests.dmanet.caches import make_cache


@pytest.fixture(scope="session")
def close() -> Callable[..., None]:
    """Asserts that two arrays differ by at most ``tolerance`` of the largest expected magnitude.

    Where everything expected is small, by at most ``tolerance``.
    """

    def check(actual: Tensor, expected: np.ndarray | Tensor, tolerance: float) -> None:
        expected = torch.as_tensor(np.asarray(expected))
        scale = max(1.0, expected.abs().max().item())
        torch.testing.assert_close(actual.detach(), expected, atol=tolerance * scale, rtol=0)

    return check


@pytest.fixture(scope="session")
def released_state(golden: Path) -> dict[str, Tensor]:
    """The reference network's weights under their released names."""
    spec = importlib.util.spec_from_file_location("golden_weights", golden / "golden_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listing = json.loads((golden / "fullmodel_names_shapes.json").read_text())
    return {
        name: torch.from_numpy(np.asarray(module.det_init(name, tuple(shape), listing["seed"])))
        for name, shape in listing["names_shapes"]
    }


@pytest.fixture(scope="session")
def random_pillars() -> Callable[..., Pillars]:
    """Makes pillars of one polarity with ``counts[n]`` of them, at distinct cells, in frame n."""

    def make(counts: list[int], settings: ModelSettings, seed: int = 0) -> Pillars:
        generator = torch.Generator().manual_seed(seed)
        height, width = settings.grid_size
        frame = torch.repeat_interleave(torch.tensor(counts, dtype=torch.int64))
        cells = [torch.randperm(height * width, generator=generator)[:n] for n in counts]
        cell = torch.cat([torch.zeros(0, dtype=torch.int64), *cells])
        total, slots = len(cell), settings.max_points
        y, x = cell // width, cell % width
        coords = torch.stack([frame, torch.zeros_like(y), y, x], dim=1)
        num_points = torch.randint(1, slots + 1, (total,), generator=generator)
        points = torch.rand((total, slots, 3), generator=generator) * torch.tensor([1.0, 1.0, 4.0])
        points[..., 0] += x[:, None]
        points[..., 1] += y[:, None]
        points[torch.arange(slots) >= num_points[:, None]] = 0
        return Pillars(points, num_points, coords)

    return make


@pytest.fixture(scope="session")
def lively_model() -> Callable[..., DMANet]:
    """Makes a network whose every weight and statistic matters: nothing is 0 or 1 on purpose."""

    def make(settings: ModelSettings, seed: int = 0) -> DMANet:
        torch.manual_seed(seed)
        model = DMANet(settings).eval()
        for name, tensor in model.state_dict().items():
            if name.endswith("output.weight"):
                tensor.normal_(0, 0.02)
            elif tensor.dim() > 1 and not tensor.any():
                tensor.normal_(0, 0.05)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var"):
                # The pillar net normalises coordinates, everything else values around 1.
                tensor.uniform_(0.5, 1.5).mul_(1e3 if name.startswith("pillar_net") else 1)
            elif tensor.dim() == 1:
                tensor.add_(torch.randn_like(tensor), alpha=0.1)
        return model

    return make


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order, so that equal runs are equal to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PillarCache:
    """A small cache of preset `release`; no test writes into it."""
    return make_cache(tmp_path_factory.mktemp("release_cache"))


@pytest.fixture(scope="session")
def paper_cache(tmp_path_factory: pytest.TempPathFactory) -> PillarCache:
    """The same recordings in preset `paper`, with two cells along time."""
    return make_cache(tmp_path_factory.mktemp("paper_cache"), "paper", time_cells=2)
