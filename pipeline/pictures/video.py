"""Films of pictures, written one picture at a time by the package ``av``, an extra.

An MP4 is H.264 in yuv420p with the colours of BT.709, which every player and browser shows; H.264
takes even sizes, so an odd one gets a pixel more at its right or lower edge. A GIF has a palette for
each picture, an animated WebP loses nothing; both begin again at their end. Of an MP4 and a GIF only
a few pictures are in memory at a time, of a WebP its compressed content too.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.files.whole import written_whole

_SLOWEST, _FASTEST = 0.1, 240.0  # pictures in a second
_FASTEST_GIF = 50.0  # a GIF counts in hundredths, and viewers slow down what lasts less than two


@dataclass(frozen=True)
class _Format:
    """How a suffix is encoded.

    Attributes:
        container: its name in FFmpeg.
        container_options: of it.
        codec: the encoder's name.
        codec_options: of it.
        pixels: the encoder's pixel format.
        largest: the most pixels of a side.
    """

    container: str
    container_options: dict[str, str]
    codec: str
    codec_options: dict[str, str]
    pixels: str
    largest: int


_FORMATS = {
    ".mp4": _Format(
        "mp4",
        {"movflags": "+faststart"},  # plays before it is loaded whole
        "libx264",
        {"preset": "veryfast", "crf": "20"},
        "yuv420p",
        4096,  # most decoders in phones and browsers end here
    ),
    ".gif": _Format("gif", {"loop": "0"}, "gif", {}, "pal8", 16383),
    ".webp": _Format(
        "webp",
        {"loop": "0"},
        "libwebp_anim",
        {"lossless": "1", "compression_level": "0"},
        "bgra",
        16383,
    ),
}
#: Suffixes of the files that :func:`open_video` writes.
VIDEO_SUFFIXES = tuple(_FORMATS)


@dataclass
class VideoWriter:
    """Takes the pictures of a film in their order; made by :func:`open_video`.

    Attributes:
        path: of the film, for messages.
        pictures: that were written so far.
    """

    path: Path
    _format: _Format
    _rate: Fraction
    _container: Any
    pictures: int = 0
    _stream: Any = field(default=None, init=False)
    _shape: tuple[int, ...] = field(default=(), init=False)
    _to_pixels: Callable[[Any], Any] = field(default=lambda frame: frame, init=False)

    def write(self, image: np.ndarray) -> None:
        """Add a picture.

        Args:
            image: uint8 ``[H, W, 3]``, RGB; all of a film have one size.

        Raises:
            UsageError: the format takes no pictures of this size.
            ValueError: it is no such array, or of another size than the first.
            OSError: the file cannot be written.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a picture is uint8 [H, W, 3], not {image.dtype} {image.shape}")
        if self._stream is None:
            self._begin(image.shape)
        if image.shape != self._shape:
            raise ValueError(f"a picture of {image.shape} in a film of {self._shape}")
        if self._format.container == "mp4":
            image = np.pad(
                image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), "edge"
            )
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = self.pictures, 1 / self._rate
        with _system_errors(self.path):
            self._container.mux(self._stream.encode(self._to_pixels(frame)))
        self.pictures += 1

    def _begin(self, shape: tuple[int, ...]) -> None:
        height, width = shape[:2]
        if not 0 < min(height, width) <= max(height, width) <= self._format.largest:
            raise UsageError(
                f"{self.path}: pictures of {width}×{height} pixels do not fit into a "
                f"{self.path.suffix} file, whose sides have at most {self._format.largest}; "
                "make them smaller."
            )
        stream = self._container.add_stream(
            self._format.codec, rate=self._rate, options=self._format.codec_options
        )
        stream.width, stream.height = width, height
        stream.pix_fmt = self._format.pixels
        if self._format.pixels == "pal8":
            self._to_pixels = _to_palettes(width, height, 1 / self._rate)
        else:
            self._to_pixels = _to_yuv420p() if self._format.pixels == "yuv420p" else _to_bgra()
        if self._format.container == "mp4":
            stream.width, stream.height = width + width % 2, height + height % 2
            context = stream.codec_context
            context.color_range, context.colorspace = 1, 1  # limited range, BT.709
            context.color_primaries, context.color_trc = 1, 1
        self._stream, self._shape = stream, shape

    def _finish(self) -> None:
        if self._stream is None:
            raise UsageError(f"{self.path}: there is no picture to write; choose some windows.")
        with _system_errors(self.path):
            self._container.mux(self._stream.encode(None))


@contextmanager
def open_video(path: Path, rate: float) -> Iterator[VideoWriter]:
    """A film to write pictures to; it takes the place of ``path`` when the block ends well.

    When the block raises, nothing is left and an older ``path`` stands as it was.

    Args:
        path: of the film; its suffix, see :data:`VIDEO_SUFFIXES`, chooses the format.
        rate: pictures in a second.

    Raises:
        UsageError: see :func:`check_video`; or no picture was written.
        OSError: the file cannot be written.
    """
    check_video(path, rate)
    import av

    chosen = _FORMATS[path.suffix.lower()]
    with written_whole(path) as unfinished:
        with _system_errors(path):
            container = av.open(
                str(unfinished), "w", format=chosen.container, options=chosen.container_options
            )
        writer = VideoWriter(path, chosen, Fraction(rate).limit_denominator(1001), container)
        try:
            yield writer
            writer._finish()
        except BaseException:
            with suppress(av.FFmpegError):  # what was raised first says why
                container.close()
            raise
        with _system_errors(path):
            container.close()


def check_video(path: Path, rate: float) -> None:
    """Check, before any work, that a film can be written.

    Raises:
        UsageError: the suffix is not one of a film, the rate is not one of its format, or the package
            ``av`` is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(
            f"{path}: a film's name ends in {', '.join(VIDEO_SUFFIXES[:-1])} or "
            f"{VIDEO_SUFFIXES[-1]}; give one of these."
        )
    fastest = _FASTEST_GIF if suffix == ".gif" else _FASTEST
    if not (math.isfinite(rate) and _SLOWEST <= rate <= fastest):
        raise UsageError(
            f"{path}: a {suffix} file shows {_SLOWEST:g} to {fastest:g} pictures in a second, not "
            f"{rate:g}; give another rate."
        )
    try:
        import av  # noqa: F401
    except ImportError:
        raise UsageError(
            f"{path}: films need the package av; install it with `pip install 'dmanet-events[video]'`."
        ) from None


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """The package's own kinds of OSError, such as of a full disk, as plain ones of ``path``."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def _to_yuv420p() -> Callable[[Any], Any]:
    from av.video.reformatter import Colorspace, VideoReformatter

    return partial(
        VideoReformatter().reformat,
        format="yuv420p",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
    )


def _to_bgra() -> Callable[[Any], Any]:
    from av.video.reformatter import VideoReformatter

    return partial(VideoReformatter().reformat, format="bgra")


def _to_palettes(width: int, height: int, time_base: Fraction) -> Callable[[Any], Any]:
    """What gives each picture a palette of its own colours, without dithering."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=time_base
    )
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=none")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()

    def quantized(frame: Any) -> Any:
        graph.push(frame)
        return graph.pull()

    return quantized
