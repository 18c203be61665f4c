from dataclasses import replace
from pathlib import Path

from pipeline.selection.compare import compare
from pipeline.selection.subset import choose_subset
from tests.pipeline.selection.test_subset import simulated


def test_a_manifest_does_not_differ_from_itself_elsewhere():
    manifest = simulated(1)
    difference = compare(manifest, replace(manifest, root=Path("/elsewhere")))
    assert not difference
    assert difference.same == len(manifest.recordings)
    assert set(difference.distance.values()) == {0.0}


def test_recordings_of_one_side_and_changed_ones_are_named():
    manifest = simulated(1, (5, 1, 1))
    first, second, *others = manifest.recordings
    changed = replace(second, kept={**second.kept, "car": second.kept["car"] + 1})
    other = replace(manifest, recordings=(changed, *others))
    difference = compare(manifest, other)
    assert difference.only_first == (first,)
    assert difference.only_second == ()
    assert list(difference.changed) == [second.id]
    lines = "\n".join(difference.lines("A", "B"))
    assert "only in A: 1 recording," in lines
    assert first.id in lines
    boxes = sum(second.kept.values())
    assert f"{second.id}: {boxes} → {boxes + 1} boxes kept" in lines
    assert "only in B" not in lines


def test_two_seeds_differ_by_their_recordings():
    manifest = simulated(1)
    one, other = (choose_subset(manifest, 10**10, "uniform", seed=s).manifest for s in (1, 2))
    difference = compare(one, other)
    both = {row.id for row in one.recordings} & {row.id for row in other.recordings}
    assert difference
    assert difference.same == len(both)
    assert not difference.changed
