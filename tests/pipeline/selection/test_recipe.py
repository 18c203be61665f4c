from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, SettingsError, UsageError
from pipeline.selection.recipe import choose_by_recipe, read_recipe, recordings_digest
from pipeline.selection.subset import choose_subset
from tests.pipeline.selection.test_subset import simulated

COMMITTED = Path(__file__).parents[3] / "data_manifests" / "dlut-40gb.yaml"
SOUND = "format: dmanet-subset\nversion: 1\nstrategy: balanced\nseed: 3\nbudget: 10GB\n"


def written(folder, text):
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_recipe_gives_what_its_words_give_as_arguments(tmp_path):
    text = SOUND + "include: ['train/*', 'val/*']\nexclude: ['*/r00?']\nclasses: [car, bus]\n"
    manifest = simulated(2)
    chosen = choose_by_recipe(manifest, read_recipe(written(tmp_path, text)))
    assert chosen == choose_subset(
        manifest,
        10**10,
        "balanced",
        classes=["car", "bus"],
        include=["train/*", "val/*"],
        exclude=["*/r00?"],
        seed=3,
    )


def test_the_committed_recipe_chooses_from_a_release_of_40_gigabytes_and_more():
    manifest = simulated(2, (120, 30, 30))
    recipe = read_recipe(COMMITTED)
    chosen = choose_by_recipe(manifest, recipe).manifest
    assert chosen.subset.split_budgets == {
        "train": 30 * 10**9,
        "val": 5 * 10**9,
        "test": 5 * 10**9,
    }
    assert 0.98 * 40e9 <= chosen.totals.bytes <= 40e9


def test_digests_that_a_recipe_states_are_held_to(tmp_path):
    manifest = simulated(2)
    digest = recordings_digest(choose_subset(manifest, 10**10, "balanced", seed=3).manifest)
    stated = f"source_digest: {manifest.digest}\nrecordings_digest: {digest}\n"
    recipe = read_recipe(written(tmp_path, SOUND + stated))
    assert recordings_digest(choose_by_recipe(manifest, recipe).manifest) == digest
    with pytest.raises(DataError, match="the recipe is for the manifest of digest"):
        choose_by_recipe(simulated(3), recipe)
    other = read_recipe(written(tmp_path, SOUND + f"recordings_digest: {'f' * 64}\n"))
    with pytest.raises(DataError, match="states another choice"):
        choose_by_recipe(manifest, other)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1\n", "has no keys"),
        ("", "has no keys"),
        ("a: [\n", "not YAML"),
        (SOUND + "seed: 4\n", "'seed' stands twice"),
        (SOUND + "sead: 4\n", "'sead' is not a setting"),
        (SOUND.replace("seed: 3\n", ""), "seed"),
        (SOUND.replace("seed: 3", "seed: -1"), "seed"),
        (SOUND.replace("seed: 3", "seed: '3'"), "seed"),
        (SOUND.replace("version: 1", "version: 2"), "version"),
        (SOUND.replace("balanced", "best"), "'best' is none of"),
        (SOUND.replace("10GB", "[10GB]"), "budget"),
        (SOUND + "source_digest: abc\n", "source_digest"),
        (SOUND + "include: train/*\n", "include"),
        (SOUND + "target: {car: .nan}\n", "target"),
        (SOUND.replace("10GB", "ten"), "'ten' is not a size"),
        (SOUND.replace("10GB", "{dev: 10GB}"), "'dev' is not a split"),
    ],
)
def test_what_is_no_recipe_is_one_sentence(tmp_path, text, says):
    with pytest.raises(SettingsError, match=says) as error:
        read_recipe(written(tmp_path, text))
    assert str(error.value).startswith(str(tmp_path / "recipe.yaml"))


def test_a_recipe_that_the_manifest_cannot_meet_is_a_usage_error(tmp_path):
    for line in ("classes: [lorry]\n", "target: {car: 0.5}\n", "include: ['dev/*']\n"):
        recipe = read_recipe(written(tmp_path, SOUND + line))
        with pytest.raises(UsageError):
            choose_by_recipe(simulated(2), recipe)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, len(SOUND)))
def test_any_bytes_are_a_recipe_or_one_sentence(tmp_path_factory, data, cut):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_bytes(SOUND[:cut].encode() + data + SOUND[cut:].encode())
    with suppress(SettingsError):
        read_recipe(path)
