"""torch.compile for the parts of the network that it can compile."""

from dmanet.models.detector import DMANet


def compile_parts(model: DMANet) -> None:
    """Compile, in place, what runs once over all frames; the recurrence stays as it is."""
    blocks = [block for stage in model.backbone.stages for block in stage.children()]
    parts = [*blocks, model.pyramid, model.temporal_branch, model.class_head, model.box_head]
    for part in parts:
        if part is not None:
            part.compile()
