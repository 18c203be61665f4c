"""JSON and YAML that others wrote, parsed within bounds: nothing runs, nothing is guessed.

What comes out is plain: dictionaries with text keys, lists, texts, numbers, booleans, null. What it
means is for the typed models of each room.
"""

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

LARGEST_DOCUMENT = 256 << 20  # bytes; a manifest of the whole DLUT release has about 20 MB
LARGEST_SETTINGS = 1 << 20  # bytes of YAML


class MalformedError(ValueError):
    """A document that says nothing, or the same thing twice; the message is part of a sentence."""


def parse_json(data: bytes | str) -> Any:
    """JSON in UTF-8, each key of an object once, every number finite.

    Raises:
        MalformedError: it is anything else, or nested too deeply.
    """
    try:
        # json itself would take bytes for UTF-16 or UTF-32 where they look like it.
        text = data if isinstance(data, str) else data.decode("utf-8")
        return _JSON.decode(text)
    except MalformedError:
        raise
    except RecursionError:
        raise MalformedError("it is nested too deeply") from None
    except ValueError as error:  # also text that is not UTF-8
        raise MalformedError(f"it is not JSON: {_one_line(error)}") from None


def parse_yaml(text: str) -> Any:
    """YAML of plain values: no aliases, no tags beyond those of JSON's values, each key once.

    A date stays the text it is.

    Raises:
        MalformedError: it is anything else, nested too deeply, or larger than settings ever are.
    """
    if len(text) > LARGEST_SETTINGS:
        raise MalformedError(f"it is longer than {LARGEST_SETTINGS} characters")
    try:
        return yaml.load(text, _PlainLoader)
    except MalformedError:
        raise
    except RecursionError:
        raise MalformedError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise MalformedError(f"it is not YAML of plain values: {_one_line(error)}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedError(f"the key {twice!r} stands twice in one object")
    return found


def _no_number(text: str) -> None:
    raise MalformedError(f"{text} is no number of JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


class _PlainLoader(yaml.SafeLoader):
    """A SafeLoader that knows fewer things."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise MalformedError("it has an alias (*name); write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise MalformedError("it has a mapping that is none")
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise MalformedError(f"the key {key!r} is no text")
            if key in found:
                raise MalformedError(f"the key {key!r} stands twice")
            found[key] = self.construct_object(value_node, deep=deep)
        return found


# Texts, numbers, booleans and null only: no dates, sets, binaries or ordered maps.
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if not tag.endswith((":timestamp", ":merge"))]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 takes 1e-4 for a text; YAML 1.2 and everybody who types it mean the number.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)
_PLAIN_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")
_PlainLoader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _PLAIN_TAGS
}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
