"""Names of what a pickle would import, found without importing it."""

import argparse
import collections
import os
import pickle
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from dmanet.runs.pickled_names import foreign_names


class Dangerous:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_import_is_named_and_none_is_made(tmp_path: Path, protocol):
    # The same names twice: later ones are fetched from the pickle's memo.
    content = [argparse.Namespace(a=1), Dangerous(tmp_path / "trap"), Fraction(1, 3)] * 2
    (tmp_path / "file.pth").write_bytes(pickle.dumps(content, protocol))
    names = set(foreign_names(tmp_path / "file.pth"))
    assert {"argparse.Namespace", "posix.mkdir", "fractions.Fraction"} <= names
    assert not (tmp_path / "trap").exists()


def test_a_checkpoint_of_the_old_format_names_what_is_beside_its_tensors(tmp_path: Path):
    state = collections.OrderedDict(a=torch.randn(40), b=torch.ones(3, dtype=torch.int64))
    for content, expected in (
        ({"state_dict": state, "epoch": 3}, []),
        ({"state_dict": state, "args": argparse.Namespace(lr=1.0)}, ["argparse.Namespace"]),
    ):
        path = tmp_path / "old.pth"
        torch.save(content, path, _use_new_zipfile_serialization=False)
        assert foreign_names(path) == expected


@given(st.binary(max_size=60))
@example(b"\x96\x00\x00\x00\x00\x00\x00\x00\x01")  # promises 2**56 bytes
def test_any_bytes_are_answered_with_names(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(data)
    assert isinstance(foreign_names(path), list)


@pytest.mark.parametrize("kept", [0, 1, 10, 40])
def test_a_pickle_cut_short_names_nothing(tmp_path: Path, kept):
    data = pickle.dumps(argparse.Namespace(a=1), 2)
    (tmp_path / "file").write_bytes(data[:kept])
    assert kept < len(data)
    assert foreign_names(tmp_path / "file") == []
