import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError, UsageError
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.sensors import read_release, write_sensor
from pipeline.release.shards import SPLITS, walk_release
from pipeline.selection.drift import class_shares, total_variation
from pipeline.selection.entries import RecordingEntry, ShardEntry, recording_digest
from pipeline.selection.file_list import listed_files
from pipeline.selection.manifest import Manifest, read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.selection.strategy import Strategy
from pipeline.selection.subset import (
    ESTIMATED_EVENT_BYTES,
    choose_subset,
    parse_size,
    recording_size,
)
from pipeline.selection.tree import assemble_tree
from tests.pipeline.sound_recordings import write_recording

ROOT = Path("/releases/dlut")


def recording(recording_id, size, counts, labels_only=False):
    by_name = dict(zip(CLASS_NAMES, map(int, counts), strict=True))
    label_bytes = min(size, 100)
    events = None if labels_only else size - label_bytes
    shard = ShardEntry(1, events, label_bytes, 10, None if labels_only else "ab" * 32, "cd" * 32)
    return RecordingEntry(
        id=recording_id,
        sensor=(1280, 720),
        bytes=label_bytes if labels_only else size,
        windows=10,
        events=None if labels_only else 1000,
        time_us=None if labels_only else (500_000, 999_999),
        labels=by_name,
        kept=by_name,
        defects={},
        defect_places=(),
        digest=None if labels_only else recording_digest((shard,)),
        shards=(shard,),
    )


def simulated(seed, counts=(60, 12, 12), mean_bytes=600_000_000):
    """A manifest like the release's: places differ in what drives and walks there."""
    rng = np.random.default_rng(seed)
    base = np.array([0.3, 0.05, 0.5, 0.06, 0.02, 0.04, 0.03])
    rows = []
    for split, count in zip(SPLITS, counts, strict=True):
        for k in range(count):
            shares = rng.dirichlet(base * 6)
            size = int(mean_bytes * rng.uniform(0.2, 2))
            boxes = rng.poisson(shares * rng.uniform(0, 3000))
            rows.append(recording(f"{split}/{split}filelist{k // 30:02d}/r{k:03d}", size, boxes))
    return Manifest(root=ROOT, recordings=tuple(rows))


def asked(strategy):
    """What ``strategy`` needs besides its name."""
    return {"target": {"car": 0.4, "pedestrian": 0.3}} if strategy == "target" else {}


manifests = st.builds(
    simulated,
    st.integers(0, 10_000),
    st.tuples(st.integers(0, 12), st.integers(0, 4), st.integers(0, 4)).filter(any),
    st.sampled_from([1000, 600_000_000]),
)


@pytest.mark.parametrize("strategy", Strategy)
@settings(max_examples=30, deadline=None)
@given(manifest=manifests, share=st.floats(0, 1.2), seed=st.integers(0, 99))
def test_never_above_the_budget_and_whole_recordings_only(strategy, manifest, share, seed):
    sizes = [recording_size(row) for row in manifest.recordings]
    budget = max(min(sizes), int(share * sum(sizes)))
    subset = choose_subset(manifest, budget, strategy, seed=seed, **asked(strategy)).manifest
    assert 0 < subset.totals.bytes <= budget
    assert all(row in manifest.recordings for row in subset.recordings)
    ids = [row.id for row in subset.recordings]
    assert ids == [row.id for row in manifest.recordings if row.id in set(ids)]
    if budget >= sum(sizes):
        assert subset.recordings == manifest.recordings
    smallest = [min((r.bytes for r in manifest.split(s)), default=0) for s in SPLITS]
    if sum(smallest) <= budget:
        assert all(bool(subset.split(s)) == bool(manifest.split(s)) for s in SPLITS)


@pytest.mark.parametrize("strategy", Strategy)
def test_same_arguments_same_subset(strategy):
    first, again = (
        choose_subset(simulated(3), 10**10, strategy, seed=5, **asked(strategy)) for _ in range(2)
    )
    assert first == again


@pytest.mark.parametrize("strategy", ["uniform", "stratified", "balanced"])
def test_another_seed_gives_another_draw(strategy):
    drawn = {
        choose_subset(simulated(3), 10**10, strategy, seed=s).manifest.digest for s in range(2)
    }
    assert len(drawn) > 1


