"""Draws one instant of a scene as log intensity: the street first, then the objects' parts.

Pixel ``(x, y)`` covers ``[x, x+1) x [y, y+1)``; brightness is taken at its centre. Edges are
anti-aliased over one pixel, so that an edge that moves by a fraction of a pixel changes the
intensity by that fraction, which the event camera needs.
"""

import numpy as np
from numba import njit

HORIZON_METRES = 110.0  # beyond it there is only haze
HAZE = 0.45  # log intensity far away
_HAZE_METRES = 40.0


@njit(cache=True, error_model="numpy")
def _sample(tile: np.ndarray, u: float, v: float) -> float:
    """Bilinear value of a square, periodic tile (side a power of two) at column u, row v."""
    i, j = np.int64(u + 65536.0), np.int64(v + 65536.0)  # floor, for |u| and |v| below 65536
    a, b = np.float32(u + 65536.0 - i), np.float32(v + 65536.0 - j)
    mask = np.int64(tile.shape[0] - 1)  # unsigned indices spare the test for negative ones
    i0, j0 = np.uint64(i & mask), np.uint64(j & mask)
    i1, j1 = np.uint64((i + 1) & mask), np.uint64((j + 1) & mask)
    top = tile[j0, i0] + (tile[j0, i1] - tile[j0, i0]) * a
    low = tile[j1, i0] + (tile[j1, i1] - tile[j1, i0]) * a
    return top + (low - top) * b


@njit(cache=True, error_model="numpy")
def _level(texels: float, levels: int) -> int:
    """The blur level whose texels are at least as wide as a pixel that spans ``texels``."""
    level = 0
    while texels > 1.0 and level < levels - 1:
        texels *= 0.5
        level += 1
    return level


@njit(cache=True, error_model="numpy")
def draw_street(
    image: np.ndarray,
    step: int,
    ground: np.ndarray,
    wall: np.ndarray,
    sky: np.ndarray,
    roofs: np.ndarray,
    camera: np.ndarray,
) -> None:
    """Fill ``image`` (float32 ``[H, W]``, log intensity) with a street seen along its axis.

    A pinhole camera above the ground between two rows of buildings. ``step``: the image shows
    every ``step``-th sensor pixel in x and y. ``ground`` and ``wall`` are tiles at several blur
    levels, float32 ``[L, N, N]``; ``sky`` float32 ``[N, N]``; ``roofs`` float32 ``[2, R]``, the
    buildings' heights in metres, left and right row. ``camera`` is what
    :meth:`pipeline.simulation.scene.Scene.camera` gives.
    """
    height, width = image.shape
    focal, centre, horizon, east, north, up = camera[:6]
    texel, half_street, building = camera[6:9]
    per_focal, per_texel = 1.0 / focal, 1.0 / texel
    levels, side = wall.shape[0], wall.shape[1]
    z_wall, zoom_wall, u_wall = np.empty(width), np.empty(width), np.empty(width)
    near_wall, roof = np.empty(width), np.empty(width)
    wall_level = np.empty(width, np.int64)
    for x in range(width):
        aside = x * step + 0.5 - centre
        row = 1 if aside >= 0 else 0
        reach = half_street - east if row else half_street + east
        z = min(focal * reach / max(abs(aside), 0.01), HORIZON_METRES)
        z_wall[x], zoom_wall[x] = z, focal / z
        u_wall[x] = (z + north) / texel % side + row * 0.37 * side
        near_wall[x] = np.exp(-z / _HAZE_METRES)
        roof[x] = roofs[row, np.int64((z + north) / building) % roofs.shape[1]]
        wall_level[x] = _level(z / focal / texel * max(1.0, z / reach), levels)
    for y in range(height):
        below = y * step + 0.5 - horizon
        z = focal * up / below if below > 0.01 else 1e9
        near = np.exp(-z / _HAZE_METRES)
        level = _level(z / focal / texel * max(1.0, z / up), levels)
        ground_tile = ground[level]
        u_scale, v = z / focal / texel, (min(z, HORIZON_METRES) + north) / texel % side
        sky_v = below / focal * side
        for x in range(width):
            aside = x * step + 0.5 - centre
            if z <= z_wall[x]:
                value = _sample(ground_tile, aside * u_scale + east / texel, v)
                image[y, x] = HAZE + (value - HAZE) * near
            else:
                tall = up - below * z_wall[x] * per_focal
                cover = min(max((roof[x] - tall) * zoom_wall[x] + 0.5, 0.0), 1.0)
                value = 0.0
                if cover > 0.0:
                    near_value = _sample(wall[wall_level[x]], u_wall[x], tall * per_texel)
                    value = cover * (HAZE + (near_value - HAZE) * near_wall[x])
                if cover < 1.0:
                    value += (1.0 - cover) * _sample(sky, aside * per_focal * side, sky_v)
                image[y, x] = value


