"""How the learning rate goes over a run: a linear warm-up, then half a cosine or an exponential."""

import math

from dmanet.recipes import TrainingSettings


def learning_rate_share(
    step: int, steps_per_epoch: int, total_steps: int, recipe: TrainingSettings
) -> float:
    """Learning rate of a step as a share of the peak.

    Rises linearly from 0 over the warm-up, which it leaves at 1. Then, with ``schedule: cosine``, it
    falls along half a cosine to ``final_learning_rate`` at the last step and stays there; with
    ``exponential`` it is multiplied by ``decay`` over each epoch, a bit with every step. (The
    released schedule is stepped past its end, where it rises again; this one has no end to pass.)

    It follows from the step alone, so a resumed run needs no more than its step.

    Args:
        step: from 0, over the whole run.
        steps_per_epoch: of the run.
        total_steps: of the whole run.
        recipe: says how the rate rises and falls.

    Returns:
        A factor from 0 to 1.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if recipe.schedule == "exponential":
        return float(recipe.decay ** ((step - warmup) / steps_per_epoch))
    past = min(1.0, (step - warmup) / max(1.0, total_steps - 1 - warmup))
    final = recipe.final_learning_rate
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * past))
