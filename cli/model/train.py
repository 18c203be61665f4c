"""`dmanet train`: learn from a cache."""

from pathlib import Path

import click

from cli.model.options import config_option, device_option, overrides_option, workers_option
from cli.options import PATH, example, exit_codes, quiet_option
from cli.signals import stop_requests


@click.command()
@click.argument("cache", type=PATH)
@click.option("--run-dir", type=PATH, required=True, help="Folder of this run's results.")
@click.option(
    "--preset",
    help="default, paper and notes (published recipes), or tiny (two CPU cores, minutes).",
)
@config_option
@overrides_option
@click.option("--resume", is_flag=True, help="Go on with the run in --run-dir, as it was set.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="STEPS",
    help="Write last.pt this often besides at each epoch's end; 0 for only there.",
)
@click.option(
    "--keep-every",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="STEPS",
    help="Keep a checkpoint under the name of its step this often; 0 for none.",
)
@click.option(
    "--max-bad-steps",
    type=click.IntRange(min=1),
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
    cache: Path,
    run_dir: Path,
    preset: str | None,
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
        from cli.model.train_progress import SilentProgress, TrainingProgress
        from dmanet.device import own_device
        from dmanet.ranks import joined_ranks
        from dmanet.recipes import resolve_settings
        from dmanet.training.loop import train
        from pipeline.cache.reader import PillarCache
        from pipeline.tasks.outcomes import Stopped

        chosen = own_device(device)
        with joined_ranks(chosen) as ranks:
            with ranks.barrier():
                opened = PillarCache(cache)
                own = resume and preset is None and config is None and not overrides
                settings = None if own else resolve_settings(preset or "default", config, overrides)
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
