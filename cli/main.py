"""`dmanet`: train, evaluate and use the detector, from a pillar cache.

Commands parse, call and print; the work is in `dmanet`, imported inside each command so that
``--help`` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.bench_command import bench
from cli.errors import OneLineErrors
from cli.options import example, progress_bar, quiet_option
from cli.results_command import results
from cli.signals import stop_requests
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import torch

    from dmanet.data.samplers import WindowRange
    from pipeline.cache.reader import PillarCache

_PATH = click.Path(path_type=Path)
_SPLIT = click.Choice(["train", "val", "test"])

device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto takes a GPU."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="auto is bf16 where the device computes in it.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that read ahead; 0 for none.",
)
steps_option = click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Windows computed at a time; memory is carried over all of them.",
)


@click.group(cls=OneLineErrors)
@click.version_option(package_name="dmanet-events")
def main() -> None:
    """DMANet on a pillar cache: train it, score it, look at what it finds.

    `dmanet-data` makes the cache. Every command has an example in its help.
    """


main.add_command(bench)
main.add_command(results)


@main.command()
@click.argument("cache", type=_PATH)
@click.option("--run-dir", type=_PATH, required=True, help="Folder of this run's results.")
@click.option(
    "--preset",
    help="default, paper and notes (published recipes), or tiny (two CPU cores, minutes).",
)
@click.option("--config", type=_PATH, help="YAML file of settings that differ from the preset.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A single setting; repeatable."
)
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

    \b
    Exit codes:
      0      trained to the end of the last epoch
      1      bad data, or --max-bad-steps in a row
      2      a request that cannot be met
      130    stopped by Ctrl-C, 143 by SIGTERM, after saving; --resume goes on
    """
    with stop_requests() as request:
        from cli.training_progress import SilentProgress, TrainingProgress
        from dmanet.device import own_device
        from dmanet.ranks import joined_ranks
        from dmanet.recipes import resolve_settings
        from dmanet.training.loop import train
        from pipeline.cache.reader import PillarCache
        from pipeline.tasks.processes import Stopped

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


@main.command()
@click.argument("cache", type=_PATH)
@click.option("--checkpoint", type=_PATH, required=True, help="last.pt of a run, or weights.")
@click.option(
    "--protocol",
    type=click.Choice(["release", "prophesee", "rvt"]),
    default="release",
    show_default=True,
    help="Rules of matching and scoring.",
)
@click.option("--split", type=_SPLIT, default="test", show_default=True, help="What to score.")
@click.option("--json", "json_output", type=_PATH, help="Write the result here as JSON.")
@steps_option
@device_option
@precision_option
@workers_option
@quiet_option
@example("dmanet evaluate cache --checkpoint runs/one/last.pt --split test --json result.json")
def evaluate(
    cache: Path,
    checkpoint: Path,
    protocol: str,
    split: str,
    json_output: Path | None,
    steps: int,
    device: str,
    precision: str,
    workers: int,
    quiet: bool,
) -> None:
    """Score a network on every window of a split of CACHE, and print the table of its classes.

    Recordings are read in order; memory is carried over contiguous windows and reset where a recording
    begins and at time gaps. On several GPUs, `torchrun --nproc-per-node=2 -m cli.main evaluate …`
    deals the recordings out.
    """
    from dmanet.data.fitting import recordings_of
    from dmanet.device import own_device
    from dmanet.evaluation.evaluate import evaluate, own_recordings
    from dmanet.ranks import joined_ranks
    from dmanet.runs.weights import load_weights
    from pipeline.cache.reader import PillarCache
    from pipeline.files import written_whole

    chosen = own_device(device)
    with joined_ranks(chosen) as ranks:
        with ranks.barrier():
            opened = PillarCache(cache)
            weights = load_weights(checkpoint)
            own = own_recordings(recordings_of(opened, split), ranks)
        stream = _stream(chosen, precision, steps, workers)
        windows = sum(len(recording) for recording in own)
        with progress_bar(windows, "window", quiet or not ranks.is_main) as bar:
            result = evaluate(weights, opened, protocol, split, stream, bar.update, ranks)
    if not ranks.is_main:
        return
    if json_output:
        with written_whole(json_output) as unfinished:
            unfinished.write_text(result.to_json() + "\n", encoding="utf-8")
    click.echo(result.as_table())


