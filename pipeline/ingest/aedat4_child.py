"""An AEDAT 4 recording read in a process of its own: `python -m pipeline.ingest.aedat4_child FILE`.

The package that reads it is native code, which can hang or die of a damaged file
(:mod:`pipeline.ingest.aedat4` watches over it). On standard output it says width and height, then for
each packet the number of its events and the events, ``WIDE_DTYPE``; on standard error, in a
line, why it cannot go on.
"""

import os
import struct
import sys
from typing import BinaryIO

import dv_processing
import numpy as np

from pipeline.ingest.aedat4 import NO_EVENTS
from pipeline.ingest.wide_events import WIDE_DTYPE

SIZE = struct.Struct("<2q")  # width and height
COUNT = struct.Struct("<q")  # events that follow


def send(path: str, out: BinaryIO) -> None:
    """Write a recording's sensor and events to ``out``; raises what the package raises."""
    reader = dv_processing.io.MonoCameraRecording(path)
    if not reader.isEventStreamAvailable():
        raise ValueError(NO_EVENTS)
    out.write(SIZE.pack(*map(int, reader.getEventResolution())))
    out.flush()
    while reader.isRunning():
        packet = reader.getNextEventBatch()
        if packet is None:
            continue
        found = packet.numpy()
        if len(found) and min(found["x"].min(), found["y"].min()) < 0:
            raise ValueError("an event has a negative coordinate")
        events = np.empty(len(found), WIDE_DTYPE)
        events["t"], events["x"], events["y"] = found["timestamp"], found["x"], found["y"]
        events["p"] = found["polarity"] != 0
        out.write(COUNT.pack(len(events)))
        out.write(events.tobytes())
        out.flush()
    out.write(COUNT.pack(-1))  # all of it was sent


if __name__ == "__main__":
    own = os.dup(1)
    os.dup2(2, 1)  # whatever the package prints must not stand among the events
    try:
        with os.fdopen(own, "wb") as out:
            send(sys.argv[1], out)
    except (RuntimeError, ValueError, MemoryError) as error:
        sys.exit((str(error).splitlines() or ["damaged"])[0][:160])
