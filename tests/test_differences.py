"""`docs/differences.md`: every test it names exists, every row names one, every count is computed."""

import ast
import re
from pathlib import Path

import pytest
import torch

from dmanet.models.detector import DMANet
from dmanet.settings import ModelSettings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")


def rows(section: str) -> list[str]:
    """The rows of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return lines[2:]


SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}
COUNTS = rows(SECTIONS.pop("Parameters by depth"))


def names_of_tests(path: Path) -> set[str]:
    """Names of a file's tests, those of classes as ``Class::test``."""

    def names(body: list[ast.stmt], prefix: str = "") -> set[str]:
        found = set()
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                found |= names(node.body, f"{node.name}::")
        return found

    return names(ast.parse(path.read_text(encoding="utf-8")).body)


@pytest.mark.parametrize("path", sorted({path for path, _ in TEST_ID.findall(PAGE)}))
def test_every_test_that_is_named_exists(path):
    named = {name for where, name in TEST_ID.findall(PAGE) if where == path}
    assert (ROOT / path).is_file()
    assert named <= names_of_tests(ROOT / path)


@pytest.mark.parametrize("title", SECTIONS)
def test_every_row_names_its_test_and_nothing_in_backquotes_is_overlooked(title):
    assert rows(SECTIONS[title])
    for row in rows(SECTIONS[title]):
        last = re.split(r"(?<!\\)\|", row)[-2]
        assert TEST_ID.sub("", last).strip(", ") == "", row
        assert TEST_ID.search(last), row


def test_parameters_are_counted_as_the_table_says():
    stated = {}
    for row in COUNTS:
        depth, _, count = (cell.strip() for cell in row.strip("|").split("|"))
        stated[int(depth)] = int(count.replace(" ", ""))
    with torch.device("meta"):
        counted = {
            depth: sum(p.numel() for p in DMANet(ModelSettings(depth=depth)).parameters())
            for depth in (18, 34, 50, 101, 152)
        }
    assert stated == counted
