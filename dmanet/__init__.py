"""DMANet: model, training and evaluation, fed from a pillar cache.

What a notebook uses can be imported from here, see docs/python.md; all else from its own module.
Names are imported when they are first used: ``import dmanet`` takes no time, and settings no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmanet.data.batches import collate
    from dmanet.data.dataset import WindowDataset
    from dmanet.data.points import read_points
    from dmanet.data.unpacking import decode_batch
    from dmanet.evaluation.detector import load_detector
    from pipeline.pictures.cached_windows import draw_cached_window

__all__ = [
    "WindowDataset",
    "collate",
    "decode_batch",
    "draw_cached_window",
    "load_detector",
    "read_points",
]

_MODULES = {
    "WindowDataset": "dmanet.data.dataset",
    "collate": "dmanet.data.batches",
    "decode_batch": "dmanet.data.unpacking",
    "draw_cached_window": "pipeline.pictures.cached_windows",
    "load_detector": "dmanet.evaluation.detector",
    "read_points": "dmanet.data.points",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dmanet' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)
