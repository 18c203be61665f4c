"""AEDAT 4 recordings (DAVIS and DVXplorer cameras), read by the package ``dv-processing``, an extra.

Their times are µs since 1970; positive polarity is brighter. The package hangs at some damaged files,
so it reads in a process of its own, which is given up when it is silent for too long.
"""

import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.errors import RecordingError, UsageError
from pipeline.ingest.wide_events import WIDE_DTYPE

MAGIC = b"#!AER-DAT4."
NO_EVENTS = "has no event stream"
SILENCE = 60.0  # seconds; a packet takes milliseconds, and starting on a busy machine some seconds
_SIZE = np.dtype("<i8")
_AHEAD = 2  # packets that wait to be asked for
_ALL_SENT = b"all sent"  # no events are as long
_LARGEST = 1 << 28  # events of a packet; cameras write some thousands


def aedat4_sensor(path: Path) -> tuple[int, int]:
    """Width and height in pixels of a recording's event stream.

    Raises:
        UsageError: the package is not installed.
        RecordingError: the file is damaged or has no event stream.
    """
    with _messages(path) as messages:
        width, height = np.frombuffer(next(messages), _SIZE).tolist()
    return width, height


def aedat4_blocks(path: Path) -> Iterator[np.ndarray]:
    """All events in the file's order, ``WIDE_DTYPE [N]`` for each of its packets.

    Raises:
        UsageError: the package is not installed.
        RecordingError: the file is damaged.
    """
    with _messages(path) as messages:
        next(messages)  # the sensor
        for message in messages:
            yield np.frombuffer(message, WIDE_DTYPE)


@contextmanager
def _messages(path: Path) -> Iterator[Iterator[bytes]]:
    """What the reading process sends: the sensor, then the events of each packet."""
    if find_spec("dv_processing") is None:
        raise UsageError(
            f"{path}: is an AEDAT 4 recording, which needs the package dv-processing; install it with "
            "`pip install 'dmanet-events[aedat4]'`."
        )
    command = [sys.executable, "-m", "pipeline.ingest.aedat4_child", str(path.absolute())]
    # Its errors go to a file, which never fills up as a pipe does. It starts where this package is
    # installed: `-m` looks into the working folder first, where anything may lie.
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        assert process.stdout is not None
        received: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        is_over = threading.Event()
        thread = threading.Thread(
            target=_receive, args=(process.stdout, received, is_over), daemon=True
        )
        thread.start()
        try:
            yield _in_turn(path, process, received, said)
        finally:
            is_over.set()
            process.kill()
            process.wait()
            thread.join()
            process.stdout.close()


def _receive(
    out: IO[bytes], received: "queue.Queue[bytes | None]", is_over: threading.Event
) -> None:
    """Put each message of ``out`` into the queue, and None when the process says no more."""
    size = out.read(2 * _SIZE.itemsize)
    if len(size) < 2 * _SIZE.itemsize:
        _put(received, None, is_over)
        return
    _put(received, size, is_over)
    while True:
        head = out.read(_SIZE.itemsize)
        count = int(np.frombuffer(head, _SIZE)[0]) if len(head) == _SIZE.itemsize else None
        if count is None or not 0 <= count <= _LARGEST:
            _put(received, _ALL_SENT if count == -1 else None, is_over)
            return
        body = out.read(count * WIDE_DTYPE.itemsize)
        if len(body) < count * WIDE_DTYPE.itemsize:
            _put(received, None, is_over)
            return
        _put(received, body, is_over)


def _put(
    received: "queue.Queue[bytes | None]", message: bytes | None, is_over: threading.Event
) -> None:
    while not is_over.is_set():
        try:
            received.put(message, timeout=0.1)
            return
        except queue.Full:
            continue


def _in_turn(
    path: Path,
    process: "subprocess.Popen[bytes]",
    received: "queue.Queue[bytes | None]",
    said: IO[bytes],
) -> Iterator[bytes]:
    while True:
        try:
            message = received.get(timeout=SILENCE)
        except queue.Empty:
            raise _damaged(path, f"its reader hangs for {SILENCE:.0f} s") from None
        if message == _ALL_SENT:
            return
        if message is None:
            reason = _reason(process, said)
            if reason == NO_EVENTS:
                raise RecordingError(f"{path}: {NO_EVENTS}; record one with events.")
            raise _damaged(path, reason)
        yield message


def _reason(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> str:
    code = process.wait()
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:160] if code == 1 and lines else f"its reader died, exit code {code}"


def _damaged(path: Path, reason: str) -> RecordingError:
    return RecordingError(f"{path}: cannot be read as AEDAT 4 ({reason}); download it again.")