def test_first_takes_the_recordings_of_each_split_in_order():
    rows = [recording(f"train/trainfilelist00/r{k}", 100, [0, 0, 1, 0, 0, 0, 0]) for k in range(9)]
    rows += [recording(f"val/valfilelist00/r{k}", 100, [0, 0, 1, 0, 0, 0, 0]) for k in range(3)]
    subset = choose_subset(Manifest(root=ROOT, recordings=tuple(rows)), 400, "first").manifest
    assert [row.id for row in subset.recordings] == [
        "train/trainfilelist00/r0",
        "train/trainfilelist00/r1",
        "train/trainfilelist00/r2",
        "val/valfilelist00/r0",
    ]


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_stratified_drifts_never_more_than_uniform_and_on_average_far_less(share):
    distances = {"stratified": [], "uniform": []}
    for seed in range(3):
        manifest = simulated(seed, (40, 8, 8))
        budget = int(share * manifest.totals.bytes)
        for strategy, of_strategy in distances.items():
            subset = choose_subset(manifest, budget, strategy, seed=seed)
            of_strategy.append(subset.drift.mean_distance)
            assert subset.manifest.totals.bytes >= 0.85 * budget
    stratified, uniform = map(np.array, distances.values())
    assert (stratified <= uniform).all()
    assert stratified.mean() < 0.5 * uniform.mean()


def test_stratified_is_near_the_best_of_all_choices():
    """Oracle: every subset of ten recordings that fills the budget as well."""
    for seed in range(6):
        manifest = simulated(seed, (10, 0, 0))
        budget = manifest.totals.bytes // 2
        chosen = choose_subset(manifest, budget, "stratified", seed=seed)
        counts = np.array([row.kept_counts for row in manifest.recordings])
        sizes = np.array([row.bytes for row in manifest.recordings])
        target = class_shares(counts.sum(axis=0))
        masks = np.array(list(itertools.product([False, True], repeat=10)))
        used = masks @ sizes
        fits = (used <= budget) & (used >= chosen.manifest.totals.bytes)
        best = total_variation(class_shares(masks[fits] @ counts), target).min()
        assert best <= chosen.drift.distance["train"] + 1e-12
        assert chosen.drift.distance["train"] <= best + 0.05


@pytest.mark.parametrize("seed", range(4))
def test_balanced_raises_the_rarest_class(seed):
    manifest = simulated(seed)
    budget = manifest.totals.bytes // 5
    smallest = {}
    for strategy in ("balanced", "uniform"):
        subset = choose_subset(manifest, budget, strategy, seed=seed)
        shares = [row.subset_share for row in subset.drift.rows if row.split == "train"]
        smallest[strategy] = min(shares)
    assert smallest["balanced"] > 1.5 * smallest["uniform"]


@pytest.mark.parametrize("strategy", Strategy)
def test_splits_keep_their_share_of_bytes_roughly(strategy):
    manifest = simulated(1)
    budget = manifest.totals.bytes // 4
    subset = choose_subset(manifest, budget, strategy, seed=1, **asked(strategy)).manifest
    for split in SPLITS:
        before, after = (
            sum(row.bytes for row in m.split(split)) / m.totals.bytes for m in (manifest, subset)
        )
        assert abs(before - after) < 0.08


def test_only_recordings_with_a_wanted_class_are_chosen():
    manifest = simulated(2)
    subset = choose_subset(manifest, manifest.totals.bytes, classes=["bus", "truck"])
    expected = [r.id for r in manifest.recordings if r.kept["bus"] or r.kept["truck"]]
    assert [row.id for row in subset.manifest.recordings] == expected
    assert {row.class_name for row in subset.drift.rows} == {"truck", "bus"}
    assert subset.manifest.subset.classes == ("truck", "bus")
    same = choose_subset(
        manifest, manifest.totals.bytes, exclude_classes=set(CLASS_NAMES) - {"bus", "truck"}
    )
    assert same == subset


def test_recordings_without_any_box_can_be_chosen():
    rows = tuple(recording(f"test/testfilelist00/r{k}", 100, [0] * 7) for k in range(4))
    for strategy in Strategy:
        subset = choose_subset(
            Manifest(root=ROOT, recordings=rows), 250, strategy, **asked(strategy)
        )
        assert len(subset.manifest.recordings) == 2
        assert subset.drift.mean_distance == 0


def test_files_that_are_not_here_yet_count_at_the_release_mean():
    rows = tuple(
        recording(f"train/trainfilelist00/r{k}", 100, [1] * 7, labels_only=True) for k in range(5)
    )
    manifest = Manifest(root=ROOT, recordings=rows, labels_only=True)
    subset = choose_subset(manifest, 3 * ESTIMATED_EVENT_BYTES, "uniform").manifest
    assert len(subset.recordings) == 2
    assert subset.subset.estimated
    assert sum("events/" in name for name in listed_files(subset)) == 2


