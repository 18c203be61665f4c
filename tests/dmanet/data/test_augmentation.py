"""Boxes under transforms, and what holds for pillars and boxes together."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from dmanet.data.augmentation import AugmentationSettings, augment, transform_targets
from dmanet.data.batches import collate
from dmanet.data.frame_transforms import ONE, FrameTransforms
from dmanet.data.unpacking import decode_batch
from dmanet.detection.losses import Targets
from pipeline.errors import SettingsError
from pipeline.release.labels import LabelRules, apply_label_rules
from pipeline.release.shards import LABEL_DTYPE
from pipeline.settings import load_settings
from tests.dmanet.caches import GRID, LONG, SMALL, TEST_A

EVERYTHING = AugmentationSettings(flip=0.5, swap_polarity=0.5, zoom=(0.5, 1.6), shift=0.2)
SENSOR = (1280, 720)
NETWORK = (512, 512)


def one_frame(flip=False, zoom=ONE, shift=(0, 0)):
    return FrameTransforms(
        torch.tensor([flip]), torch.tensor([False]), torch.tensor([zoom]), torch.tensor([shift])
    )


def moved(boxes, transforms, settings=None, grid=NETWORK):
    """Boxes of one frame, transformed; each box has its row as its class."""
    targets = Targets(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.arange(len(boxes)),
        torch.zeros(len(boxes), dtype=torch.int64),
    )
    settings = settings or AugmentationSettings()
    sensor = torch.tensor([SENSOR])
    found = transform_targets(targets, transforms, sensor, settings, grid[::-1])
    assert found.boxes.dtype == torch.float32
    assert len(found.boxes) == len(found.classes) == len(found.frame)
    return dict(zip(found.classes.tolist(), found.boxes.tolist(), strict=True))


@st.composite
def label_records(draw):
    """Labels that survive the release's rules."""
    count = draw(st.integers(0, 5))
    labels = np.zeros(count, LABEL_DTYPE)
    for name, low, high in (("x", -50, 1200), ("y", -50, 650), ("w", 60, 1280), ("h", 60, 720)):
        labels[name] = draw(st.lists(st.integers(low, high), min_size=count, max_size=count))
    return labels


@given(label_records())
def test_flipped_boxes_are_those_of_flipped_labels_and_none_is_lost(labels):
    rules = LabelRules()
    mirrored = labels.copy()
    mirrored["x"] = SENSOR[0] - labels["x"] - labels["w"]
    before, expected = apply_label_rules(labels, rules), apply_label_rules(mirrored, rules)
    assert before.rows.tolist() == expected.rows.tolist()
    found = moved(before.boxes, one_frame(flip=True))
    assert list(found) == list(range(len(expected.boxes)))
    for row, box in found.items():
        # Both are rounded to float32 once, from numbers that differ by the first rounding.
        np.testing.assert_allclose(box, expected.boxes[row], rtol=0, atol=1e-4)


def test_a_flip_back_gives_the_same_boxes_whatever_their_size():
    """Sizes are held against the least ones only where a transform made them smaller."""
    boxes = [[0, 0, 8, 14.25], [3, 5, 4, 6], [100.5, 20.25, 100.75, 300], [0, 0, 512, 512]]
    once = moved(boxes, one_frame(flip=True))
    assert moved(list(once.values()), one_frame(flip=True)) == dict(enumerate(boxes))


