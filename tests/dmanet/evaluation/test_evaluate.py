import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmanet.data.batches import collate
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchors import anchors_for
from dmanet.detection.found import Labels
from dmanet.detection.postprocessing import decode_detections
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.evaluate import evaluate, grid_strata, sensor_labels
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.motion import strata_of
from dmanet.evaluation.release import release_result
from dmanet.evaluation.streaming import StreamSettings
from dmanet.runs.records import Weights
from pipeline.cache.motion import cached_motion
from pipeline.cache.records import LABEL_COLUMNS, RAW_LABEL_COLUMNS
from pipeline.errors import CacheError, UsageError
from tests.dmanet.caches import CLASSES, GRID, LONG, NAMED, SMALL, TEST_A, TEST_B, small_run

CPU = StreamSettings(torch.device("cpu"), "fp32")


@pytest.fixture(scope="module")
def weights(lively_model) -> Weights:
    model = lively_model(small_run().model)
    with torch.no_grad():
        model.class_head.output.bias += 3  # scores around 0.1…0.3, so that boxes pass
    return Weights(model.settings, model.state_dict(), NAMED, "the test's weights")


def test_release_numbers_are_those_of_windows_scored_one_by_one(weights, cache):
    result = evaluate(weights, cache, "release", "test", CPU)
    model = weights.build().eval()
    anchors = anchors_for(model.settings.grid_size, model.settings.anchors)
    detections, labels = [], []
    for key in (TEST_A, TEST_B):
        state = None
        for k in range(20):
            window = cache.recording(key).read(k, k + 1)
            if key == TEST_B and k == 10:
                state = None  # behind the gap
            with torch.no_grad():
                output, state = model(*decode_batch(collate([window])), 1, 1, state)
            detections += decode_detections(
                output.logits, output.deltas, anchors, model.settings.grid_size, 0.1, 0.5
            )
            labels.append(Labels(window.boxes, window.classes))
    expected = release_result(detections, labels, ["pedestrian", "car", "traffic sign"])
    assert sum(map(len, detections)) > 100
    assert [row.name for row in result.rows] == ["all", "pedestrian", "car", "traffic sign"]
    for row, wanted in zip(result.rows, expected.rows, strict=True):
        assert (row.windows, row.labels) == (40, wanted.labels)
        assert row.map50 == pytest.approx(wanted.map50, abs=1e-3)
        assert row.map50_95 == pytest.approx(wanted.map50_95, abs=1e-3)


def test_a_result_says_what_it_depends_on(weights, cache):
    result = evaluate(weights, cache, "release", "test", CPU)
    content = json.loads(result.to_json())
    assert content["protocol"]["name"] == "release"
    assert content["protocol"]["score_threshold"] == 0.1
    conditions = content["conditions"]
    assert conditions["weights"] == weights.fingerprint()
    assert cache.attributes["fingerprint"].startswith(conditions["cache"])
    assert conditions["classes"] == ["pedestrian", "car", "traffic sign"]
    assert conditions["split"] == "test"
    assert "reset at recording starts and gaps" in conditions["state"]
    assert "sequence_length" in conditions
    assert "release" in result.as_table()


def test_the_prophesee_protocol_scores_sensor_pixels(weights, cache):
    result = evaluate(weights, cache, "prophesee", "test", CPU)
    labels = [
        window
        for key in (TEST_A, TEST_B)
        for window in sensor_labels(cache.recording(key), CLASSES)
    ]
    large = [np.hypot(w["w"], w["h"]) >= 60 for w in labels]
    wide = [(w["w"] >= 20) & (w["h"] >= 20) for w in labels]
    assert result.rows[0].labels == sum(
        int((a & b).sum()) for a, b in zip(large, wide, strict=True)
    )
    assert result.rows[0].map50 is not None


def test_a_protocol_for_classes_the_cache_lacks_is_refused(weights, cache):
    with pytest.raises(UsageError, match="two wheeler"):
        evaluate(weights, cache, "rvt", "test", CPU)


