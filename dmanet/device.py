"""Where to compute and in which precision."""

import os
import resource
import sys
from contextlib import AbstractContextManager

import torch

from dmanet.models.detector import DMANet
from dmanet.ranks import launched
from pipeline.errors import UsageError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """The device ``cpu``, ``cuda`` or ``cuda:1``; ``auto`` is the GPU where there is one.

    Raises:
        UsageError: the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device '{name}' is unknown; choose auto, cpu, cuda or cuda:1.") from None
    if device.type not in DEVICES:
        raise UsageError(f"device '{name}' is not supported; choose auto, cpu, cuda or cuda:1.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device '{name}' is not there ({torch.cuda.device_count()} CUDA devices are visible); "
            "choose cpu, or check the driver and the CUDA build of torch."
        )
    return device


def own_device(name: str) -> torch.device:
    """The device as :func:`choose_device` has it, or this process's own GPU under torchrun.

    Raises:
        UsageError: the device is not there.
    """
    device = choose_device(name)
    if device.type != "cuda" or not launched():
        return device
    number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if device.index is not None:
        raise UsageError(
            f"device '{name}': the processes of torchrun take a GPU each; give --device cuda, and "
            "choose among the GPUs with CUDA_VISIBLE_DEVICES."
        )
    if number >= there:
        raise UsageError(
            f"torchrun started more processes on this machine than it has GPUs ({there}); give "
            f"--nproc-per-node={there}, or --device cpu."
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def choose_precision(name: str, device: torch.device) -> str:
    """The precision ``fp32``, ``bf16`` or ``fp16``; ``auto`` is bf16 where the device computes in it.

    Raises:
        UsageError: the precision is unknown.
    """
    if name not in PRECISIONS:
        raise UsageError(f"precision '{name}' is unknown; choose {', '.join(PRECISIONS)}.")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # Without such instructions bf16 on a CPU is emulated, and slower than float32. torch tells of
    # them through these names alone: what the processor has, and what oneDNN may use of it (less
    # where ONEDNN_MAX_CPU_ISA says so).
    instructions = torch.cpu._is_avx512_bf16_supported()
    allowed = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if instructions and allowed else "fp32"


def place(model: DMANet, device: torch.device) -> DMANet:
    """The network on ``device``, its convolutions in the memory layout that is fastest there."""
    placed: DMANet = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Compute convolutions and matrix products in ``precision``, ``fp32``, ``bf16`` or ``fp16``."""
    context: AbstractContextManager[None] = torch.autocast(
        device.type, _AUTOCAST.get(precision), enabled=precision in _AUTOCAST
    )
    return context


def peak_memory_gb(device: torch.device) -> float:
    """Largest memory held so far, 10⁹ bytes: by tensors on a GPU, else by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest * (1 if sys.platform == "darwin" else 1024) / 1e9
