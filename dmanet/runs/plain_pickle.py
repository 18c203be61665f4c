"""The plain values that a pickle describes, read from its instructions: nothing is imported or run.

What ``torch.save`` makes of tensors and plain containers is understood, and nothing else. A tensor is
not read here: what comes out says where its numbers are.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Item sizes in bytes of the kinds of numbers that a tensor may have, by torch's names.
ITEM_SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
}  # fmt: skip
_STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
}
_MOST_DIMENSIONS = 16
_LARGEST_SIZE = 2**48  # of an axis, a step or an offset, which also an empty tensor has
_MOST_INSTRUCTIONS = 4_000_000
_MOST_VALUES = (
    4_000_000  # a run on 10 000 recordings has 30 000; a few bytes can stand for billions
)
_DEEPEST = 32  # values within values


class PlainPickleError(ValueError):
    """A pickle is damaged, or says more than plain values; the message is part of a sentence."""


@dataclass(frozen=True)
class Storage:
    """Numbers of one kind in a row.

    Attributes:
        record: name of the record that holds their bytes.
        dtype: a key of :data:`ITEM_SIZES`.
        numbers: how many.
    """

    record: str
    dtype: str
    numbers: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.numbers * ITEM_SIZES[self.dtype]


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's numbers are; they lie within the storage, each element has its own."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """Something imported, by its dotted name."""

    dotted: str


class _Mark:
    """Where the arguments of a later instruction begin on the stack."""


def read_plain_pickle(data: bytes) -> Any:
    """The value that a pickle describes: dictionaries, lists, tuples, texts, numbers, StoredTensors.

    Raises:
        PlainPickleError: it is damaged or holds anything else.
    """
    try:
        value = _run(data)
    except PlainPickleError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
        raise PlainPickleError(f"its index is damaged ({type(error).__name__})") from None
    _check_extent(value)
    return value


def _run(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        name = opcode.name
        if number > _MOST_INSTRUCTIONS:
            raise PlainPickleError("its index has no end")
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _ARGUMENTS:
            stack.append(argument)
        elif name in _GETS:
            stack.append(memo[argument])
        elif name in _PUTS:
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in _ACTIONS:
            _ACTIONS[name](stack)
        elif name == "GLOBAL":
            stack.append(_known(str(argument).replace(" ", ".")))
        elif name == "STOP":
            (value,) = stack
            return value
        elif name not in _IGNORED:
            raise PlainPickleError(f"it holds more than plain values ({name.lower()})")
    raise PlainPickleError("its index has no end")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = max(k for k, value in enumerate(stack) if isinstance(value, _Mark))
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _tuple(count: int) -> Callable[[list[Any]], None]:
    def gather(stack: list[Any]) -> None:
        values = tuple(_popped(stack) for _ in range(count))
        stack.append(values[::-1])

    return gather


def _popped(stack: list[Any]) -> Any:
    value = stack.pop()
    if isinstance(value, _Mark):
        raise PlainPickleError("its index is damaged")
    return value


def _extend(stack: list[Any], values: list[Any]) -> None:
    if type(stack[-1]) is not list:
        raise PlainPickleError("it appends to what is no list")
    stack[-1].extend(values)


def _set(stack: list[Any], values: list[Any]) -> None:
    if type(stack[-1]) is not dict or len(values) % 2:
        raise PlainPickleError("it sets items of what is no dictionary")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | int | float | bool | None):
            raise PlainPickleError("a dictionary has a key that is no plain value")
        stack[-1][key] = value


def _append(stack: list[Any]) -> None:
    value = _popped(stack)
    _extend(stack, [value])


def _set_item(stack: list[Any]) -> None:
    value, key = _popped(stack), _popped(stack)
    _set(stack, [key, value])


def _extend_since_mark(stack: list[Any]) -> None:
    values = _since_mark(stack)
    _extend(stack, values)


def _set_since_mark(stack: list[Any]) -> None:
    values = _since_mark(stack)
    _set(stack, values)


def _named(stack: list[Any]) -> None:
    name, module = _popped(stack), _popped(stack)
    stack.append(_known(f"{module}.{name}"))


def _known(dotted: str) -> _Name:
    if dotted not in _STORAGES and dotted not in _FUNCTIONS:
        raise PlainPickleError(f"it holds Python objects ({dotted[:80]})")
    return _Name(dotted)


def _storage(stack: list[Any]) -> None:
    kind, name, record, _, numbers = _popped(stack)
    if kind != "storage" or not isinstance(name, _Name) or name.dotted not in _STORAGES:
        raise PlainPickleError("a tensor has a kind of numbers that is not known")
    if not isinstance(record, str) or type(numbers) is not int or numbers < 0:
        raise PlainPickleError("a tensor's storage is damaged")
    stack.append(Storage(record, _STORAGES[name.dotted], numbers))


def _build(stack: list[Any]) -> None:
    """Attributes of an ordered dictionary, which torch ignores as we do."""
    _popped(stack)
    if type(stack[-1]) is not dict:
        raise PlainPickleError("it gives attributes to what has none")


def _reduce(stack: list[Any]) -> None:
    arguments, function = _popped(stack), _popped(stack)
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise PlainPickleError("it calls what is no function")
    if function.dotted not in _FUNCTIONS:
        raise PlainPickleError("it calls what is no function")
    stack.append(_FUNCTIONS[function.dotted](*arguments))


def _dictionary(items: Any = ()) -> dict[Any, Any]:
    made: list[Any] = [{}]
    pairs = items.items() if isinstance(items, dict) else items
    _set(made, [part for key, value in pairs for part in (key, value)])
    found: dict[Any, Any] = made[0]
    return found


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> StoredTensor:
    sizes = (offset, *shape, *stride)
    if (
        not isinstance(storage, Storage)
        or any(type(size) is not int or size < 0 for size in sizes)
        or not isinstance(shape, tuple)
        or not isinstance(stride, tuple)
        or len(shape) != len(stride)
        or len(shape) > _MOST_DIMENSIONS
        or max(sizes) > _LARGEST_SIZE
    ):
        raise PlainPickleError("a tensor's shape is damaged")
    numbers = math.prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if numbers > storage.numbers or (numbers and last >= storage.numbers):
        raise PlainPickleError("a tensor claims more numbers than it has")
    return StoredTensor(storage, offset, shape, stride)


def _check_extent(value: Any) -> None:
    """Refuse values within values without end, which a few bytes can describe."""
    left, seen = [(value, 0)], 0
    while left:
        one, depth = left.pop()
        inner = list(one.values()) if isinstance(one, dict) else one
        if isinstance(inner, _Name | _Mark | Storage):
            raise PlainPickleError("it holds Python objects")
        if not isinstance(inner, list | tuple):
            continue
        seen += len(inner)
        if depth >= _DEEPEST or seen > _MOST_VALUES:
            raise PlainPickleError("it holds values within values without end")
        left += [(value, depth + 1) for value in inner]


# What torch.save names, and what it stands for here.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "collections.Counter": _dictionary,
    "torch.Size": tuple,
    "torch.device": lambda *parts: ":".join(map(str, parts)),
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *rest: tensor,
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_ARGUMENTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_GETS = {"BINGET", "LONG_BINGET"}
_PUTS = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_IGNORED = {"PROTO", "FRAME"}
_ACTIONS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": _append,
    "APPENDS": _extend_since_mark,
    "SETITEM": _set_item,
    "SETITEMS": _set_since_mark,
    "STACK_GLOBAL": _named,
    "BINPERSID": _storage,
    "BUILD": _build,
    "REDUCE": _reduce,
}
