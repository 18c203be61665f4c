"""One hostile case in a process of its own: unprivileged, in an empty folder, with bounded means.

The process is forked from one that has everything imported, so that a case takes milliseconds. It
prepares the case, runs the command as a shell would, judges it, and writes the verdict beside.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numba.core.caching import Cache

NOBODY = 65534
SECONDS = 20  # for one case; the slowest honest one takes three
FILES = 128
FILE_BYTES = 256 << 20
ADDRESSES = 6 << 30  # bytes of address space, far above what is allowed to be in use
VERDICT = "verdict.json"


@dataclass
class Case:
    """One command and what is expected of it.

    Attributes:
        program: ``dmanet-data`` or ``dmanet``.
        arguments: of the program.
        names: at least one of them must be in the sentence of a refusal; none for any sentence.
        check: looks at what came of it, gets the exit code and yields what is wrong.
        answers: its exit code 1 may be an answer, which is on standard output.
    """

    program: str
    arguments: list[str]
    names: list[str] = field(default_factory=list)
    check: Callable[[int], list[str]] = lambda code: []
    answers: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Attributes:
        command: the program and its arguments.
        code: exit code; None where the process was killed.
        problems: what is wrong; none for a case that went as it should.
        seconds: it took.
        memory: most bytes in use.
        said: the end of what it printed on stderr.
    """

    command: list[str]
    code: int | None
    problems: list[str]
    seconds: float
    memory: int
    said: str


Kind = Callable[[random.Random, Path, Path], Case]


def run_case(
    kind: Kind, name: str, fixtures: Path, scratch: Path, memory: int, entry: Callable[[str], Any]
) -> Verdict:
    """Run one case below ``scratch``, which is emptied at the end.

    Args:
        kind: prepares the case from its random numbers, the fixtures and a folder.
        name: decides the random numbers.
        fixtures: sound files; the case copies what it changes.
        scratch: an existing folder that anybody may write in.
        memory: bytes that may be in use.
        entry: gives a program's click command by its name.
    """
    folder = scratch / "case"
    process = os.fork()
    if process == 0:
        status = 70
        try:
            _limit(scratch)
            folder.mkdir()
            os.chdir(folder)
            _in_child(kind, random.Random(name), fixtures, folder, memory, entry)
            status = 0
        except BaseException:
            (scratch / "fault.txt").write_text(traceback.format_exc())
        finally:
            os._exit(status)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # processes that it may have left
    verdict = _read_verdict(scratch, status)
    _empty(scratch)
    return verdict


def _limit(scratch: Path) -> None:
    os.setsid()
    if os.geteuid() == 0:
        os.chown(scratch, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if os.geteuid() == 0:
        raise PermissionError("hostile cases never run as root")
    os.umask(0o022)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends even what never returns to Python
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.environ["HOME"] = str(scratch)
    # Where numba keeps what it compiles was chosen by whoever imported it.
    Cache.save_overload = lambda *_: None


def _in_child(
    kind: Kind,
    rng: random.Random,
    fixtures: Path,
    folder: Path,
    memory: int,
    entry: Callable[[str], Any],
) -> None:
    case = kind(rng, fixtures, folder)
    command = [case.program, *case.arguments]
    beside = folder.parent
    (beside / "command.json").write_text(json.dumps(command))
    out, err = beside / "stdout", beside / "stderr"
    began = time.monotonic()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    problems = []
    code = _exit_code(entry(case.program), case, problems)
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with contextlib.suppress(OSError, UnicodeError):
        sys.stdout.flush()
        sys.stderr.flush()
    said = err.read_bytes().decode("utf-8", "replace")
    names = case.names
    if case.answers and not said:  # an answer names what differs, not the file
        said, names = out.read_bytes().decode("utf-8", "replace"), []
    problems += judge(code, said, names)
    if used > memory:
        problems.append(f"{used >> 20} MiB were in use, {memory >> 20} MiB are allowed")
    problems += [f"left behind: {path}" for path in _hidden(folder)]
    if (folder / "executed").exists():
        problems.append("code of a file ran")
    problems += case.check(code)
    verdict = Verdict(command, code, problems, seconds, used, said[-1500:])
    (beside / VERDICT).write_text(json.dumps(asdict(verdict)))


def _exit_code(command: Any, case: Case, problems: list[str]) -> int:
    try:
        command.main(case.arguments, case.program)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:
        problems.append(f"traceback: {type(error).__name__}")
        traceback.print_exc()
        return 1
    return 0


def judge(code: int, said: str, names: list[str]) -> list[str]:
    """What is wrong with how a command ended.

    Args:
        code: it ended with.
        said: what it printed on stderr.
        names: one of them must be in what is said of a refusal.
    """
    problems = []
    if code not in (0, 1, 2, 3):
        problems.append(f"exit code {code}")
    if "Traceback (most recent call last)" in said:
        problems.append("a traceback was printed")
    if code in (1, 2):
        lines = [line for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("Error: ")]
        if not lines:
            problems.append("refused without a word")
        elif len(errors) > 1 or (errors and lines[-1] != errors[0]):
            problems.append("more than one sentence")
        if names and not any(name in said for name in names):
            problems.append(f"the refusal names none of {names}")
        if any(len(line) > 1500 for line in lines):
            problems.append("a sentence of more than 1500 characters")
    return problems


def _hidden(folder: Path) -> list[str]:
    """Hidden files and folders that a command made and left."""
    return [
        str(Path(where, name).relative_to(folder))
        for where, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if name.startswith(".")
    ]


def _read_verdict(scratch: Path, status: int) -> Verdict:
    try:
        return Verdict(**json.loads((scratch / VERDICT).read_text()))
    except (OSError, ValueError):
        pass
    command = ["?"]
    with contextlib.suppress(OSError, ValueError):
        command = json.loads((scratch / "command.json").read_text())
    said = ""
    for name in ("stderr", "fault.txt"):
        with contextlib.suppress(OSError):
            said += (scratch / name).read_text(errors="replace")[-3000:]
    how = (
        f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status}"
    )
    return Verdict(command, None, [how], 0.0, 0, said)


def _empty(folder: Path) -> None:
    for where, folders, _ in os.walk(folder):
        for name in folders:
            with contextlib.suppress(OSError):
                if not Path(where, name).is_symlink():
                    Path(where, name).chmod(0o700)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
