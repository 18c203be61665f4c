"""Draws one instant of a scene as log intensity: the street first, then the objects' parts.

Pixel ``(x, y)`` covers ``[x, x+1) x [y, y+1)``; brightness is taken at its centre. Edges are
anti-aliased over one pixel, so that an edge that moves by a fraction of a pixel changes the
intensity by that fraction, which the event camera needs.
"""

import numpy as np
from numba import njit

HORIZON_METRES = 110.0  # beyond it there is only haze
_HAZE_METRES = 70.0


@njit(cache=True)
def _sample(tile: np.ndarray, u: float, v: float) -> float:
    """Bilinear value of a square, periodic tile (side a power of two) at column u, row v."""
    fu, fv = np.floor(u), np.floor(v)
    a, b = u - fu, v - fv
    mask = tile.shape[0] - 1
    i, j = np.int64(fu) & mask, np.int64(fv) & mask
    i1, j1 = (i + 1) & mask, (j + 1) & mask
    top = tile[j, i] * (1.0 - a) + tile[j, i1] * a
    low = tile[j1, i] * (1.0 - a) + tile[j1, i1] * a
    return top * (1.0 - b) + low * b


@njit(cache=True)
def _level(texels: float, levels: int) -> int:
    """The blur level whose texels are at least as wide as a pixel that spans ``texels``."""
    level = 0
    while texels > 1.0 and level < levels - 1:
        texels *= 0.5
        level += 1
    return level


@njit(cache=True)
def draw_street(
    image: np.ndarray,
    ground: np.ndarray,
    wall: np.ndarray,
    sky: np.ndarray,
    roofs: np.ndarray,
    camera: np.ndarray,
) -> None:
    """Fill ``image`` (float32 ``[H, W]``, log intensity) with a street seen along its axis.

    A pinhole camera above the ground between two rows of buildings. ``ground`` and ``wall`` are
    tiles at several blur levels, float32 ``[L, N, N]``; ``sky`` float32 ``[N, N]``; ``roofs``
    float32 ``[2, R]``, the buildings' heights in metres, left and right row.
    ``camera`` is what :meth:`pipeline.scene.Scene.camera` gives.
    """
    height, width = image.shape
    focal, centre, horizon, east, north, up = camera[:6]
    texel, half_street, building = camera[6:9]
    levels, side = wall.shape[0], wall.shape[1]
    for y in range(height):
        below = y + 0.5 - horizon
        z_ground = focal * up / below if below > 0.01 else 1e9
        ground_level = _level(z_ground / focal / texel * max(1.0, z_ground / up), levels)
        for x in range(width):
            aside = x + 0.5 - centre
            row = 1 if aside >= 0 else 0
            reach = half_street - east if row else half_street + east
            z_wall = focal * reach / max(abs(aside), 0.01)
            z = min(z_ground, z_wall)
            value = _sample(sky, aside / focal * side, below / focal * side)
            if z < HORIZON_METRES:
                if z_ground <= z_wall:
                    value_near = _sample(
                        ground[ground_level],
                        (aside * z / focal + east) / texel,
                        (z + north) / texel,
                    )
                    cover = 1.0
                else:
                    tall = up - below * z / focal
                    along = z + north
                    roof = roofs[row, np.int64(np.floor(along / building)) % roofs.shape[1]]
                    cover = min(max((roof - tall) * focal / z + 0.5, 0.0), 1.0)
                    value_near = 0.0
                    if cover > 0.0:
                        level = _level(z / focal / texel * max(1.0, z / reach), levels)
                        value_near = _sample(
                            wall[level], along / texel + row * 0.37 * side, tall / texel
                        )
                near = np.exp(-z / _HAZE_METRES) * cover
                value = value * (1.0 - near) + value_near * near
            image[y, x] = value


@njit(cache=True)
def _edges(points: np.ndarray, count: int, radius: float, normals: np.ndarray) -> None:
    """Outward unit normals and offsets ``[8, 3]`` of a convex polygon in either orientation."""
    area = 0.0
    for i in range(count):
        j = (i + 1) % count
        area += points[i, 0] * points[j, 1] - points[j, 0] * points[i, 1]
    sign = 1.0 if area >= 0 else -1.0
    for i in range(count):
        j = (i + 1) % count
        dx, dy = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
        length = max(np.sqrt(dx * dx + dy * dy), 1e-9)
        normals[i, 0], normals[i, 1] = sign * dy / length, -sign * dx / length
        normals[i, 2] = normals[i, 0] * points[i, 0] + normals[i, 1] * points[i, 1]


