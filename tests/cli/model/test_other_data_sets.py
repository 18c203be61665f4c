"""Recordings of other data sets, from their own files to a score by their own classes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cli.data import main as data_main
from dmanet.runs.weights import load_weights
from pipeline.cache.reader import PillarCache
from pipeline.release.shards import EVENT_DTYPE
from pipeline.selection.manifest import read_manifest
from tests.cli.model.commands import QUICK, refused, run
from tests.pipeline.raw_files import BOX_DTYPE, write_dat

HEADER = "% Data file containing CD events.\n% Version 2\n% Height 240\n% Width 304\n"
SECONDS = 2.6
SMALL = ("--set", "model.grid_size=[32,32]", "--set", "model.max_points=5")


def data(*arguments: object, code: int = 0):
    result = CliRunner().invoke(data_main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def drive(path, seed):
    """A recording as Gen1 has it: a car of class 0 and a pedestrian of class 1 in every window."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    events = np.zeros(round(SECONDS * 4000), EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, round(SECONDS * 1e6), len(events)))
    events["x"], events["y"] = rng.integers(0, 304, len(events)), rng.integers(0, 240, len(events))
    events["p"] = rng.integers(0, 2, len(events))
    write_dat(path.with_name(f"{path.name}_td.dat"), events, HEADER)
    boxes = np.zeros(2 * round(SECONDS * 20), BOX_DTYPE)
    boxes["ts"] = np.repeat(np.arange(len(boxes) // 2) * 50_000, 2)
    boxes["class_id"] = boxes["track_id"] = np.arange(len(boxes)) % 2
    boxes["x"], boxes["y"] = 20, 30
    boxes["w"], boxes["h"] = np.where(boxes["class_id"] == 0, 80, 12), 36
    boxes["class_confidence"] = 1
    np.save(path.with_name(f"{path.name}_bbox.npy"), boxes)


@pytest.fixture(scope="module")
def gen1(tmp_path_factory):
    """A folder with Gen1's layout, ingested, chosen from and voxelized."""
    root = tmp_path_factory.mktemp("gen1")
    for seed, name in enumerate(("train/a", "train/b", "val/c", "test/d")):
        drive(root / "gen1" / name, seed)
    data("ingest", root / "gen1", root / "release", "--labels", "gen1", "--quiet")
    manifest, subset = root / "manifest.json", root / "subset.json"
    said = data("scan", root / "release", "-o", manifest, "--quiet")
    assert "boxes count as kept from 10 pixels a side and 30 across" in said.stderr
    assert "car, pedestrian" in said.stdout
    data("subset", manifest, "--budget", "1GB", "--strategy", "first", "-o", subset, "--quiet")
    data("voxelize", subset, root / "cache", "--grid", "32x32", "--quiet")
    return root


def test_the_boxes_are_counted_by_the_data_sets_names_and_rules(gen1):
    manifest = read_manifest(gen1 / "subset.json")
    windows = manifest.totals.windows
    assert manifest.totals.labels == manifest.totals.kept == {"car": windows, "pedestrian": windows}
    assert manifest.recordings[0].sensor == (304, 240)
    assert [row.split for row in manifest.recordings] == ["train", "train", "val", "test"]
    settings = PillarCache(gen1 / "cache").settings
    assert settings.output_names == ("car", "pedestrian")
    assert (settings.min_side, settings.min_diagonal) == (10, 30)


def test_reports_name_the_data_sets_classes(gen1, tmp_path):
    shown = data("info", gen1 / "cache").stdout
    assert "0 car, 1 pedestrian" in shown
    for source in ("cache", "subset.json"):
        page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
        data("stats", gen1 / source, "-o", page, "--json", numbers, "--quiet")
        found = json.loads(numbers.read_text())
        assert found["classes"] == ["car", "pedestrian"]
        assert found["source"]["class_map"] == "gen1"
        assert "2 classes of gen1" in page.read_text()
        assert found["splits"]["train"]["labels"].keys() == {"car", "pedestrian"}
        text = page.read_text()
        assert "pedestrian" in text
        assert "two wheeler" not in text


def test_a_network_learns_them_and_is_judged_by_their_names(gen1, tmp_path):
    run_dir, judged = tmp_path / "run", tmp_path / "judged.json"
    two = (*QUICK, *SMALL, "--set", "model.num_classes=2", "--quiet")
    done = run("train", gen1 / "cache", "--run-dir", run_dir, *two)
    assert done.exit_code == 0, done.output
    assert load_weights(run_dir / "last.pt").classes == ("car", "pedestrian")
    last = ("--checkpoint", run_dir / "last.pt", "--device", "cpu", "--quiet")
    done = run("evaluate", gen1 / "cache", *last, "--json", judged)
    assert done.exit_code == 0, done.output
    assert json.loads(judged.read_text())["conditions"]["classes"] == ["car", "pedestrian"]
    for protocol in ("prophesee", "rvt"):
        done = run("evaluate", gen1 / "cache", *last, "--json", judged, "--protocol", protocol)
        assert done.exit_code == 0, done.output
        found = json.loads(judged.read_text())
        rules = [found["protocol"][key] for key in ("data_set", "min_diagonal", "min_side")]
        assert rules == ["gen1", 30, 10]
        assert found["rows"][0]["labels"] > 0
    done = run("predict", gen1 / "cache", *last, "-o", tmp_path / "found", "--score", 0)
    assert done.exit_code == 0, done.output
    (boxes,) = (np.load(path) for path in (tmp_path / "found").rglob("*_bbox.npy"))
    assert set(boxes["class_id"]) <= {0, 1}
    # Its names are the DLUT's too, whose numbers for them are others: a cache that has both is fine.
    data("ingest", gen1 / "gen1", tmp_path / "dlut", "--quiet")
    again = ("--grid", "32x32", "--min-side", 10, "--min-diagonal", 30, "--quiet")
    data("voxelize", tmp_path / "dlut", tmp_path / "cars", *again)
    done = run("evaluate", tmp_path / "cars", *last, "--json", judged)
    assert done.exit_code == 0, done.output
    assert json.loads(judged.read_text())["conditions"]["classes"] == ["car", "pedestrian"]


def test_classes_to_learn_are_named_on_the_command_line(gen1, tmp_path):
    number = QUICK.index("model.num_classes=3")  # --classes says how many they are
    network = [*QUICK[: number - 1], *QUICK[number + 1 :], *SMALL, "--classes", "pedestrian"]
    done = run("train", gen1 / "cache", "--run-dir", tmp_path / "run", *network)
    assert done.exit_code == 0, done.output
    assert load_weights(tmp_path / "run" / "last.pt").classes == ("pedestrian",)
    saying = "has classes among car, pedestrian, this run's has bus; use a cache"
    network[-1] = "bus"
    refused("train", gen1 / "cache", "--run-dir", tmp_path / "two", *network, code=1, saying=saying)
    assert not (tmp_path / "two").exists()


def test_a_network_for_other_classes_is_refused(gen1, trained):
    saying = "has classes among car, pedestrian,"
    refused("evaluate", gen1 / "cache", "--checkpoint", trained, code=1, saying=saying)


def test_a_cache_of_other_classes_is_not_added_to(gen1, tmp_path):
    data("ingest", gen1 / "gen1", tmp_path / "dlut", "--quiet")
    size = (
        "--grid",
        "32x32",
        "--min-side",
        10,
        "--min-diagonal",
        30,
        "--classes",
        "car,pedestrian",
    )
    done = data("voxelize", tmp_path / "dlut", gen1 / "cache", *size, code=1)
    assert "made with classes = [0, 1], this run asks for [2, 0]" in done.stderr


def test_boxes_in_files_go_by_the_data_set_that_is_named(gen1, tmp_path):
    boxes = gen1 / "gen1" / "train"
    both = ("evaluate", "--gt", boxes, "--dt", boxes, "--protocol", "prophesee", "--quiet")
    done = run(*both, "--labels", "gen1", "--json", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "a.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["all", "car", "pedestrian"]
    assert found["rows"][0]["labels"] > 0
    assert found["conditions"]["labels"] == found["protocol"]["data_set"] == "gen1"


def test_a_cache_says_itself_what_its_classes_are(gen1, trained):
    call = ("evaluate", gen1 / "cache", "--checkpoint", trained, "--labels", "gen1")
    refused(*call, code=2, saying="--labels goes with --gt and --dt")
    refused("evaluate", "--labels", "kitti", code=2, saying="kitti")
