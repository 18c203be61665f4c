"""Every command of docs/predict.md does what the page says, in the page's order."""

import re
import shutil
from pathlib import Path

import torch
from click.testing import CliRunner

from cli import data, main
from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.digests import content_digest
from tests.pipeline.voxelizing.test_live import recorded, write

PAGE = Path(__file__).parents[3] / "docs" / "predict.md"
PROGRAMS = {"dmanet": main.main, "dmanet-data": data.main}


def test_every_command_of_the_page_runs(cache, trained, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "drive.evt3", recorded(windows=25)).rename("driving.raw")
    (tmp_path / "cache").symlink_to(cache)
    Path("runs/one").mkdir(parents=True)
    for name in ("last.pt", "best.pt"):
        shutil.copy(trained, f"runs/one/{name}")
    content = load_checkpoint(trained).content()
    del content["cache_settings"]
    header = {"format": "dmanet-checkpoint", "version": 3, "digest": content_digest(content)}
    torch.save(header | content, "old.pt")
    lines = [
        line
        for block in re.findall(
            r"^```\w*\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE
        )
        for line in block.splitlines()
        if line.startswith("dmanet")
    ]
    assert len(lines) >= 10
    # The page saves detections in words before it exports them.
    lines.insert(
        1, "dmanet predict driving.raw --checkpoint runs/one/last.pt --save detections.json"
    )
    for line in lines:
        program, *arguments = line.split()
        if "--follow" in arguments:
            arguments += ["--stop-after", "0.3"]
        result = CliRunner().invoke(PROGRAMS[program], arguments, catch_exceptions=False)
        assert result.exit_code == 0, (line, result.output)
        for option in ("-o", "--save"):
            if option in arguments:
                assert Path(arguments[arguments.index(option) + 1]).exists(), line
