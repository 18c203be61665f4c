"""How a run resumes: what a checkpoint takes from a trainer, gives back to one, and may go on with."""

from typing import Any

import torch

from dmanet.models.detector import LevelState, State
from dmanet.ranks import Ranks
from dmanet.recipes import RunSettings
from dmanet.runs.content import check_tensors
from dmanet.runs.records import Checkpoint
from dmanet.training.step import Trainer
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CheckpointError
from pipeline.settings import Settings


def take_checkpoint(
    trainer: Trainer,
    cache: str,
    recordings: dict[str, str],
    classes: tuple[str, ...],
    cache_settings: CacheSettings | None = None,
) -> Checkpoint:
    """Where a run stands now, to be saved before the next step: the tensors are those in use.

    All ranks call it.

    Args:
        trainer: of the run.
        cache: fingerprint of the cache's settings.
        recordings: digests of the recordings that the run reads, by id.
        classes: the name of each output class.
        cache_settings: of the cache; None leaves them out.
    """
    return Checkpoint(
        settings=trainer.settings,
        model=trainer.model.state_dict(),
        optimizer=trainer.optimizer.state_dict(),
        scaler=trainer.scaler.state_dict(),
        average=trainer.average.state_dict() if trainer.average else None,
        carried=_joined(trainer.carried, trainer.ranks),
        epoch=trainer.epoch,
        position=trainer.position,
        step=trainer.step,
        tally=trainer.tally,
        best_score=trainer.best_score,
        cache=cache,
        recordings=recordings,
        classes=classes,
        cache_settings=cache_settings,
    )


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Make a new trainer go on where ``checkpoint`` was taken.

    Raises:
        CheckpointError: weights, optimiser, average, loss scaler or carried state are those of another
            network or recipe, or only one of the two keeps an average.
    """
    if problem := _first_problem(trainer, checkpoint):
        raise CheckpointError(
            f"{checkpoint.source}: cannot be resumed, {problem}; use another file."
        )
    checkpoint.trained_weights().load_into(trainer.model)
    if (trainer.average is None) != (checkpoint.average is None):
        raise CheckpointError(
            f"{checkpoint.source}: has {'no' if checkpoint.average is None else 'an'} average of the "
            "weights, which training.ema_decay asks for otherwise; resume with the run's own settings."
        )
    # What another release of torch did not have among its settings yet, and the rate, stay as they are.
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({**checkpoint.optimizer, "param_groups": groups})
    trainer.scaler.load_state_dict(checkpoint.scaler)
    if trainer.average is not None and checkpoint.average is not None:
        trainer.average.load_state_dict(checkpoint.average)
    trainer.carried = _own_part(checkpoint.carried, trainer)
    trainer.epoch, trainer.position = checkpoint.epoch, checkpoint.position
    trainer.step, trainer.tally = checkpoint.step, checkpoint.tally
    trainer.best_score = checkpoint.best_score


def _first_problem(trainer: Trainer, checkpoint: Checkpoint) -> str | None:
    """What keeps a checkpoint from going on in ``trainer``, apart from its weights; None if nothing."""
    if not 0 <= checkpoint.position <= trainer.steps_per_epoch:
        return f"its position {checkpoint.position} is behind the end of an epoch"
    if checkpoint.epoch > trainer.settings.training.epochs:
        return f"it has finished {checkpoint.epoch} epochs, more than the run has"
    if trainer.scaler.is_enabled() and not _same_kinds(
        checkpoint.scaler, trainer.scaler.state_dict()
    ):
        return "its loss scaler is not one of this precision"
    state = trainer.model.state_dict()
    if checkpoint.average is not None and (
        problem := check_tensors(checkpoint.average["tensors"], state)
    ):
        return f"in its average {problem}"
    return _optimizer_problem(trainer, checkpoint) or _carried_problem(trainer, checkpoint)


def _optimizer_problem(trainer: Trainer, checkpoint: Checkpoint) -> str | None:
    wanted, found = trainer.optimizer.state_dict()["param_groups"], checkpoint.optimizer
    parameters = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    groups = found["param_groups"]
    if len(groups) != len(wanted) or not all(map(_same_settings, groups, wanted)):
        return "its optimiser has other settings"
    for number, moments in found["state"].items():
        if number >= len(parameters):
            return f"its optimiser has a parameter {number} that the network lacks"
        like = parameters[number]
        expected = {"step": torch.zeros(()), "exp_avg": like, "exp_avg_sq": like}
        # Numbers are not looked at: a moment may overflow and the run go on.
        if problem := check_tensors(moments, expected, finite=False):
            return f"in its optimiser's parameter {number} {problem}"
    return None


def _same_settings(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a group of parameters has no other settings than the recipe's; each step sets the rate."""
    return found.keys() <= wanted.keys() and all(
        type(found.get(key)) is type(wanted[key]) and found.get(key) == wanted[key]
        for key in wanted.keys() & ({*found, "params"} - {"lr"})
    )


