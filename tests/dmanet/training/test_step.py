import math
from dataclasses import replace

import pytest
import torch

from dmanet.data.batches import collate
from dmanet.data.loading import BatchLoader
from dmanet.data.samplers import make_sampler
from dmanet.data.unpacking import decode_batch
from dmanet.detection.anchors import anchors_for
from dmanet.detection.boxes import decode_boxes
from dmanet.detection.losses import detection_loss
from dmanet.device import autocast
from dmanet.models.adaptive_conv_lstm import ConvLSTM
from dmanet.models.detector import DMANet
from dmanet.models.non_local import NonLocalAggregation
from dmanet.training.compilation import compile_parts
from dmanet.training.resume import restore, take_checkpoint
from dmanet.training.step import Trainer
from tests.dmanet.caches import CLASSES, LONG, SMALL, small_run
from tests.dmanet.training_runs import CPU

pytestmark = pytest.mark.usefixtures("one_thread")

PRECISIONS = ("fp32", "bf16", "fp16")


def batches_of(cache, settings, count):
    """The first batches of a run."""
    recipe = settings.training
    lengths = {LONG: 30, SMALL: 10}
    sampler = make_sampler(recipe.sampling, lengths, recipe.steps, recipe.batch_size, recipe.seed)
    return [batch for batch, _ in zip(BatchLoader(cache, sampler), range(count), strict=False)]


def trainer_of(settings, checkpoint=None) -> Trainer:
    trainer = Trainer(settings, CPU, 7)
    if checkpoint is not None:
        restore(trainer, checkpoint)
    return trainer


def checkpoint_of(trainer: Trainer):
    """A copy: what a trainer gives are its own tensors."""
    given = take_checkpoint(trainer, "fingerprint", {}, CLASSES)
    copies = {
        name: {key: tensor.clone() for key, tensor in getattr(given, name).items()}
        for name in ("model",)
    }
    return replace(given, **copies, tally=replace(given.tally))


def assert_same_weights(first, second):
    for name, tensor in second.items():
        assert torch.equal(first[name], tensor), name


def test_the_first_loss_is_the_sum_over_steps_of_the_mean_over_sequences(cache):
    settings = small_run()
    (batch,) = batches_of(cache, settings, 1)
    report = trainer_of(settings).make_step(batch, 0.5)

    ranges = [piece for sample in batch.samples for piece in sample.pieces]
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
    assert report.loss == pytest.approx(total, rel=1e-4)
    assert report.loss == pytest.approx(report.classification + report.regression)
    assert report.windows_per_s == pytest.approx(6 / (0.5 + report.step_s))


def test_a_stream_carries_its_state_without_gradient_and_a_random_sample_does_not(cache):
    settings = small_run(
        "training.sampling=mixed",
        "training.learning_rate=1e-12",
        "model.short_memory_init=released",  # from zero, the short memory would not be seen
    )
    first, second = batches_of(cache, settings, 2)
    assert [s.continues for s in second.samples] == [False, True]
    # Heads begin with zeros, through which no memory is seen.
    checkpoint = checkpoint_of(trainer_of(settings))
    heads = {
        f"{head}.output.weight": 0.01 * torch.randn_like(checkpoint.model[f"{head}.output.weight"])
        for head in ("class_head", "box_head")
    }
    trainer = trainer_of(settings, replace(checkpoint, model={**checkpoint.model, **heads}))
    reference = DMANet(settings.model).train()
    reference.load_state_dict(trainer.model.state_dict())
    trainer.make_step(first, 0.0)
    report = trainer.make_step(second, 0.0)
    carried = take_checkpoint(trainer, "", {}, CLASSES).carried
    assert not any(t.requires_grad for level in carried for t in vars(level).values())

    def loss_of(batch, state, reset):
        output, state = reference(*decode_batch(batch), 3, 2, state, reset)
        anchors = anchors_for(settings.model.grid_size, settings.model.anchors)
        terms = detection_loss(
            output.logits, output.deltas, anchors, batch.targets, settings.loss, batch.counted
        )
        return 3 * sum(terms.values()).item(), state

    _, state = loss_of(first, None, first.reset)
    reset = second.reset.clone()
    reset[0] |= ~second.continues
    wanted, _ = loss_of(second, state, reset)
    without, _ = loss_of(second, None, reset)
    assert report.loss == pytest.approx(wanted, rel=1e-4)
    assert report.loss != pytest.approx(without, rel=1e-3)


