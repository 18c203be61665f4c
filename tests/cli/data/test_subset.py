"""`dmanet-data subset` and `dmanet-data manifest` as a user types them."""

import json
import shutil

import pytest

from cli.data.subset import subset
from pipeline.selection.subset import TIME_LIMIT
from tests.cli.data.commands import refused, run

RECIPE = "format: dmanet-subset\nversion: 1\nstrategy: balanced\nseed: 0\nbudget: 1GB\n"


def test_a_recipe_and_its_options_give_the_same_manifest(manifest, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    said = run("subset", manifest, "--recipe", recipe, "-o", one)
    assert said.exit_code == 0, said.output
    assert "recordings_digest " in said.stdout
    assert run(
        "subset", manifest, "--budget", "1GB", "--strategy", "balanced", "-o", other
    ).exit_code == 0  # fmt: skip
    assert one.read_bytes() == other.read_bytes()
    same = run("manifest", "diff", one, other)
    assert same.exit_code == 0
    assert "the same: 5 recordings" in same.stdout.replace("\u202f", " ")


def test_a_target_alone_is_its_strategy_and_budgets_by_split_are_kept(manifest, tmp_path):
    output = tmp_path / "s.json"
    done = run(
        "subset", manifest, "--budget", "train=1GB,test=1GB", "--target", "car=0.4", "-o", output
    )
    assert done.exit_code == 0, done.output
    subset = json.loads(output.read_text())["subset"]
    assert subset["strategy"] == "target"
    assert subset["split_budgets"] == {"train": 10**9, "test": 10**9}
    assert list(subset["reached"]) == ["train", "test"]


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ((), "give --budget"),
        (("--budget", "dev=1GB"), "'dev' is not a split"),
        (("--budget", "train=1GB,train=2GB"), "stands twice"),
        (("--budget", "train="), "not like train=30GB"),
        (("--budget", "1GB", "--target", "car=2"), "from 0 to 1"),
        (("--budget", "1GB", "--strategy", "target"), "go together"),
        (("--budget", "1GB", "--strategy", "first", "--target", "car=0.2"), "go together"),
        (("--budget", "1GB", "--include", "dev/*"), "fits no recording"),
        (("--budget", "1GB", "--time-limit", "nan"), "nan"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_nothing_is_written(
    manifest, tmp_path, options, saying
):
    refused("subset", manifest, *options, "-o", tmp_path / "s.json", code=2, saying=saying)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_and_what_it_says_are_not_given_together(manifest, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    arguments = ("subset", manifest, "--recipe", recipe, "-o", tmp_path / "s.json")
    refused(*arguments, "--exclude-classes", "car", code=2, saying="--exclude-classes and --recipe")


def test_manifest_verify_names_each_wrong_file(release, manifest, tmp_path):
    root = shutil.copytree(release, tmp_path / "release")
    sound = run("manifest", "verify", root, manifest)
    assert sound.exit_code == 0, sound.output
    wrong = sorted(root.rglob("*.npz"))[1]
    wrong.write_bytes(wrong.read_bytes()[:-1])
    done = run("manifest", "verify", root, manifest)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0].startswith(f"{wrong}: has ")
    assert "faults found: 1" in done.stderr.splitlines()[1]


def test_manifest_diff_ends_with_one_where_they_differ(manifest, tmp_path):
    part = tmp_path / "part.json"
    assert run("subset", manifest, "--budget", "train=1GB", "-o", part).exit_code == 0
    done = run("manifest", "diff", manifest, part)
    assert done.exit_code == 1
    assert f"only in {manifest}: 2" in done.stdout.replace("\u202f", " ")
    assert "  test/testfilelist00/rec_t" in done.stdout.splitlines()


def test_the_time_limit_is_that_of_the_function():
    (option,) = [option for option in subset.params if option.name == "time_limit"]
    assert option.default == TIME_LIMIT
