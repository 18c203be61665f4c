"""`dmanet-data ingest`, and the report on what it gave, on one process and on several."""

import numpy as np
import pytest

from pipeline.release.shards import EVENT_DTYPE
from tests.cli.data.commands import GRID, refused, run
from tests.pipeline.raw_files import write_dat


def test_ingest_and_stats_give_the_same_on_several_processes(tmp_path):
    for number in range(2):
        events = np.zeros(1200, EVENT_DTYPE)
        events["t"] = np.arange(1200) * 1000
        write_dat(tmp_path / f"{number}_td.dat", events)
    raws = sorted(tmp_path.glob("*_td.dat"))
    said, pages = [], []
    for workers in (1, 2):
        out, cache = tmp_path / f"release_{workers}", tmp_path / f"cache_{workers}" / "cache"
        said.append(run("ingest", *raws, out, "--workers", workers).stdout)
        assert run("voxelize", out, cache, *GRID).exit_code == 0
        pages.append(tmp_path / f"{workers}.html")
        assert run("stats", cache, "-o", pages[-1], "--workers", workers).exit_code == 0
    assert said[0] == said[1]
    assert [line.split(":")[0] for line in said[0].splitlines()[::3]] == [
        "train/train" + f"filelist00/{number}" for number in range(2)
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()


@pytest.mark.parametrize("skip", ["-1", "nan", "inf", "-inf", "3601", "1e300", "half"])
def test_a_skip_beyond_its_range_is_refused(tmp_path, skip):
    raw = tmp_path / "a_td.dat"
    write_dat(raw, np.zeros(1, EVENT_DTYPE))
    refused("ingest", raw, tmp_path / "out", f"--skip={skip}", code=2, saying="'--skip'")
    assert not (tmp_path / "out").exists()


def test_a_recording_that_begins_with_a_dash_is_a_name_like_any(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = np.zeros(1200, EVENT_DTYPE)
    events["t"] = np.arange(1200) * 1000
    write_dat(tmp_path / "-q_td.dat", events)
    for raw in (("--", "-q_td.dat", "one"), ("./-q_td.dat", "two")):
        assert run("ingest", *raw).exit_code == 0
        assert list((tmp_path / raw[-1]).glob("train/*/events/-q/ev001.npz"))
