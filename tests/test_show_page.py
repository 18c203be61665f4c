"""`docs/show.md`: its commands and its block of Python run as they stand."""

import re
import shlex
from pathlib import Path

import av

from tests.cli.data.commands import GRID, RECORDING, run
from tests.pipeline.releases import write_recording

PAGE = (Path(__file__).parents[1] / "docs" / "show.md").read_text(encoding="utf-8")


def test_the_page_does_what_it_says(tmp_path, monkeypatch):
    write_recording(tmp_path / "release", RECORDING, seed=1)
    assert run("voxelize", tmp_path / "release", tmp_path / "cache", *GRID).exit_code == 0
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^dmanet-data (.*?) *(?:#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands[1:]:  # the first wants a terminal
        result = run(*shlex.split(command))
        assert result.exit_code == 0, result.output
        assert Path(command.split()[-1]).stat().st_size > 1000
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/show.md", "exec"), {})
    with av.open("slow.mp4") as film:
        assert film.streams.video[0].average_rate == 5
        assert sum(1 for _ in film.decode(video=0)) == 20
