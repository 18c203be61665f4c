"""`dmanet-data ingest`, and the report on what it gave, on one process and on several."""

import numpy as np

from pipeline.release.shards import EVENT_DTYPE
from tests.cli.data.commands import GRID, run
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