def _same_kinds(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether two groups of values have the same keys, with values of the same types."""
    return found.keys() == wanted.keys() and all(
        type(found[key]) is type(wanted[key])
        or {type(found[key]), type(wanted[key])} <= {int, float}
        for key in wanted
    )


def _carried_problem(trainer: Trainer, checkpoint: Checkpoint) -> str | None:
    if checkpoint.carried is None:
        return None
    network = trainer.settings.model
    batch = trainer.settings.training.batch_size * trainer.ranks.world_size
    channels = trainer.model.backbone.channels
    if len(checkpoint.carried) != len(channels):
        return f"its carried state has {len(checkpoint.carried)} levels"
    for level, (state, width) in enumerate(zip(checkpoint.carried, channels, strict=True)):
        height, length = (-(-side // (8 << level)) for side in network.grid_size)
        hidden = width if network.long_memory != "none" else 0
        cell = width if network.long_memory in ("adaptive", "plain") else 0
        shape = (batch, width, height, length)
        for name, expected in (
            ("feature", shape),
            ("hidden", (batch, hidden, *shape[2:])),
            ("cell", (batch, cell, *shape[2:])),
        ):
            tensor = getattr(state, name)
            if tuple(tensor.shape) != expected or not tensor.is_floating_point():
                return f"its carried {name} {level} has the shape {tuple(tensor.shape)}"
    return None


def check_same_run(
    checkpoint: Checkpoint,
    settings: RunSettings,
    fingerprint: str,
    recordings: dict[str, str],
    location: str,
) -> None:
    """Check that a checkpoint's run is the one described.

    Args:
        checkpoint: of the run to go on with.
        settings: of the run asked for.
        fingerprint: of the cache's settings.
        recordings: digests of the cache's recordings that a run reads, by id.
        location: of the cache, for messages.

    Raises:
        CheckpointError: it is another run; the first difference is named.
    """
    if difference := first_difference(_deciding(checkpoint.settings), _deciding(settings)):
        raise CheckpointError(
            f"{checkpoint.source}: was trained with {difference}; resume with the settings of the "
            "run, or train into another folder."
        )
    if checkpoint.cache != fingerprint:
        raise CheckpointError(
            f"{checkpoint.source}: was trained on a cache of other settings than {location}; resume "
            "with the cache of the run, or train into another folder."
        )
    known = checkpoint.recordings
    changes = {
        "more": sorted(recordings.keys() - known.keys()),
        "fewer": sorted(known.keys() - recordings.keys()),
        "other": sorted(
            key for key in known.keys() & recordings.keys() if known[key] != recordings[key]
        ),
    }
    told = [f"{len(keys)} {kind} (such as {keys[0]})" for kind, keys in changes.items() if keys]
    if told:
        raise CheckpointError(
            f"{checkpoint.source}: was trained on {len(known)} recordings, and {location} now holds "
            f"{', '.join(told)}, which makes another run; resume with the cache as it was, or train "
            "into another folder."
        )


def check_same_ranks(checkpoint: Checkpoint, ranks: Ranks) -> None:
    """Check that a checkpoint's run has as many processes as there are now.

    Raises:
        CheckpointError: it has more or fewer.
    """
    wanted = checkpoint.settings.training.ranks
    if wanted != ranks.world_size:
        raise CheckpointError(
            f"{checkpoint.source}: was trained by {wanted} processes, not {ranks.world_size}; resume "
            "with as many (torchrun's --nproc-per-node and --nnodes), or train into another folder."
        )


def first_difference(found: Settings, wanted: Settings, prefix: str = "") -> str | None:
    """The first key in which two settings of one kind differ, with both values; None if none."""
    for key in type(found).model_fields:
        ours, theirs = getattr(found, key), getattr(wanted, key)
        if isinstance(ours, Settings):
            if inner := first_difference(ours, theirs, f"{prefix}{key}."):
                return inner
        elif ours != theirs:
            return f"{prefix}{key} = {ours}, not {theirs}"
    return None


def _deciding(settings: RunSettings) -> RunSettings:
    """The settings with what changes neither weights nor order set to its default."""
    indifferent = {"activation_checkpointing": False, "compile": False, "logger": ""}
    training = settings.training.model_copy(update=indifferent)
    return settings.model_copy(update={"training": training})


def _joined(carried: State | None, ranks: Ranks) -> State | None:
    """The carried state of all ranks' slots, in the order of one process that had them all."""
    if carried is None or ranks.world_size == 1:
        return carried
    own = [(level.hidden.cpu(), level.cell.cpu(), level.feature.cpu()) for level in carried]
    return tuple(
        LevelState(*(torch.cat(parts) for parts in zip(*of_ranks, strict=True)))
        for of_ranks in zip(*ranks.all_gather(own), strict=True)
    )


def _own_part(carried: State | None, trainer: Trainer) -> State | None:
    """What :func:`_joined` joined of this rank's slots, on the trainer's device."""
    if carried is None:
        return None
    batch, rank = trainer.settings.training.batch_size, trainer.ranks.rank
    own = slice(batch * rank, batch * (rank + 1))
    return tuple(
        LevelState(
            level.hidden[own].to(trainer.device),
            level.cell[own].to(trainer.device),
            level.feature[own].to(trainer.device),
        )
        for level in carried
    )