@njit(cache=True)
def _distance(
    points: np.ndarray, count: int, radius: float, normals: np.ndarray, x: float, y: float
) -> float:
    """Signed distance in pixels to a part's outline, negative inside."""
    if radius > 0.0:
        dx, dy = points[1, 0] - points[0, 0], points[1, 1] - points[0, 1]
        px, py = x - points[0, 0], y - points[0, 1]
        square = dx * dx + dy * dy
        s = 0.0
        if square > 0.0:
            s = min(max((px * dx + py * dy) / square, 0.0), 1.0)
        px, py = px - s * dx, py - s * dy
        return np.sqrt(px * px + py * py) - radius
    worst = -1e9
    for i in range(count):
        worst = max(worst, normals[i, 0] * x + normals[i, 1] * y - normals[i, 2])
    return worst


@njit(cache=True)
def _reach(points: np.ndarray, count: int, radius: float) -> tuple[float, float, float, float]:
    """The part's own box: x0, y0, x1, y1."""
    x0 = x1 = points[0, 0]
    y0 = y1 = points[0, 1]
    for i in range(1, count):
        x0, x1 = min(x0, points[i, 0]), max(x1, points[i, 0])
        y0, y1 = min(y0, points[i, 1]), max(y1, points[i, 1])
    return x0 - radius, y0 - radius, x1 + radius, y1 + radius


@njit(cache=True)
def draw_parts(
    image: np.ndarray,
    points: np.ndarray,
    counts: np.ndarray,
    radii: np.ndarray,
    shades: np.ndarray,
    textures: np.ndarray,
    frames: np.ndarray,
    tile: np.ndarray,
) -> None:
    """Draw N parts over ``image`` (float32 ``[H, W]``) in the order given.

    ``points`` float64 ``[N, 8, 2]`` sensor pixels, ``counts`` int64 ``[N]``, ``radii`` pixels
    ``[N]``, ``shades`` log intensity ``[N]``, ``textures`` the surface pattern's amplitude ``[N]``,
    ``frames`` float64 ``[N, 4]``: the pattern's origin x, y in pixels, and texels a pixel in x and
    y (negative for an object that faces left). ``tile`` is the pattern, float32 ``[n, n]``.
    """
    height, width = image.shape
    normals = np.zeros((points.shape[1], 3))
    for n in range(len(counts)):
        count, radius = counts[n], radii[n]
        x0, y0, x1, y1 = _reach(points[n], count, radius)
        if x1 < -1 or y1 < -1 or x0 > width + 1 or y0 > height + 1:
            continue
        if radius == 0.0:
            _edges(points[n], count, radius, normals)
        for y in range(max(0, int(y0 - 1)), min(height, int(y1 + 2))):
            v = (y + 0.5 - frames[n, 1]) * frames[n, 3]
            for x in range(max(0, int(x0 - 1)), min(width, int(x1 + 2))):
                outside = _distance(points[n], count, radius, normals, x + 0.5, y + 0.5)
                cover = min(max(0.5 - outside, 0.0), 1.0)
                if cover > 0.0:
                    value = shades[n]
                    if textures[n] > 0.0:
                        u = (x + 0.5 - frames[n, 0]) * frames[n, 2]
                        value += textures[n] * _sample(tile, u, v)
                    image[y, x] = image[y, x] * (1.0 - cover) + value * cover


@njit(cache=True)
def mark_parts(
    owner: np.ndarray, points: np.ndarray, counts: np.ndarray, radii: np.ndarray, ids: np.ndarray
) -> None:
    """Write ``ids[n]`` into ``owner`` (int64 ``[H, W]``) where part n covers the pixel's centre."""
    height, width = owner.shape
    normals = np.zeros((points.shape[1], 3))
    for n in range(len(counts)):
        count, radius = counts[n], radii[n]
        x0, y0, x1, y1 = _reach(points[n], count, radius)
        if radius == 0.0:
            _edges(points[n], count, radius, normals)
        for y in range(max(0, int(y0)), min(height, int(y1 + 1))):
            for x in range(max(0, int(x0)), min(width, int(x1 + 1))):
                if _distance(points[n], count, radius, normals, x + 0.5, y + 0.5) <= 0.0:
                    owner[y, x] = ids[n]
