"""`dmanet train`: learn from a cache."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.classes import ClassNames
from cli.distinct import DistinctPaths
from cli.model.options import (
    STEP_COUNT,
    config_option,
    device_option,
    is_one_of_several,
    overrides_option,
    workers_option,
)
from cli.options import example, exit_codes, quiet_option
from cli.paths import InputCache, OutputFolder
from cli.signals import stop_requests

if TYPE_CHECKING:
    from dmanet.recipes import RunSettings
    from pipeline.cache.reader import PillarCache


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@click.option("--run-dir", type=OutputFolder(), required=True, help="Folder of this run's results.")
@click.option(
    "--preset",
    help="default, paper and notes (published recipes), or tiny (two CPU cores, minutes).",
)
@click.option(
    "--classes",
    type=ClassNames(),
    help="Learn these classes only, by their names in CACHE: training.classes and model.num_classes.",
)
@config_option
@overrides_option
@click.option("--resume", is_flag=True, help="Go on with the run in --run-dir, as it was set.")
@click.option(
    "--checkpoint-every",
    type=STEP_COUNT,
    default=1000,
    show_default=True,
    metavar="STEPS",
    help="Write last.pt this often besides at each epoch's end; 0 for only there.",
)
@click.option(
    "--keep-every",
    type=STEP_COUNT,
    default=0,
    show_default=True,
    metavar="STEPS",
    help="Keep a checkpoint under the name of its step this often; 0 for none.",
)
@click.option(
    "--max-bad-steps",
    type=click.IntRange(1, 2**31 - 1),
    default=10,
    show_default=True,
    metavar="STEPS",
    help="Stop after so many steps in a row without a finite loss and gradient.",
)
@device_option
@workers_option
@quiet_option
@example("dmanet train cache --run-dir runs/one --preset tiny --set training.epochs=5")
@exit_codes(
    "0      trained to the end of the last epoch",
    "1      bad data, or --max-bad-steps in a row",
    "2      a request that cannot be met",
    "130    stopped by Ctrl-C, 143 by SIGTERM, after saving; --resume goes on",
)
def train(
    cache: str,
    run_dir: Path,
    preset: str | None,
    classes: tuple[str, ...] | None,
    config: Path | None,
    overrides: tuple[str, ...],
    resume: bool,
    checkpoint_every: int,
    keep_every: int,
    max_bad_steps: int,
    device: str,
    workers: int,
    quiet: bool,
) -> None:
    """Train a network on the recordings of CACHE's split `train`.

    RUN_DIR gets settings.yaml (everything as resolved), metrics.jsonl (one line a step), epochs.jsonl,
    tensorboard/, and checkpoints: last.pt, previous.pt (the one before), best.pt (the epoch with the
    best mAP on the split `val`, or the least loss without one).

    Stopped by Ctrl-C, killed, or ended by bad steps: the same command with --resume goes on where
    last.pt stands, as if nothing had happened.

    On several GPUs: `torchrun --nproc-per-node=2 -m cli.main train CACHE …`, with training.batch_size
    samples on each.
    """
    with stop_requests() as request:
        if classes:
            chosen_classes = f"training.classes={json.dumps(classes)}"
            overrides = (chosen_classes, f"model.num_classes={len(classes)}", *overrides)
        changes = preset, config, overrides
        checked = None if is_one_of_several() else _checked(cache, run_dir, resume, *changes)

        from cli.model.train_progress import SilentProgress, TrainingProgress
        from dmanet.device import own_device
        from dmanet.ranks import joined_ranks
        from dmanet.training.loop import train
        from pipeline.tasks.outcomes import Stopped

        chosen = own_device(device)
        with joined_ranks(chosen) as ranks:
            with ranks.barrier():  # of several processes one says what is wrong
                opened, settings = checked or _checked(cache, run_dir, resume, *changes)
            progress = (
                TrainingProgress(request, quiet) if ranks.is_main else SilentProgress(request)
            )
            try:
                outcome = train(
                    opened,
                    settings,
                    run_dir,
                    device=chosen,
                    workers=workers,
                    resume=resume,
                    checkpoint_every=checkpoint_every,
                    keep_every=keep_every,
                    max_bad_steps=max_bad_steps,
                    watcher=progress,
                    ranks=ranks,
                )
            except Stopped as stopped:
                progress.close()
                if ranks.is_main:
                    click.echo(str(stopped), err=True)
                raise click.exceptions.Exit(request.exit_code) from None
            finally:
                progress.close()
    if ranks.is_main:
        click.echo(str(outcome))


def _checked(
    cache: str,
    run_dir: Path,
    resume: bool,
    preset: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> "tuple[PillarCache, RunSettings | None]":
    """The cache and the settings, once all that can be known without torch is in order.

    The settings are None for a run that goes on with its own.
    """
    from dmanet.data.fitting import check_fit, recordings_of
    from dmanet.recipes import resolve_settings
    from dmanet.runs.claims import read_claims
    from dmanet.runs.run_files import RunFiles
    from pipeline.cache.reader import PillarCache

    files = RunFiles(run_dir)
    settings = None
    if not resume or preset is not None or config is not None or overrides:
        settings = resolve_settings(preset or "default", config, overrides)
    if resume:
        files.check_resumable()
    else:
        files.check_new()
        if settings is not None and settings.training.init_from is not None:
            read_claims(Path(settings.training.init_from))
    opened = PillarCache(cache)
    if settings is not None:
        learned = settings.training.classes or None
        check_fit(opened, settings.model, "this run's", learned, trained=False)
    recordings_of(opened, "train")
    return opened, settings
