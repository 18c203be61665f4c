"""The usual event-camera model: log intensity in, events out.

Each pixel remembers a reference level. When the log intensity, taken as linear in time between two
rendered frames, has moved from the reference by the pixel's contrast threshold, the pixel reports
an event and the reference moves by that threshold, so one large step gives several events.
Thresholds differ a little between pixels (mismatch), a pixel that has just reported stays silent
for its refractory time, and events without a cause (background noise) fall anywhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit

from pipeline.release.shards import EVENT_DTYPE

_LONG_AGO = -(1 << 40)  # µs: no refractory time reaches back this far


@dataclass(frozen=True)
class CameraSettings:
    """How sensitive the camera is.

    Attributes:
        threshold: Contrast threshold in log intensity.
        mismatch: Its relative standard deviation between pixels and polarities.
        refractory_us: Shortest time between two events of a pixel, in µs.
        noise_hz: Events without a cause, over the whole sensor, a second.
    """

    threshold: float
    mismatch: float = 0.05
    refractory_us: int = 500
    noise_hz: float = 0.0


@njit(cache=True)
def count_crossings(
    level: np.ndarray, reference: np.ndarray, on: np.ndarray, off: np.ndarray
) -> np.ndarray:
    """Threshold crossings of each row, int64 ``[H]``, when the levels become ``level``.

    All arguments are float32 ``[H, W]``; ``on`` and ``off`` are the pixels' thresholds.
    """
    height, width = level.shape
    crossings = np.zeros(height, np.int64)
    for y in range(height):
        for x in range(width):
            change = level[y, x] - reference[y, x]
            if change >= on[y, x]:
                crossings[y] += np.int64(change / on[y, x])
            elif -change >= off[y, x]:
                crossings[y] += np.int64(-change / off[y, x])
    return crossings


@njit(cache=True)
def trace_crossings(
    before: np.ndarray,
    level: np.ndarray,
    reference: np.ndarray,
    on: np.ndarray,
    off: np.ndarray,
    duration: int,
    offsets: np.ndarray,
    pixels: np.ndarray,
    polarities: np.ndarray,
) -> int:
    """Write every crossing between the frames ``before`` and ``level``; move ``reference``.

    ``duration`` is the time between the frames in µs. Writes µs after ``before`` (int32), pixel
    index ``y * W + x`` (int32) and polarity (uint8), pixel by pixel.

    Returns:
        How many were written.
    """
    height, width = level.shape
    n = 0
    for y in range(height):
        for x in range(width):
            change = level[y, x] - reference[y, x]
            if change >= on[y, x]:
                step, polarity = on[y, x], 1
            elif -change >= off[y, x]:
                step, polarity = -off[y, x], 0
            else:
                continue
            crossings = np.int64(change / step)
            start = np.float64(reference[y, x])
            slope = np.float64(level[y, x]) - before[y, x]
            for k in range(1, crossings + 1):
                share = (start + k * np.float64(step) - before[y, x]) / slope if slope != 0 else 1.0
                offsets[n] = min(max(np.int64(share * duration), 0), duration - 1)
                pixels[n] = y * width + x
                polarities[n] = polarity
                n += 1
            reference[y, x] = start + crossings * np.float64(step)
    return n


@njit(cache=True)
def order_and_hold(
    offsets: np.ndarray,
    pixels: np.ndarray,
    polarities: np.ndarray,
    start: int,
    duration: int,
    refractory: int,
    last: np.ndarray,
    kept: np.ndarray,
) -> int:
    """Put crossings in time order (stable) and leave out those in a pixel's refractory time.

    ``start`` is the time of offset 0 in µs; ``last``, int64 ``[H * W]``, each pixel's last event in µs,
    is updated; ``kept``, int64 ``[N]``, receives the indices of the events that remain.

    Returns:
        How many remain.
    """
    slots = np.zeros(duration + 1, np.int64)
    for i in range(len(offsets)):
        slots[offsets[i] + 1] += 1
    for k in range(duration):
        slots[k + 1] += slots[k]
    order = np.empty(len(offsets), np.int64)
    for i in range(len(offsets)):
        order[slots[offsets[i]]] = i
        slots[offsets[i]] += 1
    n = 0
    for k in range(len(order)):
        i = order[k]
        t = start + offsets[i]
        if t - last[pixels[i]] >= refractory:
            last[pixels[i]] = t
            kept[n] = i
            n += 1
    return n


@njit(cache=True)
def count_events(
    frames: np.ndarray,
    settling: int,
    duration: int,
    thresholds: np.ndarray,
    phases: np.ndarray,
    refractory: int,
) -> np.ndarray:
    """Events that pixels give over a run of frames, for each candidate threshold, int64 ``[K]``.

    ``frames`` are float32 ``[F, N]``, N pixels, ``duration`` µs apart; the first ``settling`` spans
    between them are not counted. ``phases``, float32 ``[N]``, says where in -1…1 thresholds each
    pixel's reference starts. Neither mismatch nor noise.
    """
    totals = np.zeros(len(thresholds), np.int64)
    for k in range(len(thresholds)):
        step = thresholds[k]
        for i in range(frames.shape[1]):
            reference = frames[0, i] + phases[i] * step
            last = -1e18
            for f in range(1, frames.shape[0]):
                slope = frames[f, i] - frames[f - 1, i]
                sign = 1.0 if slope > 0 else -1.0
                while sign * (frames[f, i] - reference) >= step:
                    reference += sign * step
                    t = (f - 1 + (reference - frames[f - 1, i]) / slope) * duration
                    if t - last >= refractory:
                        last = t
                        totals[k] += f > settling
    return totals


class EventCamera:
    """A camera that is shown frames and gives the events between them.

    References start within one threshold of the first frame, at random, as those of a camera that has
    been running.

    Args:
        settings: The camera's settings.
        first: Log intensity at the begin, float32 ``[H, W]``.
        t_us: Time of the begin in µs.
        rng: Draws thresholds, references and noise.
    """

    def __init__(
        self, settings: CameraSettings, first: np.ndarray, t_us: int, rng: np.random.Generator
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._level = first.astype(np.float32)
        self._t = t_us
        shape = first.shape
        spread = [1 + settings.mismatch * rng.standard_normal(shape) for _ in range(2)]
        self.on, self.off = (  # float32 [H, W] each
            (settings.threshold * np.clip(s, 0.5, 1.5)).astype(np.float32) for s in spread
        )
        phase = rng.uniform(-1, 1, shape).astype(np.float32)
        self.reference = self._level + phase * np.minimum(self.on, self.off)  # float32 [H, W]
        self._last = np.full(first.size, _LONG_AGO, np.int64)

    def show(self, level: np.ndarray, t_us: int) -> np.ndarray:
        """Show the camera the next frame.

        Args:
            level: Log intensity at ``t_us``, float32 ``[H, W]``.
            t_us: Time of the frame in µs.

        Returns:
            Events in ``[time of the frame before, t_us)``, ``EVENT_DTYPE [N]``, sorted by time.
        """
        duration, width = t_us - self._t, level.shape[1]
        crossings = int(count_crossings(level, self.reference, self.on, self.off).sum())
        noise = int(self._rng.poisson(self._settings.noise_hz * duration * 1e-6))
        offsets = np.empty(crossings + noise, np.int32)
        pixels = np.empty(crossings + noise, np.int32)
        polarities = np.empty(crossings + noise, np.uint8)
        trace_crossings(
            *(self._level, level, self.reference, self.on, self.off, duration),
            *(offsets, pixels, polarities),
        )
        offsets[crossings:] = self._rng.integers(0, duration, noise)
        pixels[crossings:] = self._rng.integers(0, level.size, noise)
        polarities[crossings:] = self._rng.integers(0, 2, noise)
        kept = np.empty(crossings + noise, np.int64)
        count = order_and_hold(
            *(offsets, pixels, polarities, self._t, duration),
            *(self._settings.refractory_us, self._last, kept),
        )
        kept = kept[:count]
        events = np.empty(count, EVENT_DTYPE)
        events["t"] = self._t + offsets[kept]
        events["y"], events["x"] = np.divmod(pixels[kept], width)
        events["p"] = polarities[kept]
        self._level, self._t = level.copy(), t_us
        return events


def threshold_for_rate(
    runs: Iterable[np.ndarray],
    settling: int,
    duration: int,
    events: float,
    refractory_us: int,
    rng: np.random.Generator,
) -> float:
    """The contrast threshold with which a run of frames gives ``events`` events on average.

    ``runs`` are float32 ``[F, N]`` each, N pixels, frames ``duration`` µs apart; the first
    ``settling`` spans between them are not counted. Within 0.01…3; interpolated in the logarithms
    of a table of trial thresholds.
    """
    trials = np.geomspace(0.01, 3.0, 12)
    totals = []
    for frames in runs:
        phases = 2 * rng.random(frames[0].shape, np.float32) - 1
        totals.append(count_events(frames, settling, duration, trials, phases, refractory_us))
    rising = np.maximum.accumulate(np.mean(totals, axis=0)[::-1])  # as the threshold falls
    log_threshold = np.interp(np.log(events), np.log(rising + 1e-9), np.log(trials[::-1]))
    return float(np.exp(log_threshold))
