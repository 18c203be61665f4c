"""Random changes to a file's bytes, as disks, networks and impatient people make them."""

import random

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """``data`` after one to four changes; another one than ``data``."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(changed, rng)
    if bytes(changed) == data:
        changed.append(rng.randrange(256))
    return bytes(changed)


def _change(data: bytearray, rng: random.Random) -> None:
    kind = rng.choice(
        ("bit", "bit", "byte", "number", "cut", "remove", "repeat", "insert", "zero", "swap")
    )
    if not data or kind == "insert":
        place = rng.randrange(len(data) + 1)
        data[place:place] = rng.randbytes(rng.choice((1, 2, 9, 64)))
        return
    # Headers are at the begin and at the end: most changes are there.
    edge = min(len(data), 256)
    place = rng.choice(
        (rng.randrange(edge), len(data) - 1 - rng.randrange(edge), rng.randrange(len(data)))
    )
    size = rng.choice((1, 2, 4, 8, 30, 100))
    if kind == "bit":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[place] = rng.randrange(256)
    elif kind == "number":
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice(_NUMBERS) % (1 << (8 * width))
        data[place : place + width] = number.to_bytes(width, "little")
    elif kind == "cut":
        del data[place:]
    elif kind == "remove":
        del data[place : place + size]
    elif kind == "repeat":
        data[place:place] = data[place : place + size] * rng.choice((1, 3))
    elif kind == "zero":
        data[place : place + size] = bytes(size)
    else:
        other = rng.randrange(len(data))
        data[place], data[other] = data[other], data[place]
