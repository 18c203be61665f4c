"""When a run began and went on, and on what: ``sessions.jsonl``, a line each time."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from dmanet.runs.log_lines import LogLine, read_lines
from pipeline.files.outputs import check_file_output
from pipeline.files.whole import written_whole

SESSIONS_NAME = "sessions.jsonl"

_Word = Annotated[str, Field(max_length=300)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


class SessionLine(LogLine):
    """One start of the training program.

    Attributes:
        step: the first step it made or will make.
        began: UTC time, ISO 8601, to the second.
        device: name of the processor or GPU that computes.
        precision: it computes in: ``fp32``, ``bf16`` or ``fp16``.
        threads: of torch on the CPU.
        processes: that train together.
        python: its version.
        torch: its version.
        system: operating system and machine kind.
    """

    step: _Count
    began: _Word
    device: _Word
    precision: _Word
    threads: _Count
    processes: _Count
    python: _Word
    torch: _Word
    system: _Word


def describe_session(
    step: int, device: torch.device, precision: str, processes: int
) -> SessionLine:
    """This process, about to make ``step``."""
    return SessionLine(
        step=step,
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        device=_device_name(device)[:300],
        precision=precision,
        threads=torch.get_num_threads(),
        processes=processes,
        python=platform.python_version(),
        torch=torch.__version__,
        system=f"{sys.platform} {platform.machine()}"[:300],
    )


def add_session(run_dir: Path, session: SessionLine) -> None:
    """Add a line to the run's file, which is made where it lacks.

    Raises:
        UsageError: something else than a regular file has its name.
        OSError: it cannot be written.
    """
    path = run_dir / SESSIONS_NAME
    check_file_output(path)
    whole, newline, _ = (path.read_bytes() if path.exists() else b"").rpartition(b"\n")
    line = json.dumps(session.model_dump(), ensure_ascii=False) + "\n"
    with written_whole(path) as unfinished:  # without a last line that a kill cut short
        unfinished.write_bytes(whole + newline + line.encode())


def read_sessions(run_dir: Path) -> list[SessionLine]:
    """All lines; none where the run was made before there were any.

    Raises:
        DataError: the file is damaged.
    """
    path = run_dir / SESSIONS_NAME
    return [line for _, line in read_lines(path, SessionLine)] if path.exists() else []


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or 'CPU'}, {os.cpu_count()} cores"
