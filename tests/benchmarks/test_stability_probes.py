"""What `docs/stability.md` says of single formulas."""

import numpy as np
import pytest

from benchmarks.stability_probes import focal_gradients, one_quiet_cell, similarity_gradients
from dmanet.settings import ModelSettings

EPS = ModelSettings().similarity_eps


def test_gradients_of_the_released_similarity_pass_any_bound_of_ours():
    found = similarity_gradients([1e-6, 1e-5, 1e-2, 1.0])
    for precision in ("fp32", "bf16", "fp16"):
        assert max(found[f"ours {precision}"]) <= 1 / EPS
    assert found["released fp32"][0] > 1e5
    assert found["released fp16"][0] is None  # no number
    # Where nothing is quiet the two are one.
    assert found["released fp32"][2:] == pytest.approx(found["ours fp32"][2:], rel=1e-3)


def test_one_quiet_cell_spoils_the_float16_gradient_of_the_whole_layer():
    finite = one_quiet_cell()
    assert [name for name, good in finite.items() if not good] == ["released fp16"]


def test_the_clamped_loss_has_no_gradient_where_ours_pulls_hardest():
    logits = [0.0, 9.0, 9.5, 18.0]
    found = focal_gradients(logits)
    assert found["clamped"][:2] == pytest.approx(found["ours"][:2], rel=1e-3)
    assert found["clamped"][2:] == [0.0, 0.0]
    np.testing.assert_allclose(found["ours"][2:], 0.75, rtol=1e-2)
