import pytest

from pipeline.errors import UsageError
from pipeline.release.labels import CLASS_NAMES
from pipeline.selection.request import checked_target, matching, parse_target, split_sizes
from pipeline.selection.subset import choose_subset, recording_size
from tests.pipeline.selection.test_subset import simulated


def test_a_target_is_shares_by_name():
    target = parse_target("car=0.4, pedestrian=.3,two wheeler=0")
    assert target == {"pedestrian": 0.3, "two wheeler": 0.0, "car": 0.4}


def test_a_target_of_a_class_that_the_release_lacks_names_those_it_has():
    with pytest.raises(UsageError, match=r"'lorry' is not among the classes .*car, truck"):
        choose_subset(simulated(5), 10**10, "target", target={"lorry": 0.4})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("car", "not like car=0.4"),
        ("car=0.4,car=0.5", "stands twice"),
        ("car=nan", "'nan' is not a share"),
        ("car=-0.1", "'-0.1' is not a share"),
        ("car=1e-2", "is not a share"),
        ("car=0.8,bus=0.3", "sum to 1.1"),
        ("car=0", "sum to 0"),
        ("car=2", "from 0 to 1"),
        ("", "not like"),
    ],
)
def test_what_is_no_target_is_a_usage_error(text, says):
    with pytest.raises(UsageError, match=says):
        parse_target(text)


def test_shares_come_near_the_target_and_the_others_share_the_rest_as_before():
    manifest = simulated(1, (120, 12, 12))
    target = {"car": 0.4, "pedestrian": 0.3}
    subset = choose_subset(manifest, manifest.totals.bytes // 4, "target", target=target)
    rows = {row.class_name: row for row in subset.drift.rows if row.split == "train"}
    for name, share in target.items():
        assert abs(rows[name].subset_share - share) < 0.01
    others = [name for name in CLASS_NAMES if name not in target]
    source = sum(rows[name].source_share for name in others)
    for name in others:
        assert abs(rows[name].subset_share - 0.3 * rows[name].source_share / source) < 0.01
    assert subset.manifest.subset.target == {"pedestrian": 0.3, "car": 0.4}


def test_each_split_keeps_its_own_budget_and_one_without_gets_nothing():
    manifest = simulated(2)
    budgets = {"val": 1_500_000_000, "train": 9_000_000_000}
    subset = choose_subset(manifest, budgets, "balanced").manifest
    assert not subset.split("test")
    for split, budget in budgets.items():
        used = sum(recording_size(row) for row in subset.split(split))
        assert 0.98 * budget <= used <= budget
    assert subset.subset.split_budgets == {"train": 9_000_000_000, "val": 1_500_000_000}
    assert subset.subset.budget == 10_500_000_000


@pytest.mark.parametrize(
    ("budgets", "says"),
    [
        ({"dev": 10**9}, "'dev' is not a split"),
        ({}, "names at least one split"),
        ({"val": 10}, r"smallest recording, val/.* has \d+ bytes"),
    ],
)
def test_a_wrong_budget_by_split_is_a_usage_error(budgets, says):
    with pytest.raises(UsageError, match=says):
        choose_subset(simulated(2), budgets)


def test_a_budget_for_a_split_without_recordings_is_a_usage_error():
    with pytest.raises(UsageError, match="no recording of val"):
        choose_subset(simulated(2, (5, 0, 1)), {"val": 10**10})


def test_split_sizes_are_in_the_splits_order():
    assert list(split_sizes({"test": 1, "train": 2})) == ["train", "test"]


def test_patterns_are_of_the_whole_id_and_are_kept():
    manifest = simulated(3)
    subset = choose_subset(
        manifest, 10**12, include=["train/*", "val/*"], exclude=["*/r00?"], seed=1
    ).manifest
    names = [row.id for row in manifest.recordings]
    expected = [n for n in names if not n.startswith("test/") and "/r00" not in n]
    assert [row.id for row in subset.recordings] == expected
    assert subset.subset.include == ("train/*", "val/*")
    assert subset.subset.exclude == ("*/r00?",)


def test_a_pattern_that_fits_nothing_and_patterns_that_leave_nothing_are_told():
    rows = simulated(3).recordings
    with pytest.raises(UsageError, match="pattern 'trian/\\*' fits no recording"):
        matching(rows, ["trian/*"], [])
    with pytest.raises(UsageError, match="no recording is left"):
        matching(rows, [], ["*"])


def test_a_target_for_a_class_that_is_left_out_is_a_usage_error():
    with pytest.raises(UsageError, match="'bus' is not among the classes"):
        choose_subset(simulated(3), 10**10, "target", target={"bus": 0.5}, classes=["car"])


@pytest.mark.parametrize("arguments", [{"strategy": "target"}, {"target": {"car": 0.5}}])
def test_a_target_and_its_strategy_go_together(arguments):
    with pytest.raises(UsageError, match="go together"):
        choose_subset(simulated(3), 10**10, **arguments)


@pytest.mark.parametrize("share", [float("nan"), -0.1, 1.1])
def test_a_share_is_a_part_of_one(share):
    with pytest.raises(UsageError):
        checked_target({"car": share})
