"""Packed batches to pillars, on whatever device the batch is.

The counterpart of :func:`pipeline.pillars.unpacking.decode_points` for many windows at once: same
numbers, to the bit.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dmanet.data.batches import PackedBatch
from dmanet.models.pillar_net import Pillars
from pipeline.pillars.bit_layout import COUNT_BITS, COUNT_MASK
from pipeline.pillars.encoding import PillarEncoding

_UINT16 = 0xFFFF
_UINT32 = 0xFFFFFFFF


def decode_batch(batch: PackedBatch) -> tuple[Pillars, Pillars]:
    """The network's input from a batch, on the batch's device.

    Args:
        batch: T windows of each of B slots, as :func:`dmanet.data.batches.collate` joins them.

    Returns:
        The positive and the negative pillars of all ``T * B`` frames, float32.
    """
    settings = batch.encodings[0].settings
    columns, rows = settings.grid
    device = batch.pillars.device
    packed = batch.pillars.long() & _UINT32  # [P]
    num_points = packed & COUNT_MASK  # [P]
    first_pillar = batch.offsets[:, 0]  # [2 * T * B + 1]
    segment = torch.repeat_interleave(
        torch.arange(len(first_pillar) - 1, device=device),
        first_pillar.diff(),
        output_size=len(packed),
    )  # [P]
    # Cells are sums of steps within a segment: one running sum over all, less the segment's own base.
    running = torch.nn.functional.pad((packed >> COUNT_BITS).cumsum(0), (1, 0))  # [P + 1]
    cell = running[1:] - running[first_pillar[segment]]
    frame = segment % batch.frames
    coords = torch.stack(
        [frame, cell // (rows * columns), cell // columns % rows, cell % columns], dim=1
    )  # [P, 4]

    pillar = torch.repeat_interleave(
        torch.arange(len(packed), device=device), num_points, output_size=len(batch.points)
    )  # [Q]
    first_point = num_points.cumsum(0) - num_points  # [P]
    slot = torch.arange(len(batch.points), device=device) - first_point[pillar]
    decode = _points_of_release if settings.preset == "release" else _points_of_paper
    points = torch.zeros((len(packed), settings.max_points, 3), device=device)
    points[pillar, slot] = decode(batch, coords[pillar])
    negative, positive = slice(None, batch.positive), slice(batch.positive, None)
    return (
        Pillars(points[positive], num_points[positive], coords[positive]),
        Pillars(points[negative], num_points[negative], coords[negative]),
    )


def _points_of_release(batch: PackedBatch, coords: Tensor) -> Tensor:
    """``[Q, 3]``: the cell's own column and row, and the time bin. ``coords``: ``[Q, 4]``."""
    return torch.stack([coords[:, 3], coords[:, 2], batch.points], dim=1).float()


def _points_of_paper(batch: PackedBatch, coords: Tensor) -> Tensor:
    """``[Q, 3]``: the sensor pixel in grid units, and the time. ``coords``: ``[Q, 4]``."""
    tables = _tables(batch.encodings, str(batch.points.device))
    frame = coords[:, 0]
    sensor = batch.sensor[frame]  # [Q]
    bits_x, bits_y = tables.sub_bits[sensor].unbind(1)
    packed = batch.points.long() & (_UINT16 if batch.points.dtype == torch.int16 else _UINT32)
    sub_x = packed & ((1 << bits_x) - 1)
    sub_y = packed >> bits_x & ((1 << bits_y) - 1)
    dt = packed >> (bits_x + bits_y)
    x = tables.x[sensor, tables.first_x[sensor, coords[:, 3]] + sub_x]
    y = tables.y[sensor, tables.first_y[sensor, coords[:, 2]] + sub_y]
    # Exact in float64 and rounded once: the numbers that voxelizing in floats gives.
    factor, addend, divisor = batch.encodings[0].time_scale(span=0)
    per_window = (
        divisor if batch.encodings[0].settings.time_steps else batch.spans[frame].clamp(min=1)
    )
    t = ((factor * dt.double() + addend) / per_window).float()
    return torch.stack([x, y, t], dim=1)


@dataclass(frozen=True)
class _Tables:
    """Pixels of S sensors.

    Attributes:
        sub_bits: ``[S, 2]`` int64, bits of a pixel's place in its cell along x and y.
        first_x: ``[S, columns]`` int64, first sensor column of each column of cells.
        first_y: ``[S, rows]`` int64, first sensor row of each row of cells.
        x: ``[S, widest]`` float32, grid coordinate of each sensor column; behind the last there is
            room for whatever a damaged point's bits may count beyond it.
        y: ``[S, highest]`` float32, the same of each sensor row.
    """

    sub_bits: Tensor
    first_x: Tensor
    first_y: Tensor
    x: Tensor
    y: Tensor


@lru_cache(maxsize=16)
def _tables(settings: tuple[PillarEncoding, ...], device: str) -> _Tables:
    def padded(rows: list[np.ndarray], room: int = 0) -> Tensor:
        length = max(len(row) for row in rows) + room
        return torch.from_numpy(np.stack([np.pad(r, (0, length - len(r))) for r in rows])).to(
            device
        )

    bits_x, bits_y = (max(s.sub_bits[side] for s in settings) for side in (0, 1))
    with torch.inference_mode(False):  # kept beyond the call, perhaps for a training step
        return _Tables(
            sub_bits=torch.tensor([s.sub_bits for s in settings], device=device),
            first_x=padded([s.first_pixel_of_column for s in settings]).long(),
            first_y=padded([s.first_pixel_of_row for s in settings]).long(),
            x=padded([s.x_of_pixel for s in settings], 1 << bits_x),
            y=padded([s.y_of_pixel for s in settings], 1 << bits_y),
        )
