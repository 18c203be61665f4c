import builtins
import os
import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.pictures.video import VIDEO_SUFFIXES, check_video, open_video

GROUND, RED = (13, 17, 27), (255, 107, 107)


def picture(k, size=(120, 160)):
    """A red square of 40 pixels that moves a column to the right with each picture."""
    image = np.full((*size, 3), GROUND, np.uint8)
    image[20:60, 10 + k : 50 + k] = RED
    return image


def write(path, images, rate=20):
    with open_video(path, rate) as video:
        for image in images:
            video.write(image)
    return path


def film(path, count=12, rate=20, size=(120, 160)):
    return write(path, (picture(k, size) for k in range(count)), rate)


def decoded(path):
    """Pictures as uint8 ``[H, W, 3]``, and the milliseconds that each lasts."""
    if path.suffix == ".mp4":
        with av.open(path) as container:
            rate = container.streams.video[0].average_rate
            frames = [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]
        return frames, [1000 / rate] * len(frames)
    frames, times = [], []
    with Image.open(path) as image:
        for k in range(image.n_frames):
            image.seek(k)
            frames.append(np.asarray(image.convert("RGB")))
            times.append(image.info["duration"])
    return frames, times


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_film_holds_every_picture_with_its_colours_at_their_places_for_its_time(tmp_path, suffix):
    frames, times = decoded(film(tmp_path / f"film{suffix}"))
    assert len(frames) == 12
    assert set(times) == {50}
    off = 12 if suffix == ".mp4" else 0  # H.264 rounds; the others lose nothing
    for k, frame in enumerate(frames):
        assert frame.shape == (120, 160, 3)
        for (y, x), colour in {
            (40, 13 + k): RED,
            (40, 46 + k): RED,
            (40, 6 + k): GROUND,
            (40, 54 + k): GROUND,
            (90, 30): GROUND,
        }.items():
            assert np.abs(frame[y, x].astype(int) - colour).max() <= off


def test_an_mp4_is_what_every_player_shows(tmp_path):
    with av.open(film(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
    content = (tmp_path / "film.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays while it loads


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_odd_sizes_keep_every_pixel(tmp_path, suffix):
    frames, _ = decoded(film(tmp_path / f"film{suffix}", 3, size=(121, 163)))
    assert frames[0].shape == ((122, 164, 3) if suffix == ".mp4" else (121, 163, 3))
    assert np.abs(frames[0][:121, :163].astype(int) - picture(0, (121, 163))).mean() < 3


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_picture_that_stays_keeps_its_time(tmp_path, suffix):
    path = write(tmp_path / f"film{suffix}", map(picture, (0, 0, 0, 0, 1)), rate=10)
    assert sum(decoded(path)[1]) == 500


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path):
    with av.open(film(tmp_path / "film.mp4", rate=1 / 0.3)) as container:
        assert container.streams.video[0].average_rate == Fraction(10, 3)


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(UsageError, match=r"film\.avi: .*\.mp4, \.gif or \.webp"):
        film(tmp_path / "film.avi")
    assert not list(tmp_path.iterdir())
    check_video(tmp_path / "FILM.MP4", 20)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 60.0])
def test_a_rate_that_a_gif_cannot_show_is_refused(tmp_path, rate):
    with pytest.raises(UsageError, match="pictures in a second"):
        film(tmp_path / "film.gif", rate=rate)


def test_a_missing_package_is_one_sentence_with_the_command(tmp_path, monkeypatch):
    original = builtins.__import__

    def without_av(name, *rest, **more):
        if name == "av":
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(UsageError, match=r"pip install 'dmanet-events\[video\]'"):
        check_video(tmp_path / "film.mp4", 20)


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_film_that_fails_leaves_the_older_one_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    path.write_text("older")

    def pictures():
        yield picture(0)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write(path, pictures())
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "older"


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_film_without_pictures_is_refused(tmp_path, suffix):
    with pytest.raises(UsageError, match="no picture"):
        film(tmp_path / f"film{suffix}", 0)
    assert not list(tmp_path.iterdir())


def test_pictures_that_are_none_or_of_another_size_are_refused(tmp_path):
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), picture(0, (60, 160))):
        with pytest.raises(ValueError, match="picture"):
            write(tmp_path / "film.gif", [picture(0), wrong])
    assert not list(tmp_path.iterdir())


def test_pictures_too_large_for_the_format_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"4098×64 .*at most 4096"):
        film(tmp_path / "film.mp4", 1, size=(64, 4098))


FULL_DISK = """
import sys
import numpy as np
from pathlib import Path
from pipeline.pictures.video import open_video
noise = np.random.default_rng(0)
try:
    with open_video(Path(sys.argv[1]), 20) as video:
        for k in range(30):
            video.write(noise.integers(0, 255, (100, 150, 3), dtype=np.uint8))
except OSError as error:
    print(type(error) is OSError, error.filename, error.strerror)
"""


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_full_disk_is_an_error_of_the_system_that_names_the_film(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    limit = 100_000  # bytes of a file

    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.stdout.strip() == f"True {path} File too large", done.stderr
    assert not list(tmp_path.iterdir())


MEMORY = """
import resource, sys
import numpy as np
from pathlib import Path
from pipeline.pictures.video import open_video
image = np.zeros((200, 300, 3), np.uint8)
with open_video(Path(sys.argv[1]), 20) as video:
    for k in range(int(sys.argv[2])):
        image[k % 160 : k % 160 + 40, 100:300] = (k * 37) % 256
        video.write(image)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_memory_does_not_grow_with_the_film(tmp_path, suffix):
    """240 pictures more are 43 MB; encoders keep some dozens of them and no more."""

    def peak(count):
        command = [sys.executable, "-c", MEMORY, str(tmp_path / f"film{suffix}"), str(count)]
        # Pictures outside glibc's heap, whose gaps would be counted as if something were in them.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        )
        return int(done.stdout) * 1024

    assert peak(360) - peak(120) < 12e6
