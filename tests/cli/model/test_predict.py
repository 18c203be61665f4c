"""`dmanet predict` as a user types it."""

from pathlib import Path

from tests.cli.model.commands import refused, run
from tests.dmanet.caches import TEST_A


def test_predict_takes_the_test_split_when_nothing_is_chosen(cache, trained, tmp_path: Path):
    out = tmp_path / "out"
    result = run("predict", cache, "--checkpoint", trained, "--pictures", 0, "-o", out)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["a_bbox.npy", "b_bbox.npy"]


def test_wrong_choices_end_with_exit_code_2(cache, trained, tmp_path: Path):
    predict = ("predict", cache, "--checkpoint", trained, "-o", tmp_path / "out")
    refused(*predict, "--windows", "0:5", code=2, saying="--windows needs --recording")
    for windows in ("5", "5:", "9:3", "0:21", "-1:3", "a:b"):
        refused(
            *predict, "--recording", TEST_A, f"--windows={windows}", code=2, saying="within 0:20"
        )
    refused(*predict, "--recording", "test/x/y", code=2, saying="holds no recording 'test/x/y'")
    refused(*predict, "--recording", TEST_A, "--split", "test", code=2, saying="exclude each other")
    refused(*predict, "--split", "val", code=2, saying="no windows of the split 'val'")
    refused(*predict, "--score", "2", code=2, saying="'--score'")
    assert list(tmp_path.iterdir()) == []
