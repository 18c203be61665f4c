"""JSON that a person reads as well as a program."""

import json
from typing import Any


def readable_json(value: Any, indent: str = "") -> str:
    """JSON with a line for each field, and whatever fits on one line kept on it.

    Args:
        value: plain values.
        indent: spaces that stand before it.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= 140 or not isinstance(value, dict | list | tuple):
        return flat
    inner = indent + " "
    if isinstance(value, dict):
        body = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {readable_json(item, inner)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(body) + f"\n{indent}}}"
    if not any(isinstance(item, dict) for item in value):  # a table: one line for each row
        body = [inner + json.dumps(item, ensure_ascii=False) for item in value]
    else:
        body = [inner + readable_json(item, inner) for item in value]
    return "[\n" + ",\n".join(body) + f"\n{indent}]"
