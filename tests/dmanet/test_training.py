import json
import math
from pathlib import Path

import pytest
import torch
import yaml

from dmanet.checkpoint import load_checkpoint
from dmanet.data import collate
from dmanet.decoding import decode_batch
from dmanet.losses import detection_loss
from dmanet.models.anchors import anchors_for
from dmanet.models.detector import DMANet
from dmanet.samplers import make_sampler
from dmanet.training import schedule, train
from dmanet.training_settings import TrainingSettings, resolve_settings
from pipeline.errors import CacheError, CheckpointError, DataError, UsageError
from tests.dmanet.caches import LONG, SMALL, small_run

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")  # the module's runs are made under it as well
def one_thread():
    """Sums in one order, so that equal runs are equal to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lines(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def losses(run_dir: Path) -> list[float]:
    return [line["loss"] for line in lines(run_dir)]


def stop_at(step):
    def on_step(report, total):
        if report.step == step:
            raise KeyboardInterrupt

    return on_step


@pytest.fixture(scope="module")
def finished(cache, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    train(cache, small_run(), run_dir, device=CPU)
    return run_dir


def test_a_run_leaves_settings_metrics_scalars_and_a_checkpoint(finished, cache):
    assert sorted(p.name for p in finished.iterdir()) == [
        "last.pt",
        "metrics.jsonl",
        "settings.yaml",
        "tensorboard",
    ]
    assert resolve_settings("default", finished / "settings.yaml") == small_run()
    assert yaml.safe_load((finished / "settings.yaml").read_text())["training"]["epochs"] == 2
    checkpoint = load_checkpoint(finished / "last.pt")
    steps = 2 * (13 // 2)  # 30 // 3 + 10 // 3 samples, in batches of 2, for two epochs
    assert (checkpoint.epoch, checkpoint.step) == (2, steps)
    assert checkpoint.cache == cache.attributes["fingerprint"]
    assert [line["step"] for line in lines(finished)] == list(range(steps))
    assert any((finished / "tensorboard").iterdir())


def test_every_step_tells_loss_terms_times_and_learning_rate(finished):
    for line in lines(finished):
        assert line["loss"] == pytest.approx(line["classification"] + line["regression"])
        assert line["data_s"] > 0
        assert line["step_s"] > 0
        assert line["windows_per_s"] == pytest.approx(6 / (line["data_s"] + line["step_s"]))
        assert line["learning_rate"] > 0
        assert line["gradient_norm"] > 0


def test_the_first_loss_is_the_sum_over_steps_of_the_mean_over_sequences(finished, cache):
    settings = small_run()
    lengths = {LONG: 30, SMALL: 10}
    samples = next(iter(make_sampler("random", lengths, 3, 2, settings.training.seed)))
    ranges = [piece for sample in samples for piece in sample.pieces]
    batch = collate([cache.recording(r.recording).read(r.start, r.stop) for r in ranges])
    torch.manual_seed(settings.training.seed)
    model = DMANet(settings.model).train()
    output, _ = model(*decode_batch(batch), 3, 2, None, batch.reset)
    anchors = anchors_for(settings.model.grid_size, settings.model.anchors)
    total = 0.0
    for t in range(3):
        rows = slice(2 * t, 2 * t + 2)
        own = (batch.targets.frame >= 2 * t) & (batch.targets.frame < 2 * t + 2)
        step_targets = type(batch.targets)(
            batch.targets.boxes[own], batch.targets.classes[own], batch.targets.frame[own] - 2 * t
        )
        terms = detection_loss(
            output.logits[rows], output.deltas[rows], anchors, step_targets, settings.loss
        )
        total += sum(term.item() for term in terms.values())
    assert lines(finished)[0]["loss"] == pytest.approx(total, rel=1e-4)


def test_training_lowers_the_loss(cache, tmp_path: Path):
    settings = small_run("training.epochs=6", "training.learning_rate=0.003")
    train(cache, settings, tmp_path / "run", device=CPU)
    found = losses(tmp_path / "run")
    assert sum(found[-6:]) < 0.85 * sum(found[:6])  # boxes at random places: only by heart


def test_the_paper_preset_trains_too(paper_cache, tmp_path: Path):
    train(paper_cache, small_run("training.epochs=1"), tmp_path / "run", device=CPU)
    assert all(math.isfinite(loss) for loss in losses(tmp_path / "run"))


def test_equal_runs_have_equal_losses_whatever_the_workers(finished, cache, tmp_path: Path):
    train(cache, small_run(), tmp_path / "again", device=CPU, workers=2)
    assert losses(tmp_path / "again") == losses(finished)
    train(cache, small_run("training.seed=1"), tmp_path / "other", device=CPU)
    assert losses(tmp_path / "other") != losses(finished)


@pytest.mark.parametrize("step", [2, 8])  # in the first epoch, and in the second
def test_a_stopped_run_resumes_at_its_last_epoch_to_the_same_losses(
    finished, cache, tmp_path: Path, step
):
    run_dir = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(cache, small_run(), run_dir, device=CPU, on_step=stop_at(step))
    assert len(losses(run_dir)) == step + 1
    train(cache, small_run(), run_dir, device=CPU, resume=True)
    assert losses(run_dir) == losses(finished)
    found, expected = (load_checkpoint(d / "last.pt").model for d in (run_dir, finished))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_metrics_file_cut_in_a_line_does_not_stop_a_resume(finished, cache, tmp_path: Path):
    run_dir = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(cache, small_run(), run_dir, device=CPU, on_step=stop_at(8))
    path = run_dir / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    train(cache, small_run(), run_dir, device=CPU, resume=True)
    assert losses(run_dir) == losses(finished)


def test_a_run_cannot_be_resumed_with_other_settings_or_another_cache(finished, cache, paper_cache):
    with pytest.raises(CheckpointError, match=r"model\.stem_width = 4, not 8"):
        train(cache, small_run("model.stem_width=8"), finished, device=CPU, resume=True)
    with pytest.raises(CheckpointError, match="a cache of other settings"):
        train(paper_cache, small_run(), finished, device=CPU, resume=True)


def test_a_folder_is_neither_overwritten_nor_resumed_by_mistake(finished, cache, tmp_path: Path):
    before = (finished / "last.pt").read_bytes()
    with pytest.raises(UsageError, match="--resume"):
        train(cache, small_run(), finished, device=CPU)
    assert (finished / "last.pt").read_bytes() == before
    with pytest.raises(UsageError, match="holds no checkpoint"):
        train(cache, small_run(), tmp_path / "new", device=CPU, resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (["model.num_classes=7"], CacheError),
        (["model.grid_size=[96, 64]"], CacheError),
        (["training.steps=31"], DataError),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(cache, tmp_path: Path, overrides, error):
    with pytest.raises(error):
        train(cache, small_run(*overrides), tmp_path / "run", device=CPU)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_windows(cache, tmp_path: Path):
    settings = small_run("training.learning_rate=1e30", "training.warmup_epochs=0")
    with pytest.raises(DataError, match=r"stopped at step [1-9].*train/trainfilelist00/") as raised:
        train(cache, settings, tmp_path / "run", device=CPU)
    assert "\n" not in str(raised.value)
    weights = load_checkpoint(tmp_path / "run" / "last.pt").model
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_the_schedule_warms_up_to_the_peak_and_ends_at_its_last_share():
    recipe = TrainingSettings(warmup_epochs=2, final_learning_rate=0.1)
    rates = [schedule(step, 10, 100, recipe) for step in range(100)]
    assert 0 < rates[0] < 0.1
    assert rates[:20] == sorted(rates[:20])
    assert rates[20] == max(rates) == 1
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    assert schedule(500, 10, 100, recipe) == pytest.approx(0.1)  # it never rises again
    halfway = rates[20 + 39] + rates[20 + 40]
    assert halfway / 2 == pytest.approx((1 + 0.1) / 2, abs=1e-3)


def test_the_schedule_without_warm_up_starts_at_the_peak():
    recipe = TrainingSettings(warmup_epochs=0, final_learning_rate=0)
    assert schedule(0, 1, 1, recipe) == 1
    assert math.isclose(schedule(9, 5, 10, recipe), 0, abs_tol=1e-12)
