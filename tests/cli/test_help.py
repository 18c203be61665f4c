"""``--help`` answers at once. Imports decide this: the heavy ones stay inside the commands."""

import subprocess
import sys

import pytest

from cli import data, main

HEAVY = {
    "dask",
    "dmanet",
    "h5py",
    "matplotlib",
    "numba",
    "numpy",
    "pydantic",
    "torch",
    "yaml",
    "zarr",
}
GROUPS = {"cli.data": data.main, "cli.main": main.main}
PAGES = [(module, name) for module, group in GROUPS.items() for name in (None, *group.verbs)]


def imported(module: str, *arguments: str) -> tuple[list[str], set[str]]:
    """What the program of ``module`` prints in a process of its own, and what that imported."""
    code = (
        f"import sys; from {module} import main; main(sys.argv[1:], standalone_mode=False); "
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    *text, modules = done.stdout.strip().splitlines()
    return text, set(modules.split())


@pytest.mark.parametrize(("module", "name"), PAGES)
def test_help_has_an_example_and_needs_no_heavy_import(module, name):
    text, modules = imported(module, *([name] if name else []), "--help")
    assert not HEAVY & {found.split(".")[0] for found in modules}
    if name is not None:
        program = {"cli.data": "dmanet-data", "cli.main": "dmanet"}[module]
        assert f"{program} {name}" in " ".join(text[text.index("  Example:") :])


@pytest.mark.parametrize("module", GROUPS)
def test_a_command_is_imported_without_the_others(module):
    _, modules = imported(module, "info" if module == "cli.data" else "results", "--help")
    verbs = {address.split(":")[0] for address in GROUPS[module].verbs.values()}
    assert len(verbs & modules) == 1


def test_a_command_that_is_not_there_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "trian"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No such command 'trian'" in done.stderr
