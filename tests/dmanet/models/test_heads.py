"""The heads' values and their order."""

import numpy as np
import pytest
import torch

from dmanet.models.heads import Head


@pytest.mark.parametrize(
    ("group", "activation"), [("reg", torch.nn.Identity()), ("cls", torch.sigmoid)]
)
def test_golden_heads(golden, group, activation):
    # Tolerance 1e-5. The reference classes are probabilities, ours are logits.
    file = np.load(golden / "heads.npz")
    x, expected = torch.from_numpy(file["x"]), torch.from_numpy(file[f"{group}/out"])
    values = expected.shape[2]
    prefix = f"{group}/sd/"
    state = {
        name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)
    }
    convs = sum(name.startswith("conv") and name.endswith("weight") for name in state)
    head = Head(x.shape[1], convs, len(state["output.bias"]) // values, values)
    for name, value in state.items():
        ours = (
            name if name.startswith("output") else f"convs.{int(name[4]) - 1}.{name.split('.')[1]}"
        )
        head.get_parameter(ours).data.copy_(torch.from_numpy(value))
    out = activation(head([x]))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_rows_run_over_level_then_y_then_x_then_anchor(memory):
    head = Head(3, 0, anchors=2, values=4).to(memory_format=memory)
    pyramid = [
        torch.randn(2, 3, 4, 5).contiguous(memory_format=memory),
        torch.randn(2, 3, 2, 3).contiguous(memory_format=memory),
    ]
    out = head(pyramid)
    assert out.shape == (2, (4 * 5 + 2 * 3) * 2, 4)
    maps = [head.output(x) for x in pyramid]
    torch.testing.assert_close(out[1, (2 * 5 + 3) * 2 + 1], maps[0][1, 4:, 2, 3])
    torch.testing.assert_close(out[0, 40 + (1 * 3 + 2) * 2], maps[1][0, :4, 1, 2])
