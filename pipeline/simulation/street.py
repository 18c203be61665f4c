"""The still part of a simulated scene: a street's ground, buildings and sky as periodic tiles."""

from dataclasses import dataclass

import numpy as np

TEXEL, BUILDING, HALF_STREET = 0.06, 7.68, 8.0  # metres; whole buildings fill a tile
_TILE, _LEVELS = 512, 6  # texels, blur levels


def _noise(rng: np.random.Generator, side: int, slope: float, finest: float) -> np.ndarray:
    """Periodic noise of mean 0 and standard deviation 1, float64 ``[side, side]``.

    Amplitude falls as frequency to the power ``-slope``; nothing finer than ``finest`` texels.
    """
    fx, fy = np.fft.rfftfreq(side), np.fft.fftfreq(side)[:, None]
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = np.inf
    weight = frequency**-slope * np.exp(-((frequency * finest) ** 2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * weight, (side, side))
    return field / field.std()


def _blur_levels(tile: np.ndarray) -> np.ndarray:
    """The tile blurred for footprints of 1, 2, 4, … texels, float32 ``[L, N, N]``."""
    side = len(tile)
    square = np.fft.rfftfreq(side) ** 2 + np.fft.fftfreq(side)[:, None] ** 2
    spectrum = np.fft.rfft2(tile)
    levels = [
        np.fft.irfft2(spectrum * np.exp(-2 * (np.pi * 0.5 * 2**k) ** 2 * square), tile.shape)
        for k in range(_LEVELS)
    ]
    return np.stack(levels).astype(np.float32)


@dataclass(frozen=True)
class Surroundings:
    """Log intensity of what does not move: periodic tiles and roof heights (metres)."""

    ground: np.ndarray  # float32 [L, N, N], L blur levels
    wall: np.ndarray  # float32 [L, N, N]
    sky: np.ndarray  # float32 [N, N]
    roofs: np.ndarray  # float32 [2, 16]
    pattern: np.ndarray  # float32 [256, 256], standard deviation 1: the surface of objects


def make_surroundings(rng: np.random.Generator) -> Surroundings:
    """A street of its own for each generator: lane marks, storeys with windows, roofs, clouds."""
    metres = np.arange(_TILE) * TEXEL
    ground = -0.1 + 0.06 * _noise(rng, _TILE, 0.8, 3)
    across = np.minimum(metres, _TILE * TEXEL - metres)  # distance from the street's middle line
    dashes = (metres % 7.68 < 3.0)[:, None]
    ground += 0.45 * ((np.abs(across - 1.75) < 0.08) & dashes)
    ground += 0.3 * (np.abs(across - 5.2) < 0.15)
    wall = 0.08 * _noise(rng, _TILE, 1.0, 3)
    building = (metres // BUILDING).astype(int)
    wall += rng.uniform(-0.25, 0.25, building.max() + 1)[building]
    panes = ((metres % 2.56) > 1.3) & ((metres % 2.56) < 2.3)
    storeys = ((metres % 3.07) > 1.1) & ((metres % 3.07) < 2.5)
    wall -= 0.35 * (storeys[:, None] & panes)
    sky = 0.45 + 0.05 * _noise(rng, _TILE, 1.5, 8)
    roofs = rng.uniform(5.0, 13.0, (2, 16))
    return Surroundings(
        ground=_blur_levels(ground),
        wall=_blur_levels(wall),
        sky=sky.astype(np.float32),
        roofs=roofs.astype(np.float32),
        pattern=_noise(rng, 256, 0.6, 4).astype(np.float32),
    )
