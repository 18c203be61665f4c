"""A shell completes commands, options, choices and files, and no answer imports what is heavy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_help import HEAVY

PAGE = Path(__file__).parents[2] / "docs" / "completion.md"
PROGRAMS = {"dmanet-data": "cli.data", "dmanet": "cli.main"}
SHELLS = ("bash", "zsh", "fish")


def ask(program: str, instruction: str, **environment: str) -> tuple[str, set[str]]:
    """What the program prints to a shell, and which modules that took."""
    code = (
        f"import sys; from {PROGRAMS[program]} import main\n"
        f"try: main(prog_name='{program}')\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, variable: instruction, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, {name.split(".")[0] for name in done.stderr.split()}


def completed(program: str, typed: str) -> list[str]:
    """What bash is offered for the last word of ``typed``."""
    words = typed.split(" ")
    printed, modules = ask(
        program, "bash_complete", COMP_WORDS=f"{program} {typed}", COMP_CWORD=str(len(words))
    )
    assert not HEAVY & modules
    return printed.split()


@pytest.mark.parametrize(
    ("program", "typed", "offered"),
    [
        ("dmanet-data", "vox", ["plain,voxelize"]),
        ("dmanet-data", "manifest d", ["plain,diff"]),
        ("dmanet", "import", ["plain,import-weights"]),
        ("dmanet", "train cache --run", ["plain,--run-dir"]),
        ("dmanet", "evaluate cache --split t", ["plain,train", "plain,test"]),
        ("dmanet-data", "voxelize sub", ["file,sub"]),
        ("dmanet-data", "verify ca", ["dir,ca"]),
        ("dmanet", "evaluate cache --checkpoint runs/", ["file,runs/"]),
    ],
)
def test_a_word_is_completed_without_heavy_imports(program, typed, offered):
    assert completed(program, typed) == offered


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_script_is_complete(program, shell, tmp_path):
    script, _ = ask(program, f"{shell}_source")
    assert f"_{program.upper().replace('-', '_')}_COMPLETE={shell}_complete" in script
    binds = {"bash": "complete -o", "zsh": "compdef", "fish": "complete --no-files"}
    assert binds[shell] in script
    path = tmp_path / f"script.{shell}"
    path.write_text(script)
    if shutil.which(shell):
        subprocess.run([shell, "-n", path], check=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash on PATH")
def test_bash_completes_with_the_script(tmp_path):
    stand_in = tmp_path / "dmanet-data"
    stand_in.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c '
        '\'from cli.data import main; main(prog_name="dmanet-data")\' "$@"\n'
    )
    stand_in.chmod(0o755)
    script = (
        'eval "$(_DMANET_DATA_COMPLETE=bash_source dmanet-data)"\n'
        "COMP_WORDS=(dmanet-data vox); COMP_CWORD=1\n"
        '_dmanet_data_completion dmanet-data; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(PAGE.parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["voxelize"], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_page_tells_each_shell(shell):
    for program in PROGRAMS:
        variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
        assert f"{variable}={shell}_source {program}" in PAGE.read_text()
