"""The short memory."""

import numpy as np
import pytest
import torch

from dmanet.models.non_local import NonLocalAggregation


def golden_state(file, kind):
    return {
        name.removeprefix(f"{kind}/").replace("att_layer", "project"): torch.from_numpy(file[name])
        for name in file.files
        if name.startswith(f"{kind}/")
    }


def test_golden_aggregation_and_gradients(golden, close):
    # Tolerances: output 1e-5, gradients 1e-4 of the largest magnitude. (A softmax does not see a
    # constant, so the true gradient of phi's bias is 0: what is found is rounding of its weights'.)
    file = np.load(golden / "nonlocal.npz")
    current, previous = (torch.from_numpy(file[k]).requires_grad_() for k in ("cur", "prev"))
    module = NonLocalAggregation(current.shape[1])
    module.load_state_dict(golden_state(file, "sd"))
    out = module.aggregate(current, previous)
    close(out, file["out"], 1e-5)
    (out * torch.from_numpy(file["G"])).sum().backward()
    close(current.grad, file["grad_cur"], 1e-4)
    close(previous.grad, file["grad_prev"], 1e-4)
    for name, gradient in golden_state(file, "grad").items():
        if name == "phi.bias":
            assert module.phi.bias.grad.abs().max() <= 1e-4 * module.phi.weight.grad.abs().max()
            continue
        close(module.get_parameter(name).grad, gradient, 1e-4)


def test_a_sequence_is_its_frames_aggregated_with_those_before_and_begins_unchanged():
    module = NonLocalAggregation(8)
    frames, before = torch.randn(6, 8, 6, 4), torch.randn(2, 8, 6, 4)
    reset = torch.tensor([[False, True], [False, False], [True, False]])
    out = module(frames, 3, before, reset)
    previous = torch.cat([before, frames])
    for n, anew in enumerate(reset.flatten().tolist()):
        alone = module.aggregate(frames[n : n + 1], previous[n : n + 1])[0]
        torch.testing.assert_close(out[n], frames[n] if anew else alone, atol=1e-5, rtol=0)
    begun = module(frames, 3, None, None)
    assert torch.equal(begun[:2], frames[:2])
    torch.testing.assert_close(begun[2:4], out[2:4], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 3), (23, 7)])
def test_odd_sizes_keep_their_last_row_and_column(size):
    module = NonLocalAggregation(4)
    current, previous = torch.randn(1, 4, *size), torch.randn(1, 4, *size, requires_grad=True)
    module.g.weight.data.abs_()
    previous.data[..., -1, -1] = 50.0  # the largest value of its pooling window, whatever g is
    module.aggregate(current, previous).square().sum().backward()
    assert previous.grad[..., -1, -1].abs().sum() > 0
