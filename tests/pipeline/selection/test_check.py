import os

import pytest

from pipeline.release.classes import CLASS_MAPS
from pipeline.release.sensors import write_sensor, write_sensors
from pipeline.selection.check import check_files
from pipeline.selection.scan import scan_release
from tests.pipeline.sound_recordings import write_recording


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "release"
    write_recording(root, "train/trainfilelist00/a", count=15)
    write_recording(root, "test/testfilelist00/b", count=5)
    return root


def test_a_sound_release_has_no_fault_and_every_byte_is_counted(release):
    manifest = scan_release(release)
    seen = []
    assert list(check_files(manifest, release, seen.append)) == []
    assert sum(seen) == manifest.totals.bytes


def test_a_recording_that_states_no_sensor_has_that_of_its_class_map(release):
    write_sensors(release, {}, CLASS_MAPS["gen1"])
    manifest = scan_release(release)
    assert {row.sensor for row in manifest.recordings} == {(304, 240)}
    assert list(check_files(manifest, release)) == []


def test_each_wrong_file_is_one_sentence_and_no_other_is_named(release):
    manifest = scan_release(release)
    files = sorted(release.rglob("*.npz"))
    flipped, longer, gone, pipe = files[0], files[1], files[2], files[3]
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 16
    flipped.write_bytes(data)
    longer.write_bytes(longer.read_bytes() + b"x")
    gone.unlink()
    pipe.unlink()
    os.mkfifo(pipe)
    lines = list(check_files(manifest, release))
    assert sorted(line.split(": ")[0] for line in lines) == sorted(
        map(str, (flipped, longer, gone, pipe))
    )
    said = {line.split(": ")[0]: line.split(": ", 1)[1] for line in lines}
    assert "SHA-256" in said[str(flipped)]
    assert "and should have" in said[str(longer)]
    assert said[str(gone)] == "is missing."
    assert "is a pipe" in said[str(pipe)]


def test_another_sensor_is_a_fault(release):
    manifest = scan_release(release)
    write_sensor(release, "test/testfilelist00/b", (640, 480))
    assert list(check_files(manifest, release)) == [
        "test/testfilelist00/b: its sensor is 640x480 and should be 1280x720."
    ]


def test_what_was_not_scanned_need_only_be_there(release):
    manifest = scan_release(release, labels_only=True)
    events = sorted(release.rglob("ev001.npz"))
    events[0].write_bytes(bytes(events[0].stat().st_size))  # of the size that was seen
    events[1].unlink()
    (line,) = check_files(manifest, release)
    assert line == f"{events[1]}: is missing."
