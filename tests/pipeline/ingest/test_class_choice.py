import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.ingest.class_choice import DLUT_CHOICE, choose_classes
from pipeline.release.classes import CLASS_MAPS, DLUT, MOST_CLASSES, ClassMap
from pipeline.release.shards import LABEL_DTYPE


def boxes(*numbers: int) -> np.ndarray:
    found = np.zeros(len(numbers), LABEL_DTYPE)
    found["class_id"], found["track_id"] = numbers, np.arange(len(numbers))
    return found


def test_without_a_wish_every_box_stays_as_it_is():
    assert choose_classes(DLUT) == DLUT_CHOICE
    every = boxes(*range(256))
    np.testing.assert_array_equal(DLUT_CHOICE.apply(every), every)


def test_a_merged_class_is_gone_and_its_boxes_are_those_of_the_other():
    choice = choose_classes(DLUT, [("bus", "truck"), ("traffic_sign", "traffic light")])
    assert choice.class_map.classes == (
        *("pedestrian", "two wheeler", "car", "truck", "traffic light"),
    )
    assert choice.class_map.min_side == DLUT.min_side
    assert choice.apply(boxes(0, 1, 2, 3, 4, 5, 6, 7))["class_id"].tolist() == [
        *(0, 1, 2, 3, 3, 4, 4, 7)
    ]


def test_boxes_of_classes_that_were_not_chosen_go_and_those_of_none_stay_wrong():
    choice = choose_classes(DLUT, [("bus", "truck")], ["truck", "car"])
    assert choice.class_map.classes == ("car", "truck")
    found = choice.apply(boxes(4, 0, 2, 7, 255, 3))
    assert found["class_id"].tolist() == [1, 0, 7, 255, 1]
    assert found["track_id"].tolist() == [0, 2, 3, 4, 5]
    assert all(number >= 2 for number in choice.apply(boxes(*range(7, 256)))["class_id"])


def test_what_is_given_is_not_changed():
    every = boxes(0, 1)
    choose_classes(CLASS_MAPS["gen1"], [("car", "pedestrian")]).apply(every)
    assert every["class_id"].tolist() == [0, 1]


def test_of_255_classes_the_last_number_is_none():
    many = ClassMap(name="many", classes=tuple(f"c{k}" for k in range(MOST_CLASSES)))
    assert choose_classes(many).apply(boxes(254, 255))["class_id"].tolist() == [254, 255]


@pytest.mark.parametrize(
    ("merged", "kept"),
    [
        ([("tram", "bus")], None),
        ([("bus", "tram")], None),
        ([("bus", "bus")], None),
        ([("bus", "truck"), ("bus", "car")], None),
        ([("bus", "truck"), ("truck", "car")], None),
        ([("truck", "car"), ("bus", "truck")], None),
        ([("bus", "truck")], ["bus"]),
        ([], ["tram"]),
        ([], ["car", "Car"]),
    ],
)
def test_a_choice_that_contradicts_itself_is_refused(merged, kept):
    with pytest.raises(UsageError):
        choose_classes(DLUT, merged, kept)
