"""Augmentation: decoded windows and their boxes under random transforms, on the batch's device.

Every frame with the same draw gets the same transform, so a sequence is transformed as one scene and
memory carried along a stream never sees it jump. All randomness comes from ``batch.draws``: a sample
is augmented the same way on every device, in any batch and after every resume.

What a transform gives is what encoding the transformed events would have given, as far as the cache
still knows them:

* Events move from pixel to pixel, then into cells: pixels of the sensor in preset `paper`, in preset
  `release` cells, as it keeps no more of where an event was. So on a grid that does not divide the
  sensor (512 of 1280) a flip regroups the points of preset `paper`, and mirrors those of `release`.
* Equal to the pillars of the transformed events where the cache had room for all (no pillar was full,
  no polarity reached ``max_pillars``) and no two events that meet share a stored time, of which
  preset `release` has few. A flip on a grid that divides the sensor, and a swap of polarities, are
  equal always.
* Times stay what they were in the whole window, also where its first or last event leaves the frame;
  ``max_pillars`` is not applied again; a polarity that loses all its events stays empty.
* Enlarging draws pixels apart. Where they become larger than cells (in preset `release` always) empty
  rows and columns come between them; and objects that the label rules left out for their size are
  enlarged without getting a box.

There is no augmentation of time. Windows are not played backwards: of the events at a pixel or cell
only the earliest are kept, in reverse those would be the ones thrown away, and state runs forward.
Nor are they stretched: a window's times are scaled to its own span, so its speed is what its number
of events says. Samples that begin at any window already vary the phase.
"""

import torch
from torch import Tensor

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.batches import PackedBatch
from dmanet.data.frame_transforms import FrameTransforms, draw_transforms
from dmanet.data.regrouping import Pixels, flip_cells, regroup, swap_polarities
from dmanet.detection.boxes import clip_boxes
from dmanet.detection.losses import Targets
from dmanet.models.pillar_net import Pillars


def augment(
    positive: Pillars,
    negative: Pillars,
    targets: Targets,
    batch: PackedBatch,
    settings: AugmentationSettings,
    grid_size: tuple[int, int],
) -> tuple[Pillars, Pillars, Targets]:
    """The batch's pillars and boxes under the transforms that ``batch.draws`` stands for.

    The arguments are left as they are; with settings that change nothing they are what is returned.

    Args:
        positive: what :func:`dmanet.data.unpacking.decode_batch` makes of ``batch``.
        negative: the same of the other polarity.
        targets: the batch's boxes; on one device with the pillars and the batch.
        batch: as it was read.
        settings: which transforms there are.
        grid_size: the canvas's height and width in cells.

    Returns:
        Positive pillars, negative pillars, and boxes.
    """
    if not (settings.flip or settings.swap_polarity or settings.moves):
        return positive, negative, targets
    transforms = draw_transforms(
        batch.draws, settings.flip, settings.swap_polarity, settings.zoom, settings.shift
    )
    sensors = [encoding.sensor for encoding in batch.encodings]
    sensor = torch.tensor(sensors, device=batch.draws.device)[batch.sensor]  # [N, 2]
    encoding = batch.encodings[0]
    if encoding.settings.preset == "release":
        pixels = Pixels(sensor.new_tensor(encoding.settings.grid).expand_as(sensor), grid_size)
        whole_pixels = True
    else:
        pixels = Pixels(sensor, grid_size)
        whole_pixels = all(width % grid_size[1] == 0 for width, _ in sensors)
    if settings.moves or (settings.flip and not whole_pixels):
        deduplicated = encoding.settings.preset == "release" or encoding.settings.dedup == "pixel"
        positive, negative = regroup(
            positive,
            negative,
            transforms,
            pixels,
            # Enlarging never brings two pixels together.
            one_per_pixel=deduplicated and settings.zoom[0] < 1,
        )
    else:
        if settings.flip:
            positive = flip_cells(positive, transforms.flip, pixels)
            negative = flip_cells(negative, transforms.flip, pixels)
        if settings.swap_polarity:
            positive, negative = swap_polarities(positive, negative, transforms.swap)
    return positive, negative, transform_targets(targets, transforms, sensor, settings, grid_size)


def transform_targets(
    targets: Targets,
    transforms: FrameTransforms,
    sensor: Tensor,
    settings: AugmentationSettings,
    grid_size: tuple[int, int],
) -> Targets:
    """Boxes moved with their frames, cut to the canvas, and dropped where too little is left.

    A box that became smaller (by the zoom or the cut) is held to the least side and diagonal; one
    that did not stays, whatever its size. Computed in float64 and rounded once.

    Args:
        targets: boxes of all frames, in grid units.
        transforms: of the N frames.
        sensor: ``[N, 2]`` int64, each frame's width and height in pixels.
        settings: the least side, diagonal and visible share.
        grid_size: the canvas's height and width in cells.
    """
    grid = targets.boxes.new_tensor(grid_size[::-1], dtype=torch.float64)  # [2]
    before = targets.boxes.double()
    moved = transforms.place_boxes(before, targets.frame, grid)
    visible = clip_boxes(moved, grid_size)
    side = _sides(visible)  # [K, 2] cells
    keep = (side > 0).all(dim=1) & (
        side.prod(dim=1) >= settings.min_visible * _sides(moved).prod(dim=1)
    )
    to_pixels = sensor[targets.frame] / grid  # [K, 2]
    side, side_before = side * to_pixels, _sides(before) * to_pixels
    shortest = torch.where(side < side_before, side, torch.inf).amin(dim=1)
    diagonal = torch.linalg.vector_norm(side, dim=1)
    shrunk = diagonal < torch.linalg.vector_norm(side_before, dim=1)
    keep &= (shortest >= settings.min_side) & (~shrunk | (diagonal >= settings.min_diagonal))
    return Targets(visible[keep].float(), targets.classes[keep], targets.frame[keep])


def _sides(boxes: Tensor) -> Tensor:
    """Width and height of boxes ``[K, 4]``: ``[K, 2]``."""
    return boxes[:, 2:] - boxes[:, :2]
