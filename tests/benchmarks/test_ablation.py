"""The ablation: each arm changes what it says, and what is done is not done again."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.ablation import (
    ARMS,
    Scale,
    make_caches,
    make_run,
    run_folder,
    scale_of,
    seeds_table,
)
from dmanet.reporting.results import differing_settings, read_runs
from dmanet.settings import MODEL_PRESETS
from pipeline.cache.reader import PillarCache
from pipeline.errors import UsageError
from pipeline.release.labels import CLASS_NAMES
from pipeline.simulation.recordings import SimulationSettings

SCALE = Scale(
    SimulationSettings(
        sensor=(128, 72), recordings={"train": 2, "test": 1}, seconds=1.0, rate=300, objects=6
    ),
    grid=32,
    min_diagonal=0,
    min_side=0,
    preset="tiny",
    overrides=(
        "model.grid_size=[32, 32]",
        "model.stem_width=8",
        "model.feature_size=8",
        "training.epochs=1",
    ),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture(scope="module")
def caches(place) -> dict[str, Path]:
    return make_caches(place, SCALE, 1)


@pytest.fixture(scope="module")
def folders(place, caches) -> list[Path]:
    """Every arm, and the first with a second seed."""
    made = []
    for name, seed in [*((name, 0) for name in ARMS), ("adaptive", 1)]:
        folder = run_folder(place, name, seed)
        settings = SCALE.settings(ARMS[name], seed)
        assert make_run(caches[ARMS[name].cache], settings, folder, "cpu") > 0
        made.append(folder)
    return made


def test_the_caches_differ_in_their_preset_alone(caches):
    release, paper = (PillarCache(caches[preset]).settings for preset in ("release", "paper"))
    assert release != paper
    assert paper.model_copy(update={"preset": "release"}) == release
    assert release.classes == tuple(range(len(CLASS_NAMES)))


def test_a_release_of_other_settings_is_refused(place, caches):
    other = replace(SCALE, simulation=replace(SCALE.simulation, seed=5))
    with pytest.raises(UsageError, match="give another --out"):
        make_caches(place, other, 1)
    assert make_caches(place, SCALE, 1) == caches


def test_arms_differ_in_their_memories_and_their_cache_alone(folders):
    runs = read_runs(folders)
    long, short = "model.long_memory", "model.short_memory"
    assert differing_settings(runs) == {
        long: ["adaptive", "plain", "none", "adaptive", "none", "adaptive", "adaptive"],
        short: [True, True, True, False, False, True, True],
        "training.seed": [0, 0, 0, 0, 0, 0, 1],
    }
    assert [run.cache == runs[0].cache for run in runs] == [True] * 5 + [False, True]
    assert [len(run.evaluations) for run in runs] == [1] * 7
    assert all(run.evaluations[0].checkpoint == "last.pt" for run in runs)


def test_what_is_done_stays_and_what_is_begun_goes_on(caches, folders):
    folder, settings = folders[0], SCALE.settings(ARMS["adaptive"], 0)
    before = (folder / "evaluation.json").read_text()
    assert make_run(caches["release"], settings, folder, "cpu") == 0
    (folder / "evaluation.json").unlink()  # as if it had been killed before its evaluation
    assert make_run(caches["release"], settings, folder, "cpu") > 0
    assert (folder / "evaluation.json").read_text() == before
    with pytest.raises(UsageError, match="a run of other settings"):
        make_run(caches["release"], SCALE.settings(ARMS["plain"], 0), folder, "cpu")


def test_seeds_are_told_together(folders):
    runs = read_runs(folders)
    header, _, first, second, *_ = (
        [cell.strip() for cell in line[1:-1].split(" | ")]
        for line in seeds_table(runs).splitlines()
    )
    adaptive, plain = dict(zip(header, first, strict=True)), dict(zip(header, second, strict=True))
    assert (adaptive["arm"], adaptive["seeds"], plain["seeds"]) == ("adaptive", "2", "1")
    least, most = sorted(run.last_loss for run in runs if run.folder.name.startswith("adaptive"))
    mean = (least + most) / 2
    assert adaptive["loss, last epoch"] == f"{mean:.3f} ({least:.3f}…{most:.3f})"
    assert plain["loss, last epoch"] == f"{runs[1].last_loss:.3f}"


def test_the_large_network_is_the_released_one_on_its_grid():
    scale = scale_of("dmanet18", quick=False)
    settings = scale.settings(ARMS["adaptive"], 0)
    assert settings.model == MODEL_PRESETS["dmanet18"]
    assert (scale.grid, scale.grid) == settings.model.grid_size
    assert scale.cache_settings("paper").max_points == settings.model.max_points
