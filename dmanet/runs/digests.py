"""A digest of what a file holds: of plain values and tensors, whatever the file's own form."""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def content_digest(content: Any) -> str:
    """SHA-256 of a value, 64 hexadecimal digits.

    It changes with every number, text, key, type, dtype and shape, and with nothing else: the order of
    keys, a tensor's device and its layout in memory do not matter.

    Args:
        content: dictionaries, lists, tuples, texts, numbers, booleans, None, and tensors.
    """
    digest = hashlib.sha256()
    _add(digest, content)
    return digest.hexdigest()


def add_tensor(digest: "hashlib._Hash", tensor: Tensor) -> None:
    """Take a tensor's dtype, shape and numbers into a digest."""
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy().data)


def _add(digest: "hashlib._Hash", value: Any) -> None:
    if isinstance(value, Tensor):
        digest.update(b"tensor ")
        add_tensor(digest, value)
    elif isinstance(value, Mapping):
        digest.update(f"mapping {len(value)} ".encode())
        for key in sorted(value, key=lambda key: (type(key).__name__, key)):
            _add(digest, key)
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__} {len(value)} ".encode())
        for inner in value:
            _add(digest, inner)
    elif isinstance(value, float):
        digest.update(b"float " + struct.pack("<d", value))
    elif isinstance(value, str):
        encoded = value.encode("utf-8", "surrogatepass")
        digest.update(f"text {len(encoded)} ".encode() + encoded)
    elif value is None or isinstance(value, bool | int):
        digest.update(f"{type(value).__name__} {value} ".encode())
    else:
        raise TypeError(f"a checkpoint holds no {type(value).__name__}")
