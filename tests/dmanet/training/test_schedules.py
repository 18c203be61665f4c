import math
from itertools import pairwise

import pytest

from dmanet.recipes import TrainingSettings
from dmanet.training.schedules import learning_rate_share


def shares(recipe: TrainingSettings, steps_per_epoch: int, total_steps: int) -> list[float]:
    return [
        learning_rate_share(step, steps_per_epoch, total_steps, recipe)
        for step in range(total_steps)
    ]


def test_the_schedule_warms_up_to_the_peak_and_ends_at_its_last_share():
    recipe = TrainingSettings(warmup_epochs=2, final_learning_rate=0.1)
    rates = shares(recipe, 10, 100)
    assert 0 < rates[0] < 0.1
    assert rates[:20] == sorted(rates[:20])
    assert rates[20] == max(rates) == 1
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate_share(500, 10, 100, recipe) == pytest.approx(0.1)  # it never rises again
    halfway = rates[20 + 39] + rates[20 + 40]
    assert halfway / 2 == pytest.approx((1 + 0.1) / 2, abs=1e-3)


def test_the_schedule_without_warm_up_starts_at_the_peak():
    recipe = TrainingSettings(warmup_epochs=0, final_learning_rate=0)
    assert learning_rate_share(0, 1, 1, recipe) == 1
    assert math.isclose(learning_rate_share(9, 5, 10, recipe), 0, abs_tol=1e-12)


def test_the_exponential_falls_by_the_same_factor_over_each_epoch_after_the_warm_up():
    recipe = TrainingSettings(schedule="exponential", decay=0.5, warmup_epochs=1)
    rates = shares(recipe, 10, 50)
    assert rates[:10] == shares(TrainingSettings(warmup_epochs=1), 10, 50)[:10]
    assert [rates[step] for step in (10, 20, 30, 40)] == pytest.approx([1, 0.5, 0.25, 0.125])
    ratios = [after / before for before, after in pairwise(rates[10:])]
    assert ratios == pytest.approx([0.5**0.1] * len(ratios))
