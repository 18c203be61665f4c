"""`docs/results.md` speaks of the arms that the benchmark has, and of the networks as they are."""

from pathlib import Path

from benchmarks.ablation import ARMS, scale_of
from dmanet.models.size import parameter_count

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def table(title: str) -> list[dict[str, str]]:
    """The first table below a title."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line[1:-1].split(" | ") for line in section.splitlines() if line.startswith("|")]
    header, _, *body = [[cell.strip() for cell in row] for row in rows]
    return [dict(zip(header, row, strict=True)) for row in body]


def test_every_arm_is_told_with_the_size_of_its_network():
    scale = scale_of("tiny", quick=False)
    counts = {
        name: str(parameter_count(scale.settings(arm, 0).model)) for name, arm in ARMS.items()
    }
    assert {row["arm"]: row["parameters"] for row in table("By arm")} == counts


def test_runs_are_whole_and_stand_with_their_protocol():
    scale = scale_of("tiny", quick=False)
    runs = table("By run")
    assert [row["run"].rpartition("-")[0] for row in runs[::2]] == list(ARMS)
    for row in runs:
        arm = ARMS[row["run"].rpartition("-")[0]]
        model = scale.settings(arm, 0).model
        assert row["`model.long_memory`"] == model.long_memory
        assert row["`model.short_memory`"] == str(model.short_memory).lower()
        assert row["cache"] == f"{arm.cache} {scale.grid}x{scale.grid}"
        epochs = scale.settings(arm, 0).training.epochs
        assert row["epochs"] == f"{epochs} of {epochs}"
        assert (row["protocol"], row["split"]) == ("release", "test")


def test_the_means_are_those_of_the_runs():
    by_run = table("By run")
    for row in table("By arm"):
        mine = [r for r in by_run if r["run"].rpartition("-")[0] == row["arm"]]
        assert str(len(mine)) == row["seeds"]
        for measure in ("P", "R", "mAP@0.5", "mAP@0.5:0.95"):
            mean = sum(float(r[measure]) for r in mine) / len(mine)
            assert abs(float(row[measure].split()[0]) - mean) < 0.0011
