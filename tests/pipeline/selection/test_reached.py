import json
import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ManifestError
from pipeline.release.shards import SPLITS
from pipeline.selection.drift import class_counts, class_shares, divergence
from pipeline.selection.manifest import Manifest, read_manifest, write_manifest
from pipeline.selection.reached import reached_lines
from pipeline.selection.subset import choose_subset
from tests.pipeline.selection.test_subset import ROOT, recording, simulated

CLASSES = tuple(range(7))


def test_what_was_reached_is_what_the_recordings_say():
    source = simulated(5)
    subset = choose_subset(source, 10**10, "balanced", seed=3).manifest
    assert list(subset.subset.reached) == list(SPLITS)
    for split, reached in subset.subset.reached.items():
        rows, of = subset.split(split), source.split(split)
        assert reached.bytes == sum(row.bytes for row in rows) <= reached.budget
        assert reached.recordings == (len(rows), len(of))
        lists = [{row.id.split("/")[1] for row in part} for part in (rows, of)]
        assert reached.filelists == tuple(map(len, lists))
        shares = [class_shares(class_counts(m, split, CLASSES)) for m in (source, subset)]
        assert np.allclose(list(reached.drift.values()), shares[1] - shares[0], atol=1e-6)
        assert reached.kl == pytest.approx(
            sum(p * math.log(p / q) for q, p in zip(*shares, strict=True) if p), abs=1e-6
        )
        assert reached.reached == pytest.approx(shares[1].min(), abs=1e-6)
        assert reached.reached <= reached.bound + 1e-6
    assert subset.subset.solver.startswith("scipy ")


def test_days_are_from_names_with_a_date_and_hours_from_windows():
    rows = tuple(
        recording(f"train/trainfilelist{k:02d}/moorea_2019-02-{10 + k // 2}_00{k}", 100, [1] * 7)
        for k in range(6)
    )
    rows += (recording("train/trainfilelist00/other", 100, [1] * 7),)
    source = Manifest(root=ROOT, recordings=rows)
    reached = choose_subset(source, 400, "first").manifest.subset.reached["train"]
    assert reached.days == (2, 4)
    assert reached.hours == (round(4 * 10 * 0.05 / 3600, 6), round(7 * 10 * 0.05 / 3600, 6))
    assert (reached.reached, reached.bound, reached.ended) == (None, None, None)


def test_divergence_is_infinite_only_where_the_target_has_nothing():
    assert divergence(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    assert divergence(np.array([1.0, 0]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))
    assert divergence(np.array([0.5, 0.5]), np.array([1.0, 0])) == math.inf


def test_the_file_holds_what_was_reached_and_a_file_from_before_it_is_read_with_its_digest(
    tmp_path,
):
    subset = choose_subset(
        simulated(5), {"train": 10**10}, "target", target={"car": 0.5}, include=["train/*"]
    ).manifest
    write_manifest(subset, tmp_path / "new.json")
    again = read_manifest(tmp_path / "new.json")
    assert again == subset
    assert again.digest == subset.digest
    before = replace(
        subset.subset, **dict.fromkeys(("split_budgets", "target", "include", "solver", "reached"))
    )
    old = replace(subset, subset=before)
    write_manifest(old, tmp_path / "old.json")
    content = json.loads((tmp_path / "old.json").read_text())
    assert list(content["subset"]) == [
        "source_digest", "source_recordings", "source_bytes", "strategy", "budget", "seed",
        "classes", "estimated",
    ]  # fmt: skip
    assert read_manifest(tmp_path / "old.json").digest == old.digest


def test_the_lines_say_how_full_how_far_and_how_it_ended():
    reached = choose_subset(simulated(5), 10**10, "balanced").manifest.subset.reached
    text = "\n".join(reached_lines(reached, "balanced"))
    assert "train: smallest class share" in text
    assert "none as full exceeds" in text
    assert "60 recordings" in text
    assert "KL 0." in text


def test_a_choice_that_the_clock_cut_says_so():
    chosen = choose_subset(simulated(5), 10**10, "balanced", time_limit=0).manifest
    reached = chosen.subset.reached["train"]
    assert (reached.method, reached.ended, reached.bound) == ("search", "time", None)
    assert "another run may choose otherwise" in "\n".join(
        reached_lines(chosen.subset.reached, "balanced")
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target", {"car": 1.5}),
        ("split_budgets", {"dev": 1}),
        ("split_budgets", {"train": -1}),
        ("include", "train/*"),
        ("reached", {"dev": None}),
        ("reached", {"train": {}}),
        ("solver", 3),
        ("unheard", None),
    ],
)
def test_a_provenance_that_no_choice_has_is_refused(tmp_path, key, value):
    path = tmp_path / "m.json"
    write_manifest(choose_subset(simulated(5, (3, 0, 0)), 10**9, "first").manifest, path)
    content = json.loads(path.read_text())
    content["subset"][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=f"malformed at 'subset.{key}"):
        read_manifest(path)
