"""Lists of files for downloaders: every name survives, or is refused."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.selection.file_list import file_list, listed_files, write_file_list
from pipeline.selection.manifest import Manifest
from pipeline.selection.scan import scan_release
from tests.pipeline.releases import write_recording

NAMES = ["-rf", "# no comment", "; nor here", "a b", "a\\b", "*", "déjà", "a\nb"]


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    root = tmp_path / "release"
    write_recording(root, "train/trainfilelist00/plain", shards=(1,))
    for name in NAMES:
        for kind in ("events", "labels"):
            shutil.copytree(
                root / "train/trainfilelist00" / kind / "plain",
                root / "train/trainfilelist00" / kind / name,
            )
    return scan_release(root)


def test_names_up_to_a_zero_byte_are_all_there(manifest, tmp_path):
    write_file_list(manifest, tmp_path / "files", null=True)
    with (tmp_path / "files").open("rb") as file:
        done = subprocess.run(
            ["xargs", "-0", "ls", "-1d", "--zero", "--"], stdin=file, cwd=manifest.root,
            capture_output=True, check=True,
        )  # fmt: skip
    assert sorted(done.stdout.split(b"\0")[:-1]) == sorted(map(os.fsencode, listed_files(manifest)))


def test_a_name_that_fits_no_line_is_refused_and_nothing_is_written(manifest, tmp_path):
    with pytest.raises(UsageError, match="--null"):
        write_file_list(manifest, tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_no_line_begins_as_a_comment_or_an_option(manifest):
    rows = tuple(row for row in manifest.recordings if "\n" not in row.id)
    lines = file_list(replace(manifest, recordings=rows)).decode().splitlines()
    assert len(lines) == 2 * len(NAMES)
    assert all(line.startswith("train/") for line in lines)
    assert all((manifest.root / Path(line)).exists() for line in lines)
