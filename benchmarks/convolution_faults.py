"""Which convolutions of torch corrupt memory: `python -m benchmarks.convolution_faults [--json]`.

Every kind of convolution the network has, with the channels, sizes, memory layouts and precisions
that settings could give it, forward and backward, under each mask of oneDNN's instructions. Each
group runs in a child process under glibc's checking allocator (MALLOC_CHECK_=3), which ends the
process at the first block whose end was written over; what died is tried again shape by shape.

Exit code 1 where a shape that the settings allow does not hold.
"""

import argparse
import ctypes.util
import faulthandler
import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import conv2d

from dmanet.models.backbone import NARROW

MASKS = ("AVX2", "AVX512_CORE", "DEFAULT")
REPETITIONS = 10  # a write past a buffer is not noticed each time


@dataclass(frozen=True)
class Kind:
    """A kind of convolution in the network."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


SHORTCUT = Kind("shortcut 1x1 s2", (1, 1), (2, 2), (0, 0))
KINDS = (
    Kind("stem 7x7 s2", (7, 7), (2, 2), (3, 3)),
    Kind("block 3x3", (3, 3), (1, 1), (1, 1)),
    Kind("block 3x3 s2", (3, 3), (2, 2), (1, 1)),
    Kind("lateral 1x1", (1, 1), (1, 1), (0, 0)),
    SHORTCUT,
    Kind("pillar 1x4", (1, 4), (1, 1), (0, 0)),
)
INPUTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 40)
OUTPUTS = (1, 4, 8, 9, 16, 45)
SIZES = ((16, 24), (5, 7), (1, 4))  # height, width
LARGE = ((128, 160),)  # of shortcuts, whose fault depends on the size
FRAMES = (1, 6)


@dataclass(frozen=True)
class Shape:
    """One convolution and the memory it works on."""

    kind: Kind
    inputs: int
    outputs: int
    size: tuple[int, int]
    frames: int
    channels_last: bool
    bf16: bool

    @property
    def allowed(self) -> bool:
        """Whether a network has it: its narrower shortcuts skip pixels before they multiply."""
        return self.kind is not SHORTCUT or self.inputs >= NARROW

    def run(self) -> None:
        """Forward and backward, ``REPETITIONS`` times."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        x = torch.randn(self.frames, self.inputs, *self.size)
        x = x.contiguous(memory_format=layout).requires_grad_()
        weight = torch.randn(self.outputs, self.inputs, *self.kind.kernel)
        weight = weight.contiguous(memory_format=layout).requires_grad_()
        for _ in range(REPETITIONS):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                y = conv2d(x, weight, None, self.kind.stride, self.kind.padding)
            y.float().sum().backward()


@dataclass(frozen=True)
class Group:
    """Shapes that differ in outputs, size and frames only."""

    kind: Kind
    inputs: int
    channels_last: bool
    bf16: bool

    def shapes(self) -> list[Shape]:
        return [
            Shape(self.kind, self.inputs, outputs, size, frames, self.channels_last, self.bf16)
            for outputs, size, frames in itertools.product(
                OUTPUTS, SIZES + LARGE * (self.kind is SHORTCUT), FRAMES
            )
        ]


def groups() -> Iterator[Group]:
    """All groups, in the order of the table."""
    for kind, channels_last, bf16 in itertools.product(KINDS, (True, False), (False, True)):
        yield from (Group(kind, inputs, channels_last, bf16) for inputs in INPUTS)


def survives(shapes: Iterable[Shape]) -> bool:
    """Run them in a child process; False where it died."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # a test runner has it report deaths, and these are expected
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)  # glibc's own words about the corruption
        for shape in shapes:
            shape.run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit("a child process failed with a Python error; run one shape by hand")
    return status == 0


def broken_shapes() -> list[Shape]:
    """Every shape that kills its process, under the mask this process was started with."""
    broken = []
    for group in groups():
        if not survives(group.shapes()):
            broken += [shape for shape in group.shapes() if not survives([shape])]
    return broken


def checking_environment(mask: str) -> dict[str, str]:
    """The environment of a process in which oneDNN is masked and glibc checks its blocks."""
    checked = {**os.environ, "ONEDNN_MAX_CPU_ISA": mask, "MALLOC_CHECK_": "3"}
    # Since glibc 2.34 the checks live in a library of their own.
    if library := ctypes.util.find_library("c_malloc_debug"):
        checked["LD_PRELOAD"] = library
    return {**checked, "OMP_NUM_THREADS": "1"}


def under_mask(mask: str) -> list[dict[str, object]]:
    """:func:`broken_shapes` of a process under ``mask``, as plain values."""
    command = [sys.executable, "-m", "benchmarks.convolution_faults", "--this-process"]
    done = subprocess.run(
        command, env=checking_environment(mask), stdout=subprocess.PIPE, text=True, check=True
    )
    return list(json.loads(done.stdout))


def plain(shape: Shape) -> dict[str, object]:
    """A shape as JSON holds it."""
    return {
        "kind": shape.kind.name,
        "inputs": shape.inputs,
        "outputs": shape.outputs,
        "size": shape.size,
        "frames": shape.frames,
        "channels_last": shape.channels_last,
        "bf16": shape.bf16,
        "allowed": shape.allowed,
    }


def table(results: dict[str, list[dict[str, object]]]) -> str:
    """A row for each kind, layout and precision: under each mask, the inputs that do not hold."""
    lines = ["| convolution | memory | precision | " + " | ".join(results) + " |"]
    lines.append("|---" * (3 + len(results)) + "|")
    for kind, last, bf16 in itertools.product(KINDS, (True, False), (False, True)):
        cells = [_inputs(broken, kind.name, last, bf16) for broken in results.values()]
        memory, precision = "channels last" if last else "contiguous", "bf16" if bf16 else "fp32"
        lines.append(f"| {kind.name} | {memory} | {precision} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _inputs(broken: list[dict[str, object]], kind: str, last: bool, bf16: bool) -> str:
    wanted = (kind, last, bf16)
    found = {
        int(str(one["inputs"]))
        for one in broken
        if (one["kind"], one["channels_last"], one["bf16"]) == wanted
    }
    return f"corrupts at inputs {', '.join(map(str, sorted(found)))}" if found else "holds"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print every broken shape as JSON")
    parser.add_argument("--this-process", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.this_process:
        print(json.dumps([plain(shape) for shape in broken_shapes()]))
        return
    results = {mask: under_mask(mask) for mask in MASKS}
    processor = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    tried = sum(len(group.shapes()) for group in groups())
    say = partial(print, file=sys.stderr if arguments.json else sys.stdout)
    say(f"torch {torch.__version__}, {processor}, {tried} shapes under each mask\n")
    say(table(results))
    allowed = [one for broken in results.values() for one in broken if one["allowed"]]
    say(f"\nbroken shapes that the settings allow: {len(allowed)}")
    if arguments.json:
        print(json.dumps(results, indent=2))
    if allowed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
