"""A recording with what was found in it: a video, and a file of boxes, each whole or not at all."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmanet.reporting.display_tracks import DisplayTracks
from dmanet.reporting.found_windows import FoundWindow
from pipeline.errors import UsageError
from pipeline.exchange.formats import save_boxes
from pipeline.exchange.records import BOX_DTYPE, BoxSet, RecordingBoxes
from pipeline.pictures.colours import track_colour
from pipeline.pictures.video import open_video
from pipeline.pictures.window import draw_window
from pipeline.release.shards import WINDOW_US
from pipeline.text import short

#: Windows a second: a video runs as fast as the clock did, but for windows without events.
RATE = 1e6 / WINDOW_US


@dataclass(frozen=True)
class Outputs:
    """Where a prediction goes; what is None is not written.

    Attributes:
        video: a file whose suffix says the kind of video.
        boxes: a file or folder whose suffix says the format, see :mod:`pipeline.exchange.formats`.
    """

    video: Path | None
    boxes: Path | None


@dataclass(frozen=True)
class Found:
    """What was written.

    Attributes:
        windows: how many.
        boxes: in all of them.
    """

    windows: int
    boxes: int


def write_outputs(
    windows: Iterable[FoundWindow],
    outputs: Outputs,
    output_names: Sequence[str],
    class_names: Sequence[str],
    source: str,
    on_window: Callable[[], None] = lambda: None,
) -> Found:
    """Write windows as they come. Memory grows by the boxes alone, if they are asked for.

    Args:
        windows: in order; those of one recording follow each other.
        outputs: what is written.
        output_names: names of the network's outputs.
        class_names: names of the data set's classes, by number.
        source: what was read, for messages.
        on_window: called as each window is done.

    Raises:
        UsageError: there is no window, or an output cannot be written.
        OSError: an output cannot be written.
    """
    collected, tracks = _Collected(), DisplayTracks()
    count = boxes = 0
    video = open_video(outputs.video, RATE) if outputs.video else contextlib.nullcontext()
    with video as writer:
        for window in windows:
            if writer is not None:
                writer.write(_frame(window, tracks, output_names))
            if outputs.boxes is not None:
                collected.add(window)
            count, boxes = count + 1, boxes + len(window.boxes)
            on_window()
        if not count:
            raise UsageError(f"{source}: has no windows to detect in; choose others, or skip less.")
        if outputs.boxes is not None:
            save_boxes(outputs.boxes, collected.box_set(class_names))
    return Found(count, boxes)


def _frame(window: FoundWindow, tracks: DisplayTracks, output_names: Sequence[str]) -> np.ndarray:
    """The window as a picture, uint8 ``[H, W, 3]``."""
    found = window.detections
    numbers = tracks.follow(found.boxes, found.classes, window.t_us)
    picture = draw_window(
        window.cells(),
        output_names,
        found,
        caption=_caption(window),
        colours=[track_colour(number) for number in numbers.tolist()],
    )
    return np.asarray(picture)


def _caption(window: FoundWindow) -> str:
    rate = short(window.events * 1e6 / WINDOW_US).replace("\u202f", " ")
    return f"{window.t_us / 1e6:.2f} s, {rate} events/s, {window.recording}"


class _Collected:
    """Boxes by recording, in the order that the recordings come."""

    def __init__(self) -> None:
        self._windows: dict[str, list[tuple[int, int]]] = {}  # number and time
        self._boxes: dict[str, list[np.ndarray]] = {}
        self._sensors: dict[str, tuple[int, int]] = {}

    def add(self, window: FoundWindow) -> None:
        name = window.recording
        self._sensors[name] = window.sensor
        self._windows.setdefault(name, []).append((window.number, window.t_us))
        self._boxes.setdefault(name, []).append(window.boxes)

    def box_set(self, class_names: Sequence[str]) -> BoxSet:
        return BoxSet(tuple(map(self._recording, self._windows)), tuple(class_names), scored=True)

    def _recording(self, name: str) -> RecordingBoxes:
        windows = np.array(self._windows[name], np.int64)
        boxes = self._boxes[name]
        return RecordingBoxes(
            name,
            self._sensors[name],
            windows[:, 0],
            windows[:, 1],
            np.repeat(np.arange(len(boxes)), [len(one) for one in boxes]),
            np.concatenate([*boxes, np.empty(0, BOX_DTYPE)]),
        )
