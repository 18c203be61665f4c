"""The house stands as `docs/architecture.md` draws it."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
MODULES = [
    path
    for package in ("pipeline", "dmanet", "cli", "dmanet_jittor")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
]
FORBIDDEN = {
    "pipeline": {"torch", "dmanet", "cli", "dmanet_jittor"},
    "dmanet": {"cli", "dmanet_jittor"},
    "cli": {"dmanet_jittor"},
    "dmanet_jittor": {"torch"},
}


def test_the_page_names_every_module():
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    missing = {path.stem for path in MODULES if path.name != "__init__.py"} - named
    assert not missing


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_point_one_way(path):
    package = path.relative_to(REPOSITORY).parts[0]
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & FORBIDDEN[package]
