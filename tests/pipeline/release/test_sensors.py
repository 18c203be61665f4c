import json
import os

import pytest

from pipeline.errors import DataError
from pipeline.release.sensors import SENSOR_FILE, read_sensors, write_sensor, write_sensors


def test_a_release_without_the_file_states_no_size(tmp_path):
    assert read_sensors(tmp_path) == {}


def test_sizes_written_one_after_the_other_are_all_there(tmp_path):
    root = tmp_path / "release"
    write_sensor(root, "train/trainfilelist00/a", (640, 480))
    write_sensors(root, {"test/testfilelist00/b": (1280, 720)})
    write_sensor(root, "train/trainfilelist00/a", (320, 240))
    assert read_sensors(root) == {
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
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [1 << 15, 480]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": [True, 480]}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {"a": {"0": 1, "1": 2}}}),
        json.dumps({"format": "dmanet-release", "version": True, "sensor": {}}),
        json.dumps({"format": "dmanet-release", "version": 1, "sensor": {}, "more": 1}),
        json.dumps({"format": "dmanet-release", "version": 1}),
        '{"format": "dmanet-release", "version": 1, "sensor": {"a": [1, 1], "a": [2, 2]}}',
        "[" * 100_000,
    ],
)
def test_a_malformed_file_is_one_sentence_that_names_it(tmp_path, text):
    (tmp_path / SENSOR_FILE).write_text(text)
    with pytest.raises(DataError, match=SENSOR_FILE) as caught:
        read_sensors(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_not_waited_for_and_a_machine_error_passes(tmp_path):
    os.mkfifo(tmp_path / SENSOR_FILE)
    with pytest.raises(DataError, match="is a pipe"):
        read_sensors(tmp_path)
    (tmp_path / SENSOR_FILE).unlink()
    (tmp_path / SENSOR_FILE).symlink_to(SENSOR_FILE)
    with pytest.raises(OSError, match="symbolic"):
        read_sensors(tmp_path)
