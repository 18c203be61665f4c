import torch
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.class_selection import class_outputs, select_classes
from dmanet.detection.losses import Targets


@given(st.permutations(range(7)), st.permutations(range(7)), st.integers(1, 7), st.integers(1, 7))
def test_a_class_goes_to_the_output_that_bears_its_number(first, second, cached, wanted):
    cached, wanted = tuple(first[:cached]), tuple(second[:wanted])
    targets = Targets(
        boxes=torch.arange(4.0 * len(cached)).view(-1, 4),
        classes=torch.arange(len(cached)),
        frame=torch.arange(len(cached)),
    )
    chosen = select_classes(targets, class_outputs(cached, wanted))
    assert [wanted[c] for c in chosen.classes] == [c for c in cached if c in wanted]
    assert [cached[frame] for frame in chosen.frame] == [c for c in cached if c in wanted]