@pytest.mark.parametrize("key", [LONG, SMALL])
def test_sensor_labels_are_the_kept_boxes_before_scaling(cache, key):
    recording = cache.recording(key)
    windows = sensor_labels(recording, CLASSES)
    assert len(windows) == len(recording)
    scale = np.array([GRID[0] / recording.sensor[0], GRID[1] / recording.sensor[1]] * 2)
    for k, boxes in enumerate(windows):
        corners = np.stack(
            [boxes["x"], boxes["y"], boxes["x"] + boxes["w"], boxes["y"] + boxes["h"]], axis=1
        )
        large = (np.hypot(boxes["w"], boxes["h"]) >= 60) & (boxes["w"] >= 20) & (boxes["h"] >= 20)
        kept = recording.read(k, k + 1)
        assert np.allclose(corners[large] * scale, kept.boxes, atol=1e-3)
        assert np.array_equal(boxes["class_id"][large], kept.classes)
        assert np.array_equal(boxes["track_id"][large], kept.tracks)


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_a_network_of_some_classes_is_scored_on_these_alone(weights, cache, protocol):
    """Its outputs are two of the whole network's, in another order."""
    whole = evaluate(weights, cache, protocol, "test", CPU)
    tensors = dict(weights.tensors)
    for name in ("class_head.output.weight", "class_head.output.bias"):
        outputs = tensors[name].unflatten(0, (-1, len(CLASSES)))
        tensors[name] = outputs[:, [2, 0]].flatten(0, 1)
    settings = weights.settings.model_copy(update={"num_classes": 2})
    some = replace(
        weights, settings=settings, tensors=tensors, classes=("traffic sign", "pedestrian")
    )
    found = evaluate(some, cache, protocol, "test", CPU)
    assert found.conditions["classes"] == ["traffic sign", "pedestrian"]
    assert [row.name for row in found.rows] == ["all", "traffic sign", "pedestrian"]
    expected = {row.name: row for row in whole.rows}
    for row in found.rows[1:]:
        assert row.labels == expected[row.name].labels > 0
        assert row.map50 == pytest.approx(expected[row.name].map50, abs=1e-4)
        assert row.map50_95 == pytest.approx(expected[row.name].map50_95, abs=1e-4)
    assert found.rows[0].labels == sum(row.labels for row in found.rows[1:])


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_recordings_side_by_side_score_the_same(weights, cache, protocol):
    alone = evaluate(weights, cache, protocol, "test", CPU)
    together = evaluate(weights, cache, protocol, "test", replace(CPU, batch=2, steps=7))
    for one, other in zip(alone.rows, together.rows, strict=True):
        assert (one.name, one.windows, one.labels) == (other.name, other.windows, other.labels)
        assert other.map50 == pytest.approx(one.map50, abs=1e-4)
        assert other.map50_95 == pytest.approx(one.map50_95, abs=1e-4)


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_details_are_the_same_for_any_batch_and_worker_count(weights, cache, protocol):
    examination = Examination(Resampling(20))

    def found(**stream):
        return evaluate(
            weights, cache, protocol, "test", replace(CPU, **stream), examination=examination
        )

    alone = found()
    assert found(workers=2).to_json() == alone.to_json()  # the same windows through the same steps
    together = found(batch=2, workers=1)
    assert together.details.labels == alone.details.labels
    assert sum(alone.details.errors.values()) > 100
    for key, value in alone.details.errors.items():
        assert together.details.errors[key] == pytest.approx(
            value, abs=2
        )  # scores differ by rounding
    for key, values in alone.details.intervals.draws.items():
        for one, other in zip(values, together.details.intervals.draws[key], strict=True):
            assert other == (one and pytest.approx(one, abs=1e-3))


def test_sizes_are_in_sensor_pixels_under_every_protocol(weights, cache):
    labels = [w for key in (TEST_A, TEST_B) for w in sensor_labels(cache.recording(key), CLASSES)]
    areas = np.concatenate([w["w"] * w["h"] for w in labels])
    large = np.concatenate([np.hypot(w["w"], w["h"]) >= 60 for w in labels])
    large &= np.concatenate([(w["w"] >= 20) & (w["h"] >= 20) for w in labels])
    for protocol in ("release", "prophesee"):
        result = evaluate(
            weights, cache, protocol, "test", CPU, examination=Examination(Resampling(0))
        )
        sizes = {size.name: size.labels for size in result.details.sizes}
        assert sizes["large"] == (areas[large] >= 96**2).sum()
        assert sizes["medium"] == (areas[large] < 96**2).sum()


def test_what_does_not_fit_is_refused_by_name(weights, cache, paper_cache):
    with pytest.raises(
        CacheError, match=r"among pedestrian, car, traffic sign.*weights has two wheeler;"
    ):
        evaluate(
            replace(weights, classes=("pedestrian", "two wheeler", "car")),
            cache,
            "release",
            "test",
            CPU,
        )
    other = weights.settings.model_copy(update={"grid_size": (512, 512)})
    with pytest.raises(CacheError, match="grid_size"):
        evaluate(replace(weights, settings=other), cache, "release", "test", CPU)
    with pytest.raises(UsageError, match="'val'"):
        evaluate(weights, cache, "release", "val", CPU)
    with pytest.raises(UsageError, match="'coco' is unknown; choose one of release"):
        evaluate(weights, cache, "coco", "test", CPU)


def test_progress_counts_every_window_once(weights, cache):
    counts = []
    evaluate(weights, cache, "release", "test", CPU, counts.append)
    assert sum(counts) == 40


@pytest.mark.parametrize("key", [LONG, SMALL])
def test_strata_stand_beside_the_labels_that_the_network_is_scored_on(cache, key):
    recording = cache.recording(key)
    motion = cached_motion(recording)
    labels, raw = recording.table("labels"), recording.table("labels_raw")
    for classes in (CLASSES, (5, 0)):
        windows = grid_strata(recording, cache.settings.classes, classes)
        assert len(windows) == len(recording)
        for k, strata in enumerate(windows):
            rows = [
                int(row[LABEL_COLUMNS.index("raw_row")])
                for row in labels
                if row[0] == k and raw[int(row[7]), RAW_LABEL_COLUMNS.index("class_id")] in classes
            ]
            assert strata.tolist() == strata_of(motion.rows(np.array(rows, int))).tolist()


@pytest.mark.parametrize("protocol", ["release", "prophesee"])
def test_an_examined_result_counts_labels_by_motion(weights, cache, protocol):
    result = evaluate(weights, cache, protocol, "test", CPU, examination=Examination(Resampling(0)))
    counts = {row.name: row.labels for row in result.details.motion}
    known = counts["resting"] + counts["slow"] + counts["moving"]
    assert known == result.rows[0].labels  # what no track tells, events do
    assert counts["moving"] > counts["slow"] >= 0
