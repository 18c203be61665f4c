"""Pictures of windows: what is where, in which colour, and that nothing breaks them."""

import numpy as np
import pytest

from dmanet.detection.found import Detections, Labels
from pipeline.errors import UsageError
from pipeline.pictures.cells import WindowCells
from pipeline.pictures.colours import (
    BOTH,
    CLASS_COLOURS,
    GROUND,
    LABEL,
    NEGATIVE,
    POSITIVE,
    class_colour,
)
from pipeline.pictures.sheet import contact_sheet
from pipeline.pictures.window import draw_window
from pipeline.release.labels import CLASS_NAMES

NO_CELLS = np.zeros((0, 2), np.int64)


def window(positive=NO_CELLS, negative=NO_CELLS, grid_size=(64, 128), sensor_size=(1280, 640)):
    return WindowCells(np.array(positive), np.array(negative), grid_size, sensor_size)


def frame(image, size):
    """The picture above its strip, as an array [height, width, 3]."""
    return np.asarray(image)[: size[1], : size[0]]


def shows(pixels, colour):
    return bool((pixels == np.array(colour)).all(axis=-1).any())


def test_cells_are_drawn_at_their_place_in_the_colour_of_their_polarity():
    cells = window(positive=[(3, 5), (100, 60)], negative=[(7, 5), (100, 60), (100, 60)])
    pixels = frame(draw_window(cells, CLASS_NAMES, width=512), (512, 256))  # 4 pixels a cell
    expected = np.full((64, 128, 3), GROUND)
    expected[5, 3], expected[5, 7], expected[60, 100] = POSITIVE, NEGATIVE, BOTH
    np.testing.assert_array_equal(pixels, expected.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize("sensor", [(1280, 720), (640, 480), (304, 240)])
def test_picture_has_the_aspect_of_the_sensor_and_a_strip(sensor):
    image = draw_window(window(grid_size=(512, 512), sensor_size=sensor), CLASS_NAMES, width=640)
    frame_height = round(640 * sensor[1] / sensor[0])
    assert image.size[0] == 640
    assert frame_height < image.size[1] < frame_height + 40


def test_detections_have_the_colour_of_their_class_and_labels_are_dashed_white():
    boxes = np.array([[20, 20, 60, 50]], np.float32)
    for class_index in range(len(CLASS_NAMES)):
        found = Detections(boxes, np.array([0.87], np.float32), np.array([class_index]))
        pixels = frame(draw_window(window(), CLASS_NAMES, found, width=512), (512, 256))
        # 4 pixels a cell: the right edge of the box is at x = 240.
        edge = pixels[100:180, 238:243].reshape(-1, 3)
        assert shows(edge, CLASS_COLOURS[class_index])
        assert not shows(edge, LABEL)

    labels = Labels(boxes, np.array([2]))
    pixels = frame(draw_window(window(), CLASS_NAMES, labels=labels, width=512), (512, 256))
    edge = (pixels[84:196, 240] == LABEL).all(axis=-1)
    assert 0.3 < edge.mean() < 0.8  # dashes and gaps


def test_the_name_and_score_are_written_at_the_box():
    """The tag is a filled rectangle above the box; it is wider for a longer name."""
    boxes = np.array([[40, 30, 80, 50]], np.float32)
    widths = []
    for class_index in (2, 1):  # car, two wheeler
        found = Detections(boxes, np.array([0.5], np.float32), np.array([class_index]))
        pixels = frame(draw_window(window(), CLASS_NAMES, found, width=512), (512, 256))
        above = pixels[100:118]
        filled = (above == CLASS_COLOURS[class_index]).all(axis=-1).any(axis=0)
        assert filled.any()
        widths.append(filled.sum())
    assert widths[1] > widths[0]


def test_boxes_at_and_over_the_border_stay_in_the_picture():
    boxes = np.array([[-9, -9, 500, 500], [127.9, 63.9, 128, 64], [0, 0, 0, 0]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 1, 2]))
    image = draw_window(window(), CLASS_NAMES, found, Labels(boxes, np.array([3, 4, 5])), width=320)
    assert shows(frame(image, (320, 160)), CLASS_COLOURS[0])


def test_drawing_is_repeatable_and_empty_lists_draw_like_none():
    empty = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    no_labels = Labels(np.zeros((0, 4), np.float32), np.zeros(0, int))
    first = draw_window(window(), CLASS_NAMES)
    second = draw_window(window(), CLASS_NAMES, empty, no_labels)
    assert first.tobytes() == second.tobytes()


def test_caption_is_written_and_cut_where_it_does_not_fit():
    plain = draw_window(window(), CLASS_NAMES, width=640)
    short = draw_window(window(), CLASS_NAMES, caption="window 3", width=640)
    long = draw_window(window(), CLASS_NAMES, caption="a long name " * 40, width=640)
    assert plain.size == short.size == long.size
    assert plain.tobytes() != short.tobytes()
    key = np.asarray(plain)[320:, 400:]  # the key at the right is never written over
    np.testing.assert_array_equal(np.asarray(long)[320:, 400:], key)


def test_sheet_places_pictures_row_by_row():
    pictures = [draw_window(window([(k, k)]), CLASS_NAMES, width=256) for k in range(5)]
    sheet = contact_sheet(pictures, columns=2)
    width, height = pictures[0].size
    assert sheet.size[0] < 2 * width + 20
    assert 3 * height < sheet.size[1] < 3 * height + 40
    gap = (sheet.size[0] - 2 * width) // 3
    for k, picture in enumerate(pictures):
        left, top = gap + k % 2 * (width + gap), gap + k // 2 * (height + gap)
        part = sheet.crop((left, top, left + width, top + height))
        assert part.tobytes() == picture.tobytes()


def test_sheet_of_one_picture_is_one_column_wide():
    picture = draw_window(window(), CLASS_NAMES, width=256)
    assert contact_sheet([picture], columns=4).size[0] < 2 * 256


@pytest.mark.parametrize(("count", "columns"), [(0, 3), (1, 0)])
def test_sheet_of_nothing_is_refused(count, columns):
    with pytest.raises(UsageError, match="contact sheet"):
        contact_sheet([draw_window(window(), CLASS_NAMES, width=256)] * count, columns)


def test_a_class_keeps_its_colour_when_only_some_classes_are_kept():
    found = Detections(
        np.array([[4, 4, 40, 24]], np.float32), np.array([0.9], np.float32), np.array([0])
    )
    pixels = frame(draw_window(window(), ("car",), found, width=512), (512, 256))
    assert shows(pixels, CLASS_COLOURS[CLASS_NAMES.index("car")])


def test_classes_of_other_data_sets_have_colours_of_their_own():
    names = ("pedestrian", "vehicle", "micro-mobility")
    colours = [class_colour(name, names) for name in names]
    assert colours[0] == class_colour("pedestrian")
    assert len(set(colours)) == 3
    many = [f"class {k}" for k in range(255)]
    assert {class_colour(name, many) for name in many} == set(CLASS_COLOURS)