@main.command()
@click.argument("cache", type=_PATH)
@click.option("--checkpoint", type=_PATH, required=True, help="last.pt of a run, or weights.")
@click.option("--split", type=_SPLIT, help="All recordings of a split; test if nothing is chosen.")
@click.option("--recording", help="One recording by its id, as `dmanet-data info` lists them.")
@click.option("--windows", metavar="A:B", help="Windows A to B (exclusive) of --recording.")
@click.option("-o", "--output", type=_PATH, required=True, help="A new folder.")
@click.option(
    "--score",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Least score of a box.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    help="Pictures of each recording, evenly spread.",
)
@steps_option
@device_option
@precision_option
@workers_option
@quiet_option
@example("dmanet predict cache --checkpoint runs/one/last.pt --split test -o predictions")
def predict(
    cache: Path,
    checkpoint: Path,
    split: str | None,
    recording: str | None,
    windows: str | None,
    output: Path,
    score: float,
    pictures: int,
    steps: int,
    device: str,
    precision: str,
    workers: int,
    quiet: bool,
) -> None:
    """Write what a network finds: a Prophesee `_bbox.npy` for each recording, and pictures.

    Boxes are in sensor pixels, with the time their window begins. In the pictures detections have
    their class's colour and score, labels are dashed.
    """
    from dmanet.device import choose_device
    from dmanet.reporting.prediction import PredictionSettings, predict
    from dmanet.runs.weights import load_weights
    from pipeline.cache.reader import PillarCache

    opened = PillarCache(cache)
    spans = _spans(opened, split, recording, windows)
    weights = load_weights(checkpoint)
    stream = _stream(choose_device(device), precision, steps, workers)
    settings = PredictionSettings(score_threshold=score, pictures=pictures)
    with progress_bar(sum(s.stop - s.start for s in spans), "window", quiet) as bar:
        predictions = predict(weights, opened, spans, output, stream, settings, bar.update)
    for made in predictions:
        click.echo(
            f"{made.box_file}: {made.boxes} boxes in {made.windows} windows, "
            f"{len(made.pictures)} pictures"
        )


@main.command("import-weights")
@click.argument("checkpoint", type=_PATH)
@click.argument("out", type=_PATH)
@click.option(
    "--preset", default="dmanet18", show_default=True, help="The network: dmanet18 or dmanet34."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A single setting of the network, such as num_classes=1; repeatable.",
)
@example("dmanet import-weights released.pth dmanet18.safetensors")
def import_weights(checkpoint: Path, out: Path, preset: str, overrides: tuple[str, ...]) -> None:
    """Convert a CHECKPOINT of the released code to OUT, a safetensors file with its settings.

    Every name must have its place and shape; otherwise all that do not fit are listed and nothing is
    written. Python objects in the checkpoint are never loaded.
    """
    from dmanet.recipes import resolve_model_settings
    from dmanet.runs.records import Weights
    from dmanet.runs.released_names import from_released
    from dmanet.runs.released_weights import load_released
    from dmanet.runs.weights import save_weights

    settings = resolve_model_settings(preset, overrides)
    tensors = from_released(load_released(checkpoint), settings, str(checkpoint))
    weights = Weights(settings, tensors, classes=None, source=str(out))
    save_weights(out, weights)
    click.echo(f"{out}: {len(tensors)} tensors, fingerprint {weights.fingerprint()}")


@main.command("export-weights")
@click.argument("checkpoint", type=_PATH)
@click.argument("out", type=_PATH)
@example("dmanet export-weights runs/one/last.pt released-names.pth")
def export_weights(checkpoint: Path, out: Path) -> None:
    """Write the network of CHECKPOINT to OUT under the released code's names.

    The one matrix that the released network holds and never reads is written as zeros.
    """
    from dmanet.runs.released_weights import save_released
    from dmanet.runs.weights import load_weights

    save_released(out, load_weights(checkpoint))
    click.echo(f"{out}: weights under the released names.")


@main.command()
@click.argument("out", type=_PATH, default="demo")
@quiet_option
@example("dmanet demo demo")
def demo(out: Path, quiet: bool) -> None:
    """Run the whole way on a small simulated release, in a few minutes on two CPU cores.

    Each step is printed as the command a person would type. OUT gets the release, the manifest, the
    cache, the report, the run, the result and the pictures.
    """
    from cli.demo import run_demo

    result = run_demo(out, quiet)
    click.secho(
        f"report: {out / 'report.html'} · pictures: {out / 'pictures.png'}, {out / 'predictions'} · "
        f"mAP@0.5 {result.map50:.3f} (protocol release, split test) · "
        f"{sum(result.seconds.values()):.0f} s",
        bold=True,
    )


def _stream(device: "torch.device", precision: str, steps: int, workers: int) -> Any:
    from dmanet.device import choose_precision
    from dmanet.evaluation.streaming import StreamSettings

    return StreamSettings(device, choose_precision(precision, device), steps, workers)


def _spans(
    cache: "PillarCache", split: str | None, recording: str | None, windows: str | None
) -> "list[WindowRange]":
    """The windows that the options of `predict` choose."""
    from dmanet.data.fitting import recordings_of
    from dmanet.data.samplers import WindowRange

    if recording is None:
        if windows is not None:
            raise UsageError("--windows needs --recording; name the recording they are of.")
        return [WindowRange(r.id, 0, len(r)) for r in recordings_of(cache, split or "test")]
    if split is not None:
        raise UsageError("--split and --recording exclude each other; give one of them.")
    length = len(cache.recording(recording))
    first, colon, last = (windows or f"0:{length}").partition(":")
    if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last) <= length):
        raise UsageError(
            f"--windows {windows}: give a range within 0:{length}, such as 0:{min(10, length)}."
        )
    return [WindowRange(recording, int(first), int(last))]


if __name__ == "__main__":
    main()
