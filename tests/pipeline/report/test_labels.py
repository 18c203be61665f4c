"""Charts of labels with few classes and with many."""

import numpy as np
import pytest

from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import write_shard
from pipeline.report.labels import MOST_CHARTED, boxes_section, charted, labels_section
from pipeline.statistics.collect import collect_statistics
from tests.pipeline.caches import make_cache
from tests.pipeline.sound_recordings import boxes, window_events

CLASSES = 200


def test_few_classes_are_all_shown_and_nothing_is_said():
    counts = {f"class {k}": k for k in range(MOST_CHARTED)}
    assert charted(counts) == (list(counts), "")


def test_of_many_those_with_the_most_boxes_are_shown_in_their_order_and_it_is_said():
    counts = {f"class {k}": (7 * k) % CLASSES for k in range(CLASSES)}
    shown, said = charted(counts)
    assert shown == [name for name, n in counts.items() if n >= CLASSES - MOST_CHARTED]
    assert said == " Shown are the 20 classes with the most boxes of 200; the table below has all."


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Statistics of a cache with boxes of each of its 200 classes, of the last 20 three, else one."""
    folder = tmp_path_factory.mktemp("many")
    numbers = np.concatenate([np.arange(CLASSES), np.tile(np.arange(CLASSES - 20, CLASSES), 2)])
    labels = [
        boxes(*((100, 100, 80, 60, number) for number in part))
        for part in np.array_split(numbers, 10)
    ]
    write_shard(
        folder / "release",
        "train/trainfilelist00/a",
        1,
        [window_events(k) for k in range(10)],
        labels,
    )
    names = tuple(f"class {k}" for k in range(CLASSES))
    settings = CacheSettings(grid=(16, 12), class_names=names, min_diagonal=0.0, min_side=0.0)
    return collect_statistics(make_cache(folder / "release", folder / "cache", settings))


def test_a_page_of_many_classes_charts_the_most_frequent_and_tables_all(many):
    last = [f"class {k}" for k in range(CLASSES - 20, CLASSES)]
    labels, sizes = labels_section(many), boxes_section(many)
    assert labels.figures[0].caption.endswith("the table below has all.")
    for gallery in sizes.galleries:
        assert [figure.title for figure in gallery.figures] == last
        assert "20 classes with the most boxes of 200" in gallery.caption
    assert all("of 200" in figure.caption for figure in sizes.figures)
    assert len(labels.tables[0].rows) == CLASSES + 1
    assert len(sizes.tables[0].rows) == CLASSES