def test_a_budget_below_the_smallest_recording_names_it():
    rows = [recording(f"train/trainfilelist00/r{k}", 500 - k, [1] * 7) for k in range(3)]
    with pytest.raises(UsageError, match=r"train/trainfilelist00/r2, has 498 bytes"):
        choose_subset(Manifest(root=ROOT, recordings=tuple(rows)), 497)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"strategy": "best"}, "'best' is not a strategy"),
        ({"classes": ["lorry"]}, "'lorry' is not a class"),
        ({"classes": ["car"], "exclude_classes": ["car"]}, "no class is left"),
        ({"classes": ["bus"]}, "no recording holds a box of the classes bus"),
    ],
)
def test_a_wrong_request_is_a_usage_error(kwargs, says):
    rows = (recording("train/trainfilelist00/r", 100, [1, 0, 1, 0, 0, 0, 0]),)
    with pytest.raises(UsageError, match=says):
        choose_subset(Manifest(root=ROOT, recordings=rows), 1000, **kwargs)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("40GB", 40 * 10**9),
        ("40GiB", 40 * 2**30),
        ("1.5 kB", 1500),
        ("500mb", 500 * 10**6),
        ("2TB", 2 * 10**12),
        ("123", 123),
        ("7B", 7),
    ],
)
def test_sizes_are_decimal_unless_they_say_so(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "40 apples", "-1GB", "0", "0.1B", "1e9", "inf", "40G B"]
)
def test_what_is_not_a_size_is_a_usage_error(text):
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_the_table_shows_each_split_and_class():
    table = choose_subset(simulated(4), 10**10).drift.table().splitlines()
    assert len(table) == 1 + 4 * len(CLASS_NAMES) + 1
    assert table[0].split() == ["split", "class", "source", "share", "subset", "share", "drift"]
    assert table[-1].startswith("total variation: train 0.")


def test_provenance_survives_the_file_and_leads_back_to_the_source(tmp_path):
    source = simulated(6)
    subset = choose_subset(source, 10**10, "balanced", classes=["car"], seed=9).manifest
    write_manifest(subset, tmp_path / "subset.json")
    again = read_manifest(tmp_path / "subset.json")
    assert again == subset
    assert again.subset.source_digest == source.digest
    repeated = choose_subset(
        source,
        again.subset.budget,
        again.subset.strategy,
        classes=again.subset.classes,
        seed=again.subset.seed,
    )
    assert repeated.manifest == subset


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "release"
    write_recording(root, "train/trainfilelist00/a", count=5)
    write_recording(root, "test/testfilelist00/b", count=5, sensor=(640, 480))
    write_sensor(root, "test/testfilelist00/b", (640, 480))
    return root


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.npz")}


def test_files_from_lists_what_the_tree_holds(release):
    manifest = scan_release(release)
    listed = listed_files(manifest)
    assert set(listed) == {*tree(release), "release.json"}
    only_default = replace(manifest, recordings=manifest.recordings[:1])
    assert "release.json" not in listed_files(only_default)


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_an_assembled_tree_is_a_release_with_the_same_content(release, tmp_path, mode):
    manifest = scan_release(release)
    one = replace(manifest, recordings=manifest.recordings[1:])
    seen = []
    dest = tmp_path / "out" / "subset"
    count = assemble_tree(one, dest, mode, progress=lambda *state: seen.append(state))
    assert count == 4
    assert seen[-1] == (4, 4)
    assert tree(dest) == {k: v for k, v in tree(release).items() if k.startswith("test/")}
    assert all(path.is_symlink() == (mode == "link") for path in dest.rglob("*.npz"))
    assert read_release(dest).sensors == {"test/testfilelist00/b": (640, 480)}
    assert scan_release(dest).recordings == one.recordings
    assert [path.name for path in dest.parent.iterdir()] == ["subset"]


def test_links_survive_moving_both_trees(release, tmp_path):
    assemble_tree(scan_release(release), tmp_path / "linked")
    (tmp_path / "moved").mkdir()
    for name in ("release", "linked"):
        os.rename(tmp_path / name, tmp_path / "moved" / name)
    assert tree(tmp_path / "moved" / "linked") == tree(tmp_path / "moved" / "release")


def test_an_existing_folder_is_not_touched(release, tmp_path):
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        assemble_tree(scan_release(release), dest)
    assert [path.name for path in dest.iterdir()] == ["mine.txt"]


def test_a_missing_source_file_leaves_no_tree(release, tmp_path):
    manifest = scan_release(release)
    (walk_release(release)[1].shards[1].events).unlink()
    with pytest.raises(ManifestError, match=r"ev002\.npz"):
        assemble_tree(manifest, tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


def test_a_tree_that_cannot_be_made_is_an_error_of_the_system_and_leaves_nothing(release, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FileExistsError):
        assemble_tree(scan_release(release), blocked / "dest")
