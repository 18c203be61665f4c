import json
import os

import pytest

from pipeline.errors import DataError, UsageError
from pipeline.release.classes import CLASS_MAPS, DLUT
from pipeline.release.sensors import (
    SENSOR_FILE,
    check_class_map,
    read_release,
    write_sensor,
    write_sensors,
)

A, GEN1 = "train/trainfilelist00/a", CLASS_MAPS["gen1"]


def test_a_release_without_the_file_states_no_size(tmp_path):
    assert read_release(tmp_path).sensors == {}


def test_sizes_written_one_after_the_other_are_all_there(tmp_path):
    root = tmp_path / "release"
    write_sensor(root, "train/trainfilelist00/a", (640, 480))
    write_sensors(root, {"test/testfilelist00/b": (1280, 720)})
    write_sensor(root, "train/trainfilelist00/a", (320, 240))
    assert read_release(root).sensors == {
        "train/trainfilelist00/a": (320, 240),
        "test/testfilelist00/b": (1280, 720),
    }
    assert [path.name for path in root.iterdir()] == [SENSOR_FILE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "not json",
        json.dumps({"format": "dmanet-release", "version": 2, "sensor": {}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [640]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [640, -1]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": ["640", 480]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [True, 480]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": [], "more": 1}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": []}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [16385, 1]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [16384, 16384]}}),
        '{"format": "dmanet-release", "version": 1, "sensor": {"a": [1, 1], "a": [2, 2]}}',
        '{"format": "dmanet-release", "version": 1, "sensor": {}, "class_map": null}',
        '{"format": "dmanet-release", "version": 1, "sensor": {}, "class_map": {"name": "a"}}',
        '{"format": "dmanet-release", "version": 1, "sensor": {}, "class_map": {"name": "a", '
        '"classes": ["b"], "more": 1}}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_malformed_file_is_one_sentence_that_names_it(tmp_path, text):
    (tmp_path / SENSOR_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=SENSOR_FILE) as caught:
        read_release(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_link_to_nowhere_or_a_pipe_is_not_taken_for_no_file(tmp_path):
    (tmp_path / SENSOR_FILE).symlink_to("a disk that is not there")
    with pytest.raises(FileNotFoundError):
        read_release(tmp_path)
    (tmp_path / SENSOR_FILE).unlink()
    os.mkfifo(tmp_path / SENSOR_FILE)
    with pytest.raises(UsageError, match="is a pipe"):
        read_release(tmp_path)


def test_the_classes_of_the_dlut_go_without_saying_as_before(tmp_path):
    assert read_release(tmp_path).class_map == DLUT
    write_sensor(tmp_path, A, (640, 480))
    assert json.loads((tmp_path / SENSOR_FILE).read_text()).keys() == {
        *("format", "version", "sensor")
    }
    assert read_release(tmp_path).class_map == DLUT


def test_other_classes_are_kept_and_give_the_size_that_is_not_stated(tmp_path):
    write_sensor(tmp_path, A, (64, 48), GEN1)
    facts = read_release(tmp_path)
    assert facts.class_map == GEN1
    assert facts.sensor_of(A) == (64, 48)
    assert facts.sensor_of("train/trainfilelist00/b") == (304, 240)


@pytest.mark.parametrize(("first", "second"), [(GEN1, DLUT), (DLUT, GEN1)])
def test_a_release_keeps_to_one_class_map(tmp_path, first, second):
    check_class_map(tmp_path, second)
    write_sensor(tmp_path, A, (64, 48), first)
    before = (tmp_path / SENSOR_FILE).read_bytes()
    with pytest.raises(UsageError, match=f"classes are those of {first.name} "):
        write_sensor(tmp_path, A, (64, 48), second)
    with pytest.raises(UsageError, match=f"mixed with those of {second.name} "):
        check_class_map(tmp_path, second)
    check_class_map(tmp_path, first)
    assert (tmp_path / SENSOR_FILE).read_bytes() == before


def test_recordings_without_the_file_have_the_classes_of_the_dlut(tmp_path):
    (tmp_path / A).mkdir(parents=True)
    check_class_map(tmp_path, DLUT)
    with pytest.raises(UsageError, match="choose another folder"):
        check_class_map(tmp_path, GEN1)
