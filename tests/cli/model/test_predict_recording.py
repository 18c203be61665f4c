"""`dmanet predict` on raw recordings: the boxes of the long way, as a video, files, and as they come."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.data import main as data
from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.digests import content_digest
from pipeline.exchange.formats import load_boxes
from tests.cli.model.commands import refused, run
from tests.pipeline.voxelizing.test_live import recorded, write


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """A recording of 58 slots, three of them empty."""
    path = write(tmp_path_factory.mktemp("raw") / "drive.evt3", recorded(windows=58))
    return path.rename(path.with_suffix(".raw"))


@pytest.fixture(scope="module")
def recording_cache(raw, cache, tmp_path_factory) -> Path:
    """The recording in a cache of the training cache's settings."""
    folder = tmp_path_factory.mktemp("long_way")
    options = ("--grid", "96x64", "--max-points", "3", "--classes", "pedestrian,car,traffic sign")
    for arguments in (
        ("ingest", raw, folder / "release", "--split", "test", "--quiet"),
        ("voxelize", folder / "release", folder / "cache", *options, "--quiet"),
    ):
        data([str(a) for a in arguments], standalone_mode=False)
    return folder / "cache"


def predict(source, trained, *arguments) -> str:
    result = run("predict", source, "--checkpoint", trained, *arguments, "--device", "cpu")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_boxes_are_those_of_ingest_voxelize_and_predict(
    raw, recording_cache, trained, tmp_path: Path
):
    score = ("--score", 0.01)
    predict(recording_cache, trained, *score, "--pictures", 0, "-o", tmp_path / "long")
    expected = np.load(tmp_path / "long/test/testfilelist00/drive_bbox.npy")
    told = predict(raw, trained, *score, "--save", tmp_path / "short.npy")
    found = np.load(tmp_path / "short.npy")
    assert told == f"{tmp_path / 'short.npy'}: {len(found)} boxes in 45 windows\n"
    assert len(expected) > 100
    ended = expected["t"].max()  # ingest throws away the windows that fill no shard
    assert found[found["t"] <= ended].tobytes() == expected.tobytes()
    assert len(found) > len(expected)


def test_a_cache_and_its_recording_are_saved_alike_in_every_format(
    raw, recording_cache, trained, tmp_path: Path
):
    score = ("--score", 0.02, "--steps", 5)
    for name in ("boxes.json", "boxes.h5", "yolo"):
        predict(raw, trained, *score, "--windows", "5:20", "--save", tmp_path / f"raw_{name}")
        (short,) = load_boxes(tmp_path / f"raw_{name}").recordings
        span = ("--recording", "test/testfilelist00/drive", "--windows", "5:20")
        predict(recording_cache, trained, *score, *span, "--save", tmp_path / f"cache_{name}")
        saved = load_boxes(tmp_path / f"cache_{name}")
        (long,) = saved.recordings
        assert saved.scored
        assert saved.class_names[2] == "car"
        assert (short.name, long.name) == ("drive", "test/testfilelist00/drive")
        assert short.numbers.tolist() == list(range(5, 20))
        assert short.sensor == (64, 48)
        assert len(short.boxes) > 20
        for column in ("numbers", "times", "window", "boxes"):
            assert getattr(short, column).tobytes() == getattr(long, column).tobytes()


def test_a_video_has_a_frame_for_each_window(raw, recording_cache, trained, tmp_path: Path):
    av = pytest.importorskip("av")
    predict(raw, trained, "-o", tmp_path / "drive.mp4", "--save", tmp_path / "drive.npy")
    one = ("--recording", "test/testfilelist00/drive", "--windows", "0:7")
    predict(recording_cache, trained, *one, "-o", tmp_path / "cache.mp4")
    for name, windows in (("drive.mp4", 45), ("cache.mp4", 7)):
        with av.open(str(tmp_path / name)) as video:
            (stream,) = video.streams.video
            assert stream.average_rate == 20
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
        assert len(frames) == windows
        assert np.abs(frames[0].astype(int) - frames[-1]).max() > 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache.mp4", "drive.mp4", "drive.npy"]