def test_a_bad_step_leaves_no_trace_and_the_next_one_is_fresh(cache):
    settings = small_run("training.sampling=stream", "training.ema_decay=0.9")
    first, second, third = batches_of(cache, settings, 3)
    trainer = trainer_of(settings)
    trainer.make_step(first, 0.0)
    checkpoint = checkpoint_of(trainer)
    # Sound weights and sound windows, and a memory in which numbers were lost.
    hidden = torch.full_like(checkpoint.carried[1].hidden, math.nan)
    lost = (
        checkpoint.carried[0],
        replace(checkpoint.carried[1], hidden=hidden),
        checkpoint.carried[2],
    )
    trainer = trainer_of(settings, replace(checkpoint, carried=lost))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    average = {name: tensor.clone() for name, tensor in trainer.average.tensors().items()}
    moments = [
        {name: value.clone() for name, value in state.items()}
        for state in trainer.optimizer.state_dict()["state"].values()
    ]
    report = trainer.make_step(second, 0.0)
    assert report.outcome == "bad loss"
    assert math.isnan(report.loss)
    assert not report.clipped
    assert report.bad_steps == trainer.tally.bad_in_a_row == 1
    assert math.isnan(report.bad_step.terms["classification"])
    assert math.isnan(report.bad_step.gradient_norms["long_memory"])
    assert report.bad_step.gradient_norms.keys() >= {"pillar_net", "backbone", "class_head"}
    for sample, window in zip(second.samples, report.bad_step.windows, strict=False):
        assert window == f"{sample.pieces[0].recording} {sample.pieces[0].start}…" + str(
            sample.pieces[0].stop - 1
        )
    assert_same_weights(trainer.model.state_dict(), before)
    assert_same_weights(trainer.average.tensors(), average)
    for state, kept in zip(trainer.optimizer.state_dict()["state"].values(), moments, strict=True):
        assert_same_weights(state, kept)
    assert take_checkpoint(trainer, "", {}, CLASSES).carried is None
    assert trainer.step == 2

    report = trainer.make_step(third, 0.0)
    assert report.outcome == "made"
    assert trainer.tally.bad_in_a_row == 0
    fresh = trainer_of(settings, replace(checkpoint, carried=None, step=2))
    assert fresh.make_step(third, 0.0).loss == report.loss


def test_a_sound_state_is_carried_over_a_bad_step(cache):
    settings = small_run("training.sampling=stream")
    first, second = batches_of(cache, settings, 2)
    trainer = trainer_of(settings)
    trainer.make_step(first, 0.0)
    checkpoint = checkpoint_of(trainer)
    trainer = trainer_of(settings, checkpoint)
    with torch.no_grad():  # the heads come after everything that is remembered
        trainer.model.class_head.output.bias[0] = math.inf
    report = trainer.make_step(second, 0.0)
    assert report.outcome == "bad loss"
    assert take_checkpoint(trainer, "", {}, CLASSES).carried is not None


def test_a_gradient_that_is_no_number_under_a_sound_loss_is_a_bad_step(cache):
    settings = small_run()
    (batch,) = batches_of(cache, settings, 1)
    trainer = trainer_of(settings)
    # Forwards the two factors cancel; backwards the second comes alone.
    head = trainer.model.class_head
    with torch.no_grad():
        head.convs[0].weight.mul_(1e-30)
        head.convs[0].bias.zero_()
        head.output.weight.fill_(1e28)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    report = trainer.make_step(batch, 0.0)
    assert report.outcome == "bad gradient"
    assert math.isfinite(report.loss)
    assert math.isinf(report.bad_step.gradient_norms["class_head"])
    assert_same_weights(trainer.model.state_dict(), before)


def test_a_float16_overflow_lowers_the_scale_and_is_no_bad_step(cache):
    settings = small_run("training.precision=fp16", "training.ema_decay=0.9")
    batches = 2 * batches_of(cache, settings, 4)
    trainer = trainer_of(settings)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    report = trainer.make_step(batches[0], 0.0)
    assert (report.outcome, report.loss_scale) == ("overflow", 65536.0)
    assert math.isfinite(report.loss)
    assert_same_weights(trainer.model.state_dict(), before)
    reports = [trainer.make_step(batch, 0.0) for batch in batches[1:]]
    assert reports[0].loss_scale == 32768.0
    assert reports[-1].outcome == "made"
    assert reports[-1].loss_scale < 65536.0
    assert reports[-1].bad_steps == 0
    assert reports[-1].overflows == trainer.tally.overflows > 0
    assert trainer.average.updates == trainer.tally.made


def test_a_float16_overflow_at_the_least_scale_is_a_bad_step(cache):
    settings = small_run("training.precision=fp16")
    (batch,) = batches_of(cache, settings, 1)
    checkpoint = checkpoint_of(trainer_of(settings))
    weights = {name: t.clone() for name, t in checkpoint.model.items()}
    # Forwards the factors cancel; backwards they are beyond float16's range.
    weights["box_head.convs.0.weight"] *= 1e-4
    weights["box_head.convs.0.bias"] *= 0
    weights["box_head.output.weight"] += 6e4
    scaler = {**torch.amp.GradScaler("cpu").state_dict(), "scale": 1.0}
    trainer = trainer_of(settings, replace(checkpoint, model=weights, scaler=scaler))
    report = trainer.make_step(batch, 0.0)
    assert report.loss_scale == 1.0
    assert report.outcome == "bad gradient"
    assert trainer.tally.overflows == 0
    assert take_checkpoint(trainer, "", {}, CLASSES).scaler["scale"] == 1.0


