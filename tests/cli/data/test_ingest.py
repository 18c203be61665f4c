"""`dmanet-data ingest`, and the report on what it gave, on one process and on several."""

import numpy as np
import pytest

from pipeline.release.classes import CLASS_MAPS
from pipeline.release.members import read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.sensors import read_release
from pipeline.release.shards import EVENT_DTYPE
from tests.cli.data.commands import GRID, refused, run
from tests.pipeline.raw_files import BOX_DTYPE, HEADER, write_dat


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
    told = [sorted(text.split("train/")[1:]) for text in said]  # a recording when it is done
    assert told[0] == told[1]
    assert [block.split(":")[0] for block in told[0]] == [f"trainfilelist00/{k}" for k in range(2)]
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


def drive(path, *classes, header=HEADER, windows=24):
    """A recording, and a box of each class in its every window, as the original data sets have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = np.zeros(windows * 50, EVENT_DTYPE)
    events["t"] = np.arange(len(events)) * 1000
    events["p"] = events["t"] // 1000 % 2
    write_dat(path.with_name(f"{path.name}_td.dat"), events, header)
    boxes = np.zeros(windows * len(classes), BOX_DTYPE)
    boxes["ts"] = np.repeat(np.arange(windows) * 50_000, len(classes))
    boxes["class_id"] = np.tile(classes, windows)
    boxes["track_id"] = np.tile(np.arange(len(classes)), windows)
    boxes["w"] = boxes["h"] = 12
    boxes["class_confidence"] = 1
    np.save(path.with_name(f"{path.name}_bbox.npy"), boxes)


def written_classes(release, recording):
    shards = sorted(release.glob(f"*/*/labels/{recording}/*.npz"))
    return [read_labels(NpzFile(shard), 0)["class_id"].tolist() for shard in shards]


def test_boxes_are_written_under_the_chosen_classes(tmp_path):
    drive(tmp_path / "a", 0, 2, 3, 4, 9)
    wish = ("--labels", "1mpx", "--map", "bus=truck", "--classes", "truck,car")
    done = run("ingest", tmp_path, tmp_path / "out", *wish)
    assert "24 boxes of other classes left out" in done.output
    assert "1mpx (0 car, 1 truck)" in done.output
    assert written_classes(tmp_path / "out", "a") == [[0, 1, 1, 9]]
    assert read_release(tmp_path / "out").class_map.classes == ("car", "truck")


def test_a_release_with_other_classes_is_refused_and_left_as_it_is(tmp_path):
    drive(tmp_path / "raw" / "a", 0)
    drive(tmp_path / "more" / "b", 0)
    out = tmp_path / "out"
    assert run("ingest", tmp_path / "raw", out, "--labels", "gen1").exit_code == 0
    before = sorted(path.name for path in out.rglob("*"))
    saying = "this release's classes are those of gen1"
    for wish in ((), ("--labels", "etram"), ("--labels", "gen1", "--classes", "car")):
        refused("ingest", tmp_path / "more", out, *wish, code=2, saying=saying)
    assert sorted(path.name for path in out.rglob("*")) == before
    assert run("ingest", tmp_path / "more", out, "--labels", "gen1").exit_code == 0


def test_a_data_set_gives_the_sensor_and_the_skip_where_nothing_else_does(tmp_path):
    silent = "% Data file containing CD events.\n% Version 2\n"
    drive(tmp_path / "raw" / "a", 0, header=silent)
    drive(tmp_path / "raw" / "b", 0)
    out = tmp_path / "out"
    assert run("ingest", tmp_path / "raw", out).exit_code == 3
    classes = tmp_path / "mine.yaml"
    classes.write_text("name: mine\nclasses: [dog]\nsensor: [80, 60]\nskip: 0\n")
    mine = tmp_path / "mine"
    assert run("ingest", tmp_path / "raw", mine, "--labels", classes).exit_code == 0
    assert read_release(mine).sensors == {
        "train/train" + "filelist00/a": (80, 60),
        "train/train" + "filelist00/b": (64, 48),
    }
    assert len(written_classes(mine, "a")) == 2  # the first half second too
    assert read_release(mine).class_map.classes == ("dog",)


@pytest.mark.parametrize(
    "wish",
    [
        ("--labels", "kitti"),
        ("--labels", "gen1", "--map", "bus=car"),
        ("--map", "bus"),
        ("--map", "=bus"),
        ("--map", "bus="),
        ("--classes", "tram"),
        ("--classes", ","),
        ("--classes", ""),
    ],
)
def test_a_wish_for_classes_that_cannot_be_met_is_refused(tmp_path, wish):
    drive(tmp_path / "a", 0)
    refused("ingest", tmp_path / "a_td.dat", tmp_path / "out", *wish, code=2, saying="")
    assert not (tmp_path / "out").exists()


def test_both_orders_of_a_box_files_fields_give_the_same_release(tmp_path):
    drive(tmp_path / "one" / "a", 1, 0)
    drive(tmp_path / "two" / "a", 1, 0)
    path = tmp_path / "two" / "a_bbox.npy"
    boxes = np.load(path)
    fields = ["ts", "x", "y", "w", "h", "class_id", "class_confidence", "track_id"]
    other = np.zeros(len(boxes), [(name, boxes.dtype[name]) for name in fields])
    for name in fields:
        other[name] = boxes[name]
    np.save(path, other)
    for name in ("one", "two"):
        assert (
            run("ingest", tmp_path / name, tmp_path / f"{name}_out", "--labels", "gen1").exit_code
            == 0
        )
        assert written_classes(tmp_path / f"{name}_out", "a") == [[1, 0]]
    assert read_release(tmp_path / "one_out").class_map == CLASS_MAPS["gen1"]
