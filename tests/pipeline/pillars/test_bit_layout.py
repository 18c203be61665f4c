"""The bits of the packed form do not overlap."""

import numpy as np
import pytest

from pipeline.pillars.bit_layout import (
    CELLS_LIMIT,
    COUNT_BITS,
    COUNT_MASK,
    MAX_POINTS_LIMIT,
    cell_state,
)


def test_a_packed_pillar_gives_its_step_and_its_points_back():
    steps = np.array([0, 1, CELLS_LIMIT - 1], np.uint32)[:, None]
    counts = np.arange(1, MAX_POINTS_LIMIT + 1, dtype=np.uint32)
    packed = steps << COUNT_BITS | counts
    assert packed.dtype == np.uint32
    assert (packed >> COUNT_BITS == steps).all()
    assert (packed & COUNT_MASK == counts).all()


@pytest.mark.parametrize(("bin_bits", "dtype"), [(5, np.uint8), (8, np.uint16)])
def test_every_state_of_a_cell_is_another_number_and_fits(bin_bits, dtype):
    bits = cell_state(bin_bits)
    pillars = {
        bits.occupied | polarity << bits.polarity_shift | time_bin
        for polarity in (0, 1)
        for time_bin in range(bits.bin_mask + 1)
    }
    assert len(pillars) == 2 << bin_bits
    assert not {0, bits.refused} & pillars
    assert not bits.refused & bits.occupied
    assert max(*pillars, bits.refused) <= np.iinfo(dtype).max