def follow(raw: Path, trained: Path, save: Path, *more: object) -> subprocess.Popen:
    arguments = ["predict", raw, "--checkpoint", trained, "--save", save, "--follow", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, arguments), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_open(program: subprocess.Popen, path: Path) -> None:
    """Until a program has a file open, and keeps it open."""
    handles = Path(f"/proc/{program.pid}/fd")
    seen = 0  # times in a row
    while program.poll() is None and seen < 3:
        time.sleep(0.05)
        is_open = False
        with contextlib.suppress(OSError):  # handles come and go
            is_open = any(os.readlink(handle) == str(path) for handle in handles.iterdir())
        seen = seen + 1 if is_open else 0


def test_a_growing_file_that_stops_within_a_word_gives_the_boxes_of_what_is_whole(
    raw, trained, tmp_path: Path
):
    growing = tmp_path / "growing.raw"
    content = raw.read_bytes()
    growing.write_bytes(content[: len(content) // 2 + 1])
    program = follow(
        growing, trained, tmp_path / "followed.npy", "--score", 0.01, "--stop-after", 1.5
    )
    wait_until_open(program, growing)
    with growing.open("ab") as file:
        file.write(content[len(content) // 2 + 1 :] + b"\x01")
    out, err = program.communicate(timeout=120)
    assert (program.returncode, err) == (0, "")
    predict(raw, trained, "--score", 0.01, "--save", tmp_path / "whole.npy")
    found, expected = (np.load(tmp_path / name) for name in ("followed.npy", "whole.npy"))
    assert out == f"{tmp_path / 'followed.npy'}: {len(found)} boxes in 45 windows\n"
    assert np.array_equal(np.unique(found["t"]), np.unique(expected["t"]))
    assert len(found) == pytest.approx(
        len(expected), rel=0.02
    )  # of other steps, so of other rounding


def test_ctrl_c_ends_what_is_followed_with_its_output_whole(raw, trained, tmp_path: Path):
    growing = shutil.copy(raw, tmp_path / "growing.raw")
    program = follow(growing, trained, tmp_path / "followed.npy", "--score", 0.01)
    wait_until_open(program, Path(growing))  # from then on Ctrl-C is waited for
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=120)
    assert (program.returncode, err) == (0, "")
    found = np.load(tmp_path / "followed.npy")
    assert len(found) > 0
    assert "windows\n" in out
    whole = np.unique(recorded(windows=58)["t"] // 50_000)[:-1] * 50_000  # the last has no end yet
    assert set(found["t"].tolist()) <= set(whole.tolist())


@pytest.fixture
def earlier(trained, tmp_path: Path) -> Path:
    """The same network as a release wrote it that remembered no settings."""
    content = load_checkpoint(trained).content()
    del content["cache_settings"]
    header = {"format": "dmanet-checkpoint", "version": 3, "digest": content_digest(content)}
    path = tmp_path / "earlier.pt"
    torch.save(header | content, path)
    return path


def test_an_earlier_checkpoint_needs_the_cache_of_its_settings(
    raw, cache, recording_cache, trained, earlier, tmp_path: Path
):
    save = ("--save", tmp_path / "boxes.npy")
    refused(
        "predict", raw, "--checkpoint", earlier, *save,
        code=2, saying="does not remember the settings of the cache it was trained on",
    )  # fmt: skip
    predict(raw, earlier, "--encoding", cache, *save)
    predict(raw, trained, "--save", tmp_path / "again.npy")
    assert (tmp_path / "boxes.npy").read_bytes() == (tmp_path / "again.npy").read_bytes()


def test_a_cache_of_other_settings_is_one_sentence(
    raw, recording_cache, trained, earlier, tmp_path
):
    other = tmp_path / "other"
    release = recording_cache.parent / "release"
    shape = ("--grid", "96x64", "--max-points", "3", "--classes", "pedestrian,car,traffic sign")
    arguments = ("voxelize", release, other, *shape, "--preset", "paper", "--quiet")
    data([str(a) for a in arguments], standalone_mode=False)
    for checkpoint, saying in (
        (trained, "was trained on pillars of preset = release, and"),
        (earlier, "was trained on a cache of other settings than"),
    ):
        refused(
            "predict", raw, "--checkpoint", checkpoint, "--encoding", other,
            "--save", tmp_path / "boxes.npy", code=1, saying=saying,
        )  # fmt: skip
    refused(
        "predict", other, "--checkpoint", trained, "-o", tmp_path / "out",
        code=1, saying="was trained on pillars of preset = release, and",
    )  # fmt: skip
    assert not (tmp_path / "boxes.npy").exists()
    assert not (tmp_path / "out").exists()


def test_wrong_requests_are_one_sentence_and_leave_nothing(raw, cache, trained, tmp_path: Path):
    here = tmp_path / "here"
    here.mkdir()
    garbage = tmp_path / "garbage.raw"
    garbage.write_bytes(b"nothing of the kind" * 50)
    cut = tmp_path / "cut.evt3"
    cut.write_bytes(raw.read_bytes()[:-1])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("dear reader")
    video = ("-o", here / "out.mp4")
    for code, arguments, saying in (
        (1, (garbage, *video), "is no recording that can be read"),
        (1, (cut, *video), "truncated, it ends within the word"),
        (2, (raw, "-o", here / "out.avi"), "is no kind of video; give a folder"),
        (2, (raw, "-o", here / "out"), "a folder of pictures is made of a cache"),
        (2, (raw, "--save", here / "boxes.txt"), "is no kind of file for boxes"),
        (2, (raw, "--save", tmp_path / "taken"), "exists and is not empty"),
        (2, (raw, "-o", tmp_path / "taken/thesis.txt/x.mp4"), "thesis.txt"),
        (2, (raw,), "nothing is to be written"),
        (2, (raw, *video, "--windows", "9:3"), "give a range of windows"),
        (2, (raw, *video, "--windows", "900:910"), "has no windows to detect in"),
        (2, (raw, *video, "--skip", 600), "has no windows to detect in"),
        (2, (raw, *video, "--split", "test"), "is a raw recording, which --split is not for"),
        (2, (raw, *video, "--workers", 2), "is a raw recording, which --workers is not for"),
        (1, (raw, *video, "--sensor", "32x32"), "states a sensor of 64x48"),
        (2, (raw, *video, "--stop-after", 3), "--stop-after needs --follow"),
        (2, (cache, *video, "--follow"), "is a cache, which --follow is not for"),
        (2, (cache, *video), "holds one recording, and 2 are chosen"),
        (2, (cache, "--save", here / "boxes.npy"), "holds one recording, and 2 are chosen"),
        (2, (cache, "-o", here / "out", "--save", here / "b.h5"), "holds the boxes too"),
        (2, (raw, "-o", raw), "is no kind of video"),
        (2, (tmp_path / "absent.raw", *video), "absent.raw"),
    ):
        refused("predict", *arguments, "--checkpoint", trained, code=code, saying=saying)
        assert list(here.iterdir()) == [], arguments


def test_hdf5_cannot_be_followed(trained, tmp_path: Path):
    raw = write(tmp_path / "drive.h5", recorded())
    refused(
        "predict", raw, "--checkpoint", trained, "--follow", "--save", tmp_path / "boxes.npy",
        code=2, saying="can be read only when it is whole",
    )  # fmt: skip


def test_a_recording_that_states_no_sensor_is_given_one(raw, trained, tmp_path: Path):
    bare = tmp_path / "bare.raw"
    content = raw.read_bytes()
    bare.write_bytes(b"% evt 3.0\n% end\n" + content[content.index(b"% end\n") + 6 :])
    arguments = ("--save", tmp_path / "boxes.json")
    refused(
        "predict", bare, "--checkpoint", trained, *arguments,
        code=1, saying="give it with --sensor",
    )  # fmt: skip
    predict(bare, trained, *arguments, "--sensor", "64x48")
    images = json.loads((tmp_path / "boxes.json").read_text())["images"]
    assert {(image["width"], image["height"]) for image in images} == {(64, 48)}
    assert images[0]["file_name"] == "bare/window_00000.png"
