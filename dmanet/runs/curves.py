"""A run's numbers as TensorBoard shows them, written in the caller's own thread.

Not torch's SummaryWriter: its background thread prints a traceback where a disk is full, and tells the
run only at some later step.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import text as text_summary

_FILES = f"events.out.tfevents.{'[0-9]' * 10}.*"


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

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()