@njit(cache=True, error_model="numpy")
def _edges(points: np.ndarray, count: int, normals: np.ndarray) -> None:
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def _reach(points: np.ndarray, count: int, radius: float) -> tuple[float, float, float, float]:
    """The part's own box: x0, y0, x1, y1."""
    x0 = x1 = points[0, 0]
    y0 = y1 = points[0, 1]
    for i in range(1, count):
        x0, x1 = min(x0, points[i, 0]), max(x1, points[i, 0])
        y0, y1 = min(y0, points[i, 1]), max(y1, points[i, 1])
    return x0 - radius, y0 - radius, x1 + radius, y1 + radius


@njit(cache=True, error_model="numpy")
def draw_parts(
    image: np.ndarray,
    step: int,
    points: np.ndarray,
    counts: np.ndarray,
    radii: np.ndarray,
    shades: np.ndarray,
    textures: np.ndarray,
    frames: np.ndarray,
    tile: np.ndarray,
) -> None:
    """Draw N parts over ``image`` (float32 ``[H, W]``) in the order given.

    ``step``: the image shows every ``step``-th sensor pixel in x and y.
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
        if radius == 0.0:
            _edges(points[n], count, normals)
        first_x, first_y = max(0, int((x0 - 1) / step)), max(0, int((y0 - 1) / step))
        for j in range(first_y, min(height, int((y1 + 1) / step) + 1)):
            y = j * step + 0.5
            v = (y - frames[n, 1]) * frames[n, 3]
            for i in range(first_x, min(width, int((x1 + 1) / step) + 1)):
                x = i * step + 0.5
                outside = _distance(points[n], count, radius, normals, x, y)
                if outside < 0.5:
                    value = shades[n]
                    if textures[n] > 0.0:
                        value += textures[n] * _sample(tile, (x - frames[n, 0]) * frames[n, 2], v)
                    image[j, i] += (value - image[j, i]) * min(0.5 - outside, 1.0)


@njit(cache=True, error_model="numpy")
def mark_parts(
    owner: np.ndarray, points: np.ndarray, counts: np.ndarray, radii: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    """Write ``ids[n]`` into ``owner`` where part n covers a pixel's centre; later parts win.

    ``owner``: int32 ``[H, W]``, -1 where nothing is; ids from 0. Returns the pixels each id owns
    among those written here, int64 ``[max id + 1]``.
    """
    height, width = owner.shape
    normals = np.zeros((points.shape[1], 3))
    owned = np.zeros(ids.max() + 1 if len(ids) else 0, np.int64)
    for n in range(len(counts)):
        count, radius = counts[n], radii[n]
        x0, y0, x1, y1 = _reach(points[n], count, radius)
        if radius == 0.0:
            _edges(points[n], count, normals)
        for y in range(max(0, int(y0)), min(height, int(y1 + 1))):
            for x in range(max(0, int(x0)), min(width, int(x1 + 1))):
                if _distance(points[n], count, radius, normals, x + 0.5, y + 0.5) <= 0.0:
                    if owner[y, x] >= 0:
                        owned[owner[y, x]] -= 1
                    owned[ids[n]] += 1
                    owner[y, x] = ids[n]
    return owned
