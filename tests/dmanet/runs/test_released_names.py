"""Released names and ours."""

import json

import pytest
import torch

from dmanet.models.detector import DMANet
from dmanet.runs.released_names import UNUSED_RELEASED, from_released, released_names, to_released
from dmanet.settings import MODEL_PRESETS, ModelSettings
from pipeline.errors import CheckpointError

DMANET18 = MODEL_PRESETS["dmanet18"]


def test_golden_names_map_one_to_one_with_their_shapes(golden):
    listing = json.loads((golden / "fullmodel_names_shapes.json").read_text())["names_shapes"]
    shapes = {name: tuple(shape) for name, shape in listing}
    del shapes[UNUSED_RELEASED]
    names = released_names(DMANET18)
    with torch.device("meta"):
        ours = DMANet(DMANET18).state_dict()
    assert len(set(names.values())) == len(names)
    assert set(names.values()) == set(ours)
    assert {released: tuple(ours[name].shape) for released, name in names.items()} == shapes


def test_golden_parameters_are_the_published_number(golden):
    listing = json.loads((golden / "fullmodel_names_shapes.json").read_text())
    shapes = dict(listing["names_shapes"])
    published = sum(torch.Size(shapes[name]).numel() for name in listing["parameters"])
    with torch.device("meta"):
        ours = sum(p.numel() for p in DMANet(DMANET18).parameters())
    assert published == 28_254_437
    assert ours == published - torch.Size(shapes[UNUSED_RELEASED]).numel()


def test_golden_weights_survive_the_way_in_and_out(released_state):
    out = to_released(from_released(released_state, DMANET18), DMANET18)
    assert out.keys() == released_state.keys()
    assert all(
        torch.equal(out[name], released_state[name]) for name in out if name != UNUSED_RELEASED
    )
    assert out[UNUSED_RELEASED].shape == released_state[UNUSED_RELEASED].shape


@pytest.mark.parametrize(
    "settings",
    [MODEL_PRESETS["dmanet34"], MODEL_PRESETS["tiny"], ModelSettings(depth=50, stem_width=8)],
    ids=["dmanet34", "tiny", "bottleneck"],
)
def test_other_architectures_survive_the_way_out_and_in(settings):
    ours = DMANet(settings).state_dict()
    back = from_released(to_released(ours, settings), settings)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_misfits_are_refused_and_all_listed(released_state):
    misfit = dict(released_state)
    del misfit["fpn.P6.bias"], misfit[UNUSED_RELEASED]
    misfit["neck.weight"] = torch.zeros(1)
    misfit["input_layer.0.weight"] = torch.zeros(64, 2, 7, 7)
    with pytest.raises(CheckpointError) as caught:
        from_released(misfit, DMANET18, "best.pth")
    message = str(caught.value)
    assert message.startswith("best.pth does not fit")
    assert f"missing: fpn.P6.bias, {UNUSED_RELEASED};" in message
    assert "surplus: neck.weight;" in message
    assert "input_layer.0.weight ((64, 2, 7, 7) instead of (64, 16, 7, 7))" in message


def test_a_checkpoint_of_another_class_count_or_depth_is_refused(released_state):
    with pytest.raises(CheckpointError, match=r"classificationModel\.output\.weight"):
        from_released(released_state, DMANET18.model_copy(update={"num_classes": 1}))
    with pytest.raises(CheckpointError, match=r"missing: layer1\.2\.bn1\.bias"):
        from_released(released_state, MODEL_PRESETS["dmanet34"])


@pytest.mark.parametrize("form", [{"long_memory": "hold"}, {"first_hidden": "zero"}])
def test_forms_that_the_released_code_lacks_are_one_sentence(form):
    settings = MODEL_PRESETS["tiny"].model_copy(update=form)
    (name,) = form
    with pytest.raises(CheckpointError, match=rf"^the released code has no network with {name}="):
        to_released({}, settings)