def test_windows_repeated_at_the_end_of_a_stream_leave_the_running_statistics(cache):
    settings = small_run()
    (batch,) = batches_of(cache, settings, 1)
    for counted, moves in ((batch.counted, True), (torch.zeros_like(batch.counted), False)):
        if not moves:
            counted[0] = True  # one window that counts, the others repeated
        trainer = trainer_of(settings)
        before = {k: v.clone() for k, v in trainer.model.named_buffers() if "running" in k}
        assert trainer.make_step(replace(batch, counted=counted), 0.0).outcome == "made"
        after = dict(trainer.model.named_buffers())
        assert before
        assert any(not torch.equal(v, after[k]) for k, v in before.items()) == moves


def test_a_gradient_above_the_limit_is_clipped_and_counted(cache):
    batches = batches_of(cache, small_run(), 3)
    loose = trainer_of(small_run("training.gradient_clip=1e9"))
    reports = [loose.make_step(batch, 0.0) for batch in batches]
    assert not any(report.clipped for report in reports)
    limit = sorted(report.gradient_norm for report in reports)[0] * 0.999
    tight = trainer_of(small_run(f"training.gradient_clip={limit}"))
    report = tight.make_step(batches[0], 0.0)
    assert report.gradient_norm == reports[0].gradient_norm  # told before clipping
    assert report.clipped
    assert report.clip_rate == 1.0
    square = sum(p.grad.double().square().sum() for p in tight.model.parameters())
    assert math.sqrt(square) == pytest.approx(limit, rel=1e-4)


def test_the_average_is_what_is_judged_and_weights_are_what_is_trained(cache):
    settings = small_run("training.ema_decay=0.5")
    trainer = trainer_of(settings)
    for batch in batches_of(cache, settings, 2):
        trainer.make_step(batch, 0.0)
    weights = trainer.weights(CLASSES)
    checkpoint = take_checkpoint(trainer, "fingerprint", {}, CLASSES)
    assert_same_weights(weights.tensors, trainer.average.tensors())
    assert_same_weights(checkpoint.weights().tensors, trainer.average.tensors())
    assert_same_weights(checkpoint.trained_weights().tensors, trainer.model.state_dict())
    name = "class_head.output.bias"
    assert not torch.equal(weights.tensors[name], trainer.model.state_dict()[name])


def test_activation_checkpointing_changes_memory_and_not_the_losses(cache):
    settings = small_run("training.sampling=stream")
    batches = batches_of(cache, settings, 3)
    plain = trainer_of(settings)
    saving = trainer_of(
        small_run("training.sampling=stream", "training.activation_checkpointing=true")
    )
    assert saving.model.checkpoint_activations
    for batch in batches:
        assert saving.make_step(batch, 0.0).loss == plain.make_step(batch, 0.0).loss
    assert_same_weights(saving.model.state_dict(), plain.model.state_dict())


def test_compiled_parts_keep_their_names():
    model = DMANet(small_run().model)
    names = list(model.state_dict())
    compile_parts(model)  # nothing is compiled before the first call
    assert list(model.state_dict()) == names


def test_augmentation_changes_what_is_learned_from_and_only_by_the_draws(cache):
    plain, flipped = small_run(), small_run("augmentation.flip=1.0")
    (batch,) = batches_of(cache, plain, 1)
    report = trainer_of(flipped).make_step(batch, 0.0)
    assert report.loss != trainer_of(plain).make_step(batch, 0.0).loss
    torch.manual_seed(9)
    assert trainer_of(flipped).make_step(batch, 0.0).loss == report.loss


@pytest.mark.parametrize("precision", PRECISIONS)
def test_similarity_attention_loss_and_boxes_are_float32_in_every_precision(precision):
    torch.manual_seed(0)
    frames = torch.randn(4, 8, 6, 6) * 30
    with autocast(CPU, precision):
        similarity = ConvLSTM(8, True, 1e-4).similarity(frames, None, 2)
        attention = NonLocalAggregation(8)
        attended = attention.aggregate(frames[:2], 30 * frames[2:])
        logits = torch.nn.functional.conv2d(frames, torch.randn(4, 8, 1, 1))  # of that precision
        rows = logits.permute(0, 2, 3, 1).reshape(4, -1, 4)
        anchors = torch.rand(36, 4) * 20
        anchors[:, 2:] += anchors[:, :2] + 5
        boxes = decode_boxes(rows, anchors)
    assert similarity.dtype == boxes.dtype == torch.float32
    # Scores of attention far beyond float16's largest number do no harm.
    assert torch.isfinite(attended).all()
    assert torch.isfinite(boxes).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_in_every_precision_has_a_float32_loss_near_that_of_float32(cache, precision):
    batches = batches_of(cache, small_run(), 1)
    settings = small_run(f"training.precision={precision}")
    report = trainer_of(settings).make_step(batches[0], 0.0)
    wanted = trainer_of(small_run()).make_step(batches[0], 0.0)
    assert report.loss == pytest.approx(wanted.loss, rel=0.02)
    sixteen_bits = torch.tensor(report.loss).to(
        {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    )
    assert (precision == "fp32") == (sixteen_bits.item() == report.loss)