@given(
    box=st.tuples(*[st.integers(0, 512 * 16)] * 4),
    flip=st.booleans(),
    zoom=st.integers(ONE // 4, 4 * ONE),
    shift=st.tuples(*[st.integers(-ONE // 2, ONE // 2)] * 2),
    min_visible=st.sampled_from([0.0, 0.25, 0.6, 1.0]),
    min_side=st.sampled_from([0.0, 20.0, 100.0]),
    min_diagonal=st.sampled_from([0.0, 60.0, 200.0]),
)
def test_boxes_equal_exact_fractions(box, flip, zoom, shift, min_visible, min_side, min_diagonal):
    x1, x2, y1, y2 = (Fraction(v, 16) for v in (*sorted(box[:2]), *sorted(box[2:])))
    assume(x1 < x2 and y1 < y2)
    settings = AugmentationSettings(
        min_visible=min_visible, min_side=min_side, min_diagonal=min_diagonal
    )
    found = moved([[float(v) for v in (x1, y1, x2, y2)]], one_frame(flip, zoom, shift), settings)

    side = 512
    if flip:
        x1, x2 = side - x2, side - x1
    place = [
        Fraction(zoom, ONE) * (v - side // 2) + side // 2 + Fraction(by, ONE) * side
        for v, by in zip((x1, y1, x2, y2), shift * 2, strict=True)
    ]
    cut = [min(max(v, Fraction(0)), Fraction(side)) for v in place]
    width, height = cut[2] - cut[0], cut[3] - cut[1]
    share = width * height / ((place[2] - place[0]) * (place[3] - place[1]))
    # What is left and what it was, along x and y and diagonally, in squared sensor pixels.
    pixels = [Fraction(n, side) for n in SENSOR]
    left = [(s * p) ** 2 for s, p in zip((width, height), pixels, strict=True)]
    was = [(s * p) ** 2 for s, p in zip((x2 - x1, y2 - y1), pixels, strict=True)]
    margins = [share - Fraction(min_visible)]
    keep = width > 0 and height > 0 and share >= Fraction(min_visible)
    for now, before, least in (
        (left[0], was[0], min_side),
        (left[1], was[1], min_side),
        (sum(left), sum(was), min_diagonal),
    ):
        margins += [now - Fraction(least) ** 2]
        keep &= now >= before or now >= Fraction(least) ** 2
    assume(all(margin == 1 - Fraction(min_visible) or abs(margin) > 1e-6 for margin in margins))
    assert bool(found) == keep
    if keep:
        np.testing.assert_allclose(found[0], [float(v) for v in cut], rtol=1e-6, atol=1e-6)


def test_boxes_leave_when_too_little_of_them_is_seen():
    settings = AugmentationSettings(min_visible=0.25)
    boxes = [[0, 100, 100, 300], [300, 100, 400, 300]]
    assert moved(boxes, one_frame(shift=(-int(ONE * 74 / 512), 0)), settings).keys() == {0, 1}
    assert moved(boxes, one_frame(shift=(-int(ONE * 77 / 512), 0)), settings).keys() == {1}
    assert moved(boxes, one_frame(shift=(-ONE // 2, 0)), settings).keys() == {1}


def test_boxes_made_too_small_leave():
    boxes = [[200, 200, 212, 300], [200, 200, 220, 300]]  # 30 and 50 pixels wide
    assert moved(boxes, one_frame(zoom=ONE // 2)).keys() == {1}
    assert moved(boxes, one_frame(zoom=ONE // 2), AugmentationSettings(min_side=0)).keys() == {0, 1}


def draws(batch, values):
    return replace(batch, draws=torch.tensor(values).repeat(batch.steps))


def run(batch, settings):
    return augment(*decode_batch(batch), batch.targets, batch, settings, GRID[::-1])


def frames(result, keep):
    """Pillars and boxes of the frames that ``keep`` renumbers, as sorted rows."""
    positive, negative, targets = result
    rows = []
    for polarity, pillars in enumerate((negative, positive)):
        for coords, count, points in zip(
            pillars.coords.tolist(), pillars.num_points.tolist(), pillars.points, strict=True
        ):
            if coords[0] in keep:
                rows.append(
                    (polarity, keep[coords[0]], *coords[1:], count, *points.flatten().tolist())
                )
    boxes = [
        (keep[frame], *box, kind)
        for frame, box, kind in zip(
            targets.frame.tolist(), targets.boxes.tolist(), targets.classes.tolist(), strict=True
        )
        if frame in keep
    ]
    return sorted(rows), sorted(boxes)


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_a_sample_is_augmented_the_same_in_any_batch(cache, paper_cache, preset):
    chosen = {"release": cache, "paper": paper_cache}[preset]
    one, other = chosen.recording(LONG).read(0, 3), chosen.recording(SMALL).read(4, 7)
    alone = run(draws(collate([one]), [17]), EVERYTHING)
    beside = run(draws(collate([other, one]), [4, 17]), EVERYTHING)
    expected = frames(alone, {0: 0, 1: 1, 2: 2})
    assert all(expected)
    assert frames(beside, {1: 0, 3: 1, 5: 2}) == expected


@pytest.mark.parametrize("draw", [2, 3, 5])
def test_every_frame_of_a_sequence_gets_one_transform(cache, draw):
    """The same window at every step comes out the same at every step."""
    window = cache.recording(TEST_A).read(3, 4)
    batch = draws(collate([window] * 3), [draw] * 3)
    result = run(batch, EVERYTHING)
    steps = [frames(result, {step: 0}) for step in range(3)]
    assert len(steps[0][0]) > 50
    assert steps[0] == steps[1] == steps[2]


def test_different_draws_differ(cache):
    window = cache.recording(TEST_A).read(3, 4)
    result = run(draws(collate([window] * 3), [1, 2, 3]), EVERYTHING)
    first, second, third = (frames(result, {step: 0})[0] for step in range(3))
    assert first != second != third != first


def test_a_flipped_box_holds_the_flipped_events(cache):
    """Cells are mirrored as boxes are: none lies on the other side of an edge afterwards."""
    batch = draws(collate([cache.recording(LONG).read(0, 1)]), [1])
    batch = replace(
        batch,
        targets=Targets(torch.tensor([[10.0, 5, 31, 50]]), torch.tensor([2]), torch.tensor([0])),
    )
    settings = AugmentationSettings(flip=1)
    (before, _), (after, _, targets) = decode_batch(batch), run(batch, settings)

    def inside(pillars, box):
        x1, y1, x2, y2 = box
        y, x = pillars.coords[:, 2] + 0.5, pillars.coords[:, 3] + 0.5
        return int(((x > x1) & (x < x2) & (y > y1) & (y < y2)).sum())

    assert targets.boxes.tolist() == [[GRID[0] - 31, 5, GRID[0] - 10, 50]]
    assert targets.classes.tolist() == [2]
    held = inside(before, batch.targets.boxes[0])
    assert held > 10
    assert inside(after, targets.boxes[0]) == held


def test_augmentation_is_off_by_default(cache):
    batch = collate([cache.recording(LONG).read(0, 2)])
    positive, negative = decode_batch(batch)
    result = augment(positive, negative, batch.targets, batch, AugmentationSettings(), GRID[::-1])
    assert result[0] is positive
    assert result[1] is negative
    assert result[2] is batch.targets


@pytest.mark.parametrize("preset", ["release", "paper"])
@pytest.mark.parametrize(
    "settings", [EVERYTHING, AugmentationSettings(flip=1, swap_polarity=1)], ids=["all", "flip"]
)
def test_the_arguments_are_left_as_they_are(cache, paper_cache, preset, settings):
    chosen = {"release": cache, "paper": paper_cache}[preset]
    batch = draws(collate([chosen.recording(LONG).read(0, 2)]), [9])
    given_pillars, again = decode_batch(batch), decode_batch(batch)
    boxes = batch.targets.boxes.clone()
    augment(*given_pillars, batch.targets, batch, settings, GRID[::-1])
    assert torch.equal(batch.targets.boxes, boxes)
    for pillars, expected in zip(given_pillars, again, strict=True):
        for name, values in vars(pillars).items():
            assert torch.equal(values, vars(expected)[name])


def test_a_batch_without_pillars_or_boxes_stays_empty(cache):
    batch = draws(collate([cache.recording(LONG).read(13, 14)]), [1])
    batch = replace(batch, targets=Targets(*(v[:0] for v in vars(batch.targets).values())))
    for settings in (EVERYTHING, AugmentationSettings(flip=1, swap_polarity=1)):
        positive, negative, targets = run(batch, settings)
        assert positive.points.shape == negative.points.shape == (0, 3, 3)
        assert positive.coords.shape == (0, 4)
        assert targets.boxes.shape == (0, 4)


@pytest.mark.parametrize("zoom", [[1.5, 1.2], [0.1, 1.0], [1.0, 5.0]])
def test_a_zoom_range_that_is_none_is_one_clear_sentence(zoom):
    with pytest.raises(
        SettingsError, match=r"made up: zoom .* must be a lower and an upper factor"
    ):
        load_settings(AugmentationSettings, {"zoom": zoom}, "made up")
