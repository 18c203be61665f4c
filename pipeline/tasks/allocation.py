"""Memory that was freed is used again, not handed back and zeroed anew by the kernel.

A window's events are a few megabytes, inflated into fresh memory each time. glibc learns by itself to
keep such blocks, unless the environment sets one of its thresholds: the workers of dask start with
``MALLOC_TRIM_THRESHOLD_`` set, and voxelize a quarter slower for it.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 32 << 20  # bytes, the most glibc takes; beyond any usual window


def keep_freed_memory() -> None:
    """Let this process keep blocks of up to 32 MB when it frees them; without glibc nothing happens."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _KEPT)
            mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT)
