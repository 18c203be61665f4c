"""A run's numbers as TensorBoard shows them, written in the caller's own thread.

Not torch's SummaryWriter: its background thread prints a traceback where a disk is full, and tells the
run only at some later step.
"""

import io
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import pr_curve_raw
from torch.utils.tensorboard.summary import text as text_summary

_FILES = f"events.out.tfevents.{'[0-9]' * 10}.*"


@dataclass(frozen=True)
class PrecisionRecall:
    """Detections of one class that reach scores of equal distance from 0 to 1.

    Attributes:
        labels: of the class.
        right: detections that are right, at each score.
        wrong: those that are not.
    """

    labels: int
    right: Sequence[float]
    wrong: Sequence[float]


class Curves:
    """Writes one TensorBoard file.

    Attributes:
        path: the file.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        """Open a new file; points from ``first_step`` on that are in older ones are dropped.

        Raises:
            OSError: it cannot be written; so do the other methods.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names, which begin with the
        # second they were made in. The clock may have been set back since the last one.
        last = max((int(path.name.split(".")[3]) for path in folder.glob(_FILES)), default=0)
        second = max(int(time.time()), last + 1)
        name = f"{second:010d}.{socket.gethostname()}.{os.getpid()}.{time.time_ns():020d}"
        self.path = folder / f"events.out.tfevents.{name}"
        self._file = self.path.open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(step=first_step, session_log=start))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """A point of each curve, by the curves' names."""
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(step=step, summary=Summary(value=points)))

    def add_text(self, step: int, name: str, text: str) -> None:
        """A text at a step."""
        self._write(Event(step=step, summary=text_summary(name, text)))

    def add_pictures(self, step: int, pictures: Mapping[str, bytes]) -> None:
        """PNG files at a step, by name."""
        values = []
        for name, data in pictures.items():
            with Image.open(io.BytesIO(data), formats=("PNG",)) as opened:
                width, height = opened.size
            image = Summary.Image(
                height=height, width=width, colorspace=3, encoded_image_string=data
            )
            values.append(Summary.Value(tag=name, image=image))
        self._write(Event(step=step, summary=Summary(value=values)))

    def add_precision_recall(self, step: int, name: str, curve: PrecisionRecall) -> None:
        """A curve for TensorBoard's tab of PR curves."""
        right, wrong = (np.asarray(v, np.float64) for v in (curve.right, curve.wrong))
        missed = curve.labels - right
        summary = pr_curve_raw(
            name,
            right,
            wrong,
            np.zeros_like(right),  # there is no end of places without a box
            missed,
            right / np.maximum(right + wrong, 1),
            right / max(curve.labels, 1),
            num_thresholds=len(right),
        )
        self._write(Event(step=step, summary=summary))

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()
