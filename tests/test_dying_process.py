"""A test whose process dies is named in the report, and the run ends as failed, not in an error."""

import subprocess
import sys
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
DEADLY = """
import os, pytest
@pytest.mark.parametrize("number", range(4))
def test_deadly(number):
    if number == 2:
        os.abort()
"""
HARMLESS = """
import pytest
@pytest.mark.parametrize("number", range(4))
def test_harmless(number):
    pass
"""


def test_a_dying_process_is_reported_with_the_name_of_its_test(tmp_path: Path):
    (tmp_path / "test_deadly.py").write_text(DEADLY)
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(HARMLESS)
    command = [sys.executable, "-m", "pytest", "-c", str(PYPROJECT), "--rootdir", str(tmp_path)]
    options = ["-q", "-n", "2", "--dist", "loadfile", str(tmp_path)]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "crashed while running 'test_deadly.py::test_deadly[2]'" in done.stdout
    assert "INTERNALERROR" not in done.stdout
    assert "1 failed" in done.stdout
    assert done.returncode == 1
