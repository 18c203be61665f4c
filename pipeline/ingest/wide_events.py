"""Events as recordings have them, with times that the release's 32 bits may not hold."""

import numpy as np

BLOCK_EVENTS = (
    1 << 20
)  # 9 MB of the release's records; at most a few such arrays are held at a time

#: One event: time in µs, pixel, polarity (0 darker, 1 brighter).
WIDE_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
