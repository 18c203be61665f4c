"""What a validation leaves: PR curves and pictures of fixed windows, few and the same each time."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from dmanet.ranks import ALONE
from dmanet.runs.log import RunLog
from dmanet.runs.weights import load_weights
from dmanet.training.loop import train
from dmanet.training.validated import write_validation
from dmanet.training.validation import Validation
from pipeline.errors import UsageError
from tests.dmanet.caches import CLASSES, small_run
from tests.dmanet.training_runs import CPU, TRAIN_A, VAL_A, make_cache_of


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run whose two epochs were validated, and its validation."""
    folder = tmp_path_factory.mktemp("validated")
    cache = make_cache_of(folder, (TRAIN_A, VAL_A))
    settings = small_run()
    train(cache, settings, folder / "run", device=CPU)
    validation = Validation(cache, settings.training, CLASSES, CPU, "fp32", 0)
    return folder / "run", validation


def test_tensorboard_has_few_pictures_and_a_curve_of_each_class_at_every_validation(place):
    curves = EventAccumulator(str(place[0] / "tensorboard"), {"images": 0}).Reload()
    names = curves.Tags()["images"]
    assert len(names) == 4
    for name in names:
        first, second = curves.Images(name)
        assert first.step < second.step
        with Image.open(io.BytesIO(second.encoded_image_string)) as opened:
            assert opened.size == (second.width, second.height)
            assert opened.width == 640
    drawn = [tag for tag in curves.Tags()["tensors"] if "precision and recall" in tag]
    assert drawn
    plugin = curves.SummaryMetadata(drawn[0]).plugin_data.plugin_name
    assert plugin == "pr_curves"


def test_a_curve_has_the_shares_of_the_examination(place, tmp_path):
    weights = load_weights(place[0] / "last.pt")
    validated = place[1].score(weights, lambda windows: None, ALONE)
    with RunLog(tmp_path, 0, 0) as log:
        write_validation(log, tmp_path, 5, validated)
    written = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    labels = {row.name: row.labels for row in validated.result.rows}
    checked = 0
    for curve in validated.result.details.curves.classes:
        if not labels[curve.name]:
            continue
        (event,) = written.Tensors(f"val/precision and recall/{curve.name}")
        right, _wrong, _, missed, precision, recall = make_ndarray(event.tensor_proto)
        assert event.step == 5
        np.testing.assert_allclose(recall, np.array(curve.recall, float), atol=1e-4)
        np.testing.assert_allclose(right + missed, labels[curve.name])
        known = [k for k, p in enumerate(curve.precision) if p is not None]
        np.testing.assert_allclose(
            precision[known], np.array(curve.precision, float)[known], atol=1e-4
        )
        checked += 1
    assert checked
    files = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert files == sorted(path.name for path in (place[0] / "pictures").iterdir())


def test_pictures_write_over_no_folder(place, tmp_path):
    weights = load_weights(place[0] / "last.pt")
    validated = place[1].score(weights, lambda windows: None, ALONE)
    (name, *_) = [path.name for path in (place[0] / "pictures").iterdir()]
    (tmp_path / "pictures" / name).mkdir(parents=True)
    with RunLog(tmp_path, 0, 0) as log, pytest.raises(UsageError, match=name):
        write_validation(log, Path(tmp_path), 0, validated)
