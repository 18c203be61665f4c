"""`dmanet` from a cache to pictures; and what none of its commands takes."""

import json
from pathlib import Path

import numpy as np

from dmanet.runs.weights import load_weights
from tests.cli.model.commands import QUICK, refused, run
from tests.dmanet.caches import LONG


def test_train_evaluate_and_predict_work_one_after_the_other(cache, trained, tmp_path: Path):
    result = run("evaluate", cache, "--checkpoint", trained, "--json", tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    assert "protocol name release" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["all", "40"] in [row[:2] for row in rows]
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["conditions"]["weights"] == load_weights(trained).fingerprint()

    out = tmp_path / "predictions"
    result = run(
        "predict", cache, "--checkpoint", trained, "--recording", LONG, "--windows", "3:9",
        "--pictures", 2, "--score", 0, "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{out / LONG}_bbox.npy" in result.stdout
    assert "in 6 windows, 2 pictures" in result.stdout
    assert len(list(out.rglob("*.png"))) == 2
    assert len(np.load(f"{out / LONG}_bbox.npy")) > 0


def test_a_missing_or_foreign_cache_is_one_sentence(trained, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("hello")
    for name, code, saying, to_predict in (
        ("absent", 2, "absent: no such cache", "absent: No such file or directory"),
        ("empty", 1, "not a pillar cache", "not a pillar cache"),
        ("file", 2, "is no folder", "for a recording, or --save for its boxes"),
    ):
        path = tmp_path / name
        refused("train", path, "--run-dir", tmp_path / "run", *QUICK, code=code, saying=saying)
        refused("evaluate", path, "--checkpoint", trained, code=code, saying=saying)
        out = ("-o", tmp_path / "p")
        refused("predict", path, "--checkpoint", trained, *out, code=code, saying=to_predict)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_a_wrong_checkpoint_is_one_sentence(cache, trained, tmp_path: Path):
    text = tmp_path / "notes.pt"
    text.write_text("not a checkpoint")
    short = tmp_path / "short.pt"
    short.write_bytes(trained.read_bytes()[:5000])
    for path, code, saying in (
        (tmp_path / "absent.pt", 2, "absent.pt: No such file"),
        (tmp_path, 2, "is a folder"),
        (text, 1, "notes.pt: cannot be read as a checkpoint"),
        (short, 1, "short.pt: cannot be read as a checkpoint"),
    ):
        refused("evaluate", cache, "--checkpoint", path, code=code, saying=saying)
        out = tmp_path / "out"
        refused("predict", cache, "--checkpoint", path, "-o", out, code=code, saying=saying)
        assert not out.exists()
