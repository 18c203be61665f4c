"""`dmanet-data show` as a user types it."""

import os
import pty
import subprocess
import sys

import av
import numpy as np
from PIL import Image

from pipeline.cache.reader import PillarCache
from pipeline.pictures.choosing import window_with_most_labels
from pipeline.pictures.colours import track_colour
from tests.cli.data.commands import RECORDING, refused, run


def test_a_window_becomes_a_picture(cache, tmp_path):
    out = tmp_path / "pictures" / "w.png"
    result = run("show", cache, "--recording", RECORDING, "--window", 12, "-o", out, "--width", 320)
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert (picture.format, picture.width) == ("PNG", 320)
        assert picture.height > 180  # 16:9, and the strip with the caption
        assert len(picture.convert("RGB").getcolors(100_000)) > 5
    assert [path.name for path in out.parent.iterdir()] == ["w.png"]


def test_what_is_not_there(cache, tmp_path):
    out = ("-o", tmp_path / "w.png")
    refused("show", cache, "--recording", "a/b/c", "--window", 0, *out, code=2, saying="a/b/c")
    refused("show", cache, "--recording", RECORDING, "--window", 20, *out, code=2, saying="has 20")
    refused(
        "show", cache, "--recording", RECORDING, "--window", 1, *out, "--width", 1,
        code=2, saying="64<=x<=8192",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_torch(cache, tmp_path):
    code = (
        "import sys; from cli.data import main; "
        "main(sys.argv[1:], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    arguments = [
        "show",
        cache,
        "--recording",
        RECORDING,
        "--window",
        3,
        "-o",
        tmp_path / "w.png",
    ]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    assert (tmp_path / "w.png").exists()


def test_the_suffix_says_what_is_written(cache, tmp_path):
    arguments = ("show", cache, "--recording", "rec_0", "--windows", "3:8", "--width", 640)
    for name in ("w.png", "w.jpg", "w.webp", "w.gif"):
        result = run(*arguments, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert "windows 3 to 7 of " + RECORDING in result.output
        with Image.open(tmp_path / name) as picture:
            assert picture.format == {"jpg": "JPEG"}.get(name[2:], name[2:].upper())
            assert getattr(picture, "n_frames", 1) == (5 if name in ("w.webp", "w.gif") else 1)
            if picture.format in ("WEBP", "GIF"):
                picture.seek(1)
                picture.load()
                assert picture.info["duration"] == 50
    assert run(*arguments, "-o", tmp_path / "w.mp4", "--speed", 0.5).exit_code == 0
    with av.open(tmp_path / "w.mp4") as film:
        assert film.streams.video[0].average_rate == 10
        frames = [one.to_ndarray(format="rgb24") for one in film.decode(video=0)]
    assert len(frames) == 5
    # The film's pictures are those that are written one by one, as H.264 keeps them.
    assert run(
        "show", cache, "--window", 5, "--width", 640, "-o", tmp_path / "one.png"
    ).exit_code == 0  # fmt: skip
    one = np.asarray(Image.open(tmp_path / "one.png").convert("RGB")).astype(int)
    apart = [np.abs(frame[: one.shape[0]] - one).mean() for frame in frames]
    assert np.argmin(apart) == 2
    assert apart[2] < 12


def test_a_label_has_the_colour_of_its_track_at_its_place(cache, tmp_path):
    for view in ("events", "pillars", "both"):
        out = tmp_path / f"{view}.png"
        assert run("show", cache, "-o", out, "--width", 1285, "--view", view).exit_code == 0
        pixels = np.asarray(Image.open(out))
        recording = PillarCache(cache).recording(RECORDING)
        window = window_with_most_labels(recording)
        windows = recording.read(window, window + 1)
        assert len(windows.boxes) == np.bincount(recording.table("labels")[:, 0].astype(int)).max()
        width = 640 if view == "both" else 1285  # two of 640, and 5 pixels between them
        lefts = (0, 645) if view == "both" else (0,)
        height = round(width * recording.sensor[1] / recording.sensor[0])
        for (x1, _, x2, y2), track in zip(windows.boxes, windows.tracks, strict=True):
            bottom = min(round(y2 * height / 64), height - 1)
            middle = round((x1 + x2) / 2 * width / 64)
            for left in lefts:
                nearby = pixels[bottom - 3 : bottom + 4, left + middle]
                assert (nearby == track_colour(int(track))).all(axis=-1).any()


def test_an_unknown_suffix_is_one_sentence(cache, tmp_path):
    for name in ("w.avi", "w", "w.tiff"):
        refused("show", cache, "-o", tmp_path / name, code=2, saying=f"{name}: its suffix says no")
    assert list(tmp_path.iterdir()) == []


def test_ranges_that_are_none(cache, tmp_path):
    out = ("-o", tmp_path / "w.png")
    for span in ("3", "3:3", "5:2", "-1:3", "a:b", "1:2:3", "9" * 5000):
        refused("show", cache, f"--windows={span}", *out, code=2, saying="is no range; give A:B")
    refused("show", cache, "--windows", "15:21", *out, code=2, saying="has 20")
    refused("show", cache, "--windows", "0:2", "--window", 1, *out, code=2, saying="one of them")
    for name in ("w.mp4", "w.gif"):
        refused("show", cache, "--windows", "15:21", "-o", tmp_path / name, code=2, saying="has 20")
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_a_drawing_is_made_only_when_asked_for(cache, monkeypatch):
    refused("show", cache, code=2, saying="no terminal to draw in; give a file with -o, or -o -")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("COLORTERM", "truecolor")
    result = run("show", cache, "--window", 12, "-o", "-")
    assert result.exit_code == 0
    *drawn, caption, labels = result.output.splitlines()
    assert {line.count("▀") for line in drawn} == {60}
    assert caption.startswith("window 12 ")
    assert labels.count("■") == len(PillarCache(cache).recording(RECORDING).read(12, 13).boxes)
    monkeypatch.delenv("COLORTERM")
    assert "[38;5;" in run("show", cache, "--window", 12, "-o", "-").output


def test_by_name_alone_it_draws_in_the_terminal(cache):
    code = "import sys; from cli.data import main; main(sys.argv[1:], 'dmanet-data')"
    drawn = bytearray()
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "50", "COLORTERM": "24bit"}
    with subprocess.Popen(
        [sys.executable, "-c", code, "show", str(cache)], stdout=theirs, env=environment
    ) as program:
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            drawn += piece
    os.close(ours)
    assert program.returncode == 0
    lines = drawn.decode().splitlines()
    assert {line.count("▀") for line in lines[:-2]} == {50}
    assert "\x1b[38;2;" in lines[0]
    assert RECORDING in lines[-2]
