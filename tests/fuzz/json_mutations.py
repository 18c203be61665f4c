"""Changes to a JSON document that keep it JSON, or nearly."""

import json
import random
from typing import Any

_RAW = "raw:"  # a text that begins so is written without its quotation marks

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 0.5, -0.0, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 63, 1 << 70),
    *("", "x", "0", "-1", "nan", "x" * 20_000, "../../..", "/", ".", "\0", "a\nb", "☃", "1e5"),
    *([], {}, [[]], [1], [-1, 2, 3], ["x"], {"x": 1}, {"": None}, [None] * 3000, [1 << 40] * 2),
    *(f"{_RAW}NaN", f"{_RAW}Infinity", f"{_RAW}1e999", f"{_RAW}{'9' * 5000}", f'{_RAW}"\\ud800"'),
    *(
        f"{_RAW}{'[' * 300}{']' * 300}",
        f"{_RAW}{'[' * 30_000}",
        f'{_RAW}{{"a":1,"a":2}}',
        f"{_RAW}01",
    ),
)


def mutate(document: Any, rng: random.Random) -> str:
    """The text of ``document`` after one to three changes."""
    changed = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        changed = _change(changed, rng)
    return dumps(changed)


def dumps(document: Any) -> str:
    """JSON, with the raw pieces as they are."""
    pieces: list[str] = []

    def write(value: Any) -> str:
        if isinstance(value, str) and value.startswith(_RAW):
            return value.removeprefix(_RAW)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(k)}: {write(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(write(item) for item in value) + "]"
        return json.dumps(value)

    pieces.append(write(document))
    return "".join(pieces)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += _places(value[key])
    return found


def _change(document: Any, rng: random.Random) -> Any:
    places = _places(document) if isinstance(document, dict | list) else []
    if not places or rng.random() < 0.02:
        return rng.choice(VALUES)
    container, key = rng.choice(places)
    kind = rng.choice(("value", "value", "value", "number", "remove", "add", "copy", "rename"))
    if kind == "number" and type(container[key]) is int:
        container[key] += rng.choice((-1, 1, 10, 1 << 20, -(1 << 40), 1 << 62))
    elif kind == "remove":
        del container[key]
    elif kind == "add" and isinstance(container, dict):
        container[rng.choice(("extra", "", "format", "__class__", "a\nb"))] = rng.choice(VALUES)
    elif kind == "add":
        container.insert(key, rng.choice(VALUES))
    elif kind == "copy":
        source, name = rng.choice(places)
        if name in (source if isinstance(source, dict) else range(len(source))):
            container[key] = json.loads(json.dumps(source[name]))
    elif kind == "rename" and isinstance(container, dict):
        container[f"{key}x"] = container.pop(key)
    else:
        container[key] = rng.choice(VALUES)
    return document
