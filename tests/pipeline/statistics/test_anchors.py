"""The fit of anchors to a cache's boxes: counted as matching counts, the same in any order."""

import itertools
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.anchors.fit import POSITIVE_IOU, best_anchor_iou
from pipeline.anchors.settings import AnchorSettings
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.statistics import anchors as collecting
from pipeline.statistics.anchor_settings import anchors_yaml
from pipeline.statistics.anchors import SIZES, AnchorCollector, collect_anchors
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import write_recording

SETTINGS = CacheSettings(grid=(128, 96), min_side=1, min_diagonal=1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> PillarCache:
    folder = tmp_path_factory.mktemp("anchors")
    for number in range(3):
        write_recording(folder / "release", f"train/trainfilelist00/r{number}", seed=number)
    return make_cache(folder / "release", folder / "cache", SETTINGS)


def kept_boxes(cache: PillarCache) -> tuple[np.ndarray, np.ndarray]:
    tables = np.concatenate([recording.table("labels") for recording in cache.recordings()])
    return tables[:, 1:5], tables[:, 5].astype(int)


def test_counts_are_those_of_every_box_where_boxes_are_few(cache):
    found = collect_anchors(cache)
    boxes, classes = kept_boxes(cache)
    sizes = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    for counts in (found.released, found.suggested):
        anchors = AnchorSettings(
            **{name: getattr(counts, name) for name in AnchorSettings.model_fields}
        )
        missed = best_anchor_iou(boxes, (96, 128), anchors) < POSITIVE_IOU
        for (index, name), (low, high) in itertools.product(
            enumerate(SETTINGS.output_names), enumerate((*SIZES[1:], np.inf))
        ):
            mine = (classes == index) & (sizes >= SIZES[low]) & (sizes < high)
            assert found.sampled[name][low] == mine.sum()
            assert counts.without_positive[name][low] == (mine & missed).sum()
        assert counts.share_without_positive == pytest.approx(missed.mean())
    assert found.kept == {
        name: int((classes == index).sum()) for index, name in enumerate(SETTINGS.output_names)
    }
    assert found.suggested.share_without_positive < found.released.share_without_positive


def test_a_sample_is_the_same_whatever_order_recordings_come_in(cache, monkeypatch):
    monkeypatch.setattr(collecting, "SAMPLE_BOXES", 7 * 5)  # five of each class
    results = []
    for order in itertools.permutations(range(3)):
        whole = AnchorCollector(SETTINGS.output_names, SETTINGS.grid)
        for number in order:
            part = AnchorCollector(SETTINGS.output_names, SETTINGS.grid)
            part.add(cache.recordings()[number])
            whole.merge(part)
        results.append(asdict(whole.statistics()))
    assert all(result == results[0] for result in results)
    counts = np.bincount(kept_boxes(cache)[1], minlength=7)
    assert [sum(row) for row in results[0]["sampled"].values()] == np.minimum(counts, 5).tolist()
    assert list(results[0]["kept"].values()) == counts.tolist()


def test_the_share_of_a_sample_weighs_each_class_by_all_of_its_boxes(cache, monkeypatch):
    monkeypatch.setattr(collecting, "SAMPLE_BOXES", 7 * 5)
    found = collect_anchors(cache)
    shares = [
        sum(found.released.without_positive[name]) / sum(found.sampled[name])
        for name in SETTINGS.output_names
    ]
    expected = np.average(shares, weights=list(found.kept.values()))
    assert found.released.share_without_positive == pytest.approx(expected)
    assert "of them looked at" in anchors_yaml(found)


def test_the_settings_are_the_suggested_anchors(cache):
    found = collect_anchors(cache)
    read = yaml.safe_load(anchors_yaml(found))["model"]["anchors"]
    assert AnchorSettings(**read).model_dump() == {
        name: getattr(found.suggested, name) for name in AnchorSettings.model_fields
    }


def test_boxes_without_an_area_fit_no_anchor_and_break_nothing(cache, tmp_path: Path):
    collector = AnchorCollector(("car",), (64, 64))

    class Recording:
        id = "train/l/r"

        def table(self, name: str) -> np.ndarray:
            assert name == "labels"
            return np.array([[0, 5, 5, 5, 9, 0, 1, 0], [0, 5, 5, 30, 30, 0, 2, 1]], float)

    collector.add(Recording())
    found = collector.statistics()
    assert sum(found.released.without_positive["car"]) >= 1
    assert found.suggested.share_without_positive == 0.5
