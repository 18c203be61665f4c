"""The whole network in Jittor against the released network's numbers.

Runs where jittor is (`make test-jittor`); its kernels are compiled the first time, which takes minutes.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("jittor") is None:
    pytest.skip("jittor is not installed; run `make test-jittor`", allow_module_level=True)

from dmanet.runs.released_modules import released_name
from dmanet.settings import MODEL_PRESETS
from dmanet_jittor.framework import jt
from dmanet_jittor.models.detector import DMANet
from dmanet_jittor.models.pillar_net import Pillars

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
BATCH = 2


def released_weights() -> dict[str, np.ndarray]:
    """The reference network's weights under their released names."""
    spec = importlib.util.spec_from_file_location("golden_weights", GOLDEN / "golden_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listing = json.loads((GOLDEN / "fullmodel_names_shapes.json").read_text())
    return {
        name: np.asarray(module.det_init(name, tuple(shape), listing["seed"]), np.float32)
        for name, shape in listing["names_shapes"]
    }


def pillars_of(file, step: int, polarity: str) -> Pillars:
    """The pillars of all sequences in a step."""
    parts = []
    for b in range(BATCH):
        prefix = f"step{step}/b{b}/{polarity}"
        coords = np.pad(file[f"{prefix}_coors"].astype(np.int64), ((0, 0), (1, 0)))
        coords[:, 0] = b
        counts = file[f"{prefix}_num_points"].astype(np.int64)
        parts.append((file[f"{prefix}_voxels"], counts, coords))
    return Pillars(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def test_golden_network_step_by_step_with_its_state():
    # 1e-4, ten times the noise between two backends of the released code.
    file = np.load(GOLDEN / "fullmodel.npz")
    model = DMANet(MODEL_PRESETS["dmanet18"])
    model.eval()
    weights, state_dict = released_weights(), model.state_dict()
    for name, variable in state_dict.items():
        values = weights[released_name(name, state_dict)]
        assert values.shape == tuple(variable.shape), name
        variable.update(jt.array(values))
    state = None
    for step in range(3):
        with jt.no_grad():
            both = [pillars_of(file, step, polarity) for polarity in ("pos", "neg")]
            output, state = model(*both, 1, BATCH, state)
        found = {
            "classification_every97": jt.sigmoid(output.logits).numpy()[:, ::97],
            "regression_every97": output.deltas.numpy()[:, ::97],
        }
        for i, level in enumerate(state):
            for kind in ("hidden", "cell", "feature"):
                values = getattr(level, kind).numpy().ravel()[::997]
                found[f"state{i}_{kind}_flat_every997"] = values
        for name, values in found.items():
            expected = file[f"step{step}/{name}"]
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4, err_msg=name)
