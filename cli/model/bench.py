"""`dmanet bench`: what this machine does with a cache and a recipe."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from cli.model.options import config_option, device_option, overrides_option, workers_option
from cli.numbers import Real
from cli.options import example, json_option, quiet_option
from cli.paths import InputCache
from cli.progress import progress_bar


@click.command()
@click.argument("cache", type=InputCache())
@click.option("--preset", default="default", show_default=True, help="The recipe, as for `train`.")
@config_option
@overrides_option
@click.option(
    "--seconds",
    type=Real(1, 600),
    default=30.0,
    show_default=True,
    help="How long to measure, about; slow steps are made at least twice.",
)
@device_option
@workers_option
@json_option
@quiet_option
@example("dmanet bench cache --preset tiny --workers 1")
def bench(
    cache: str,
    preset: str,
    config: Path | None,
    overrides: tuple[str, ...],
    seconds: float,
    device: str,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how fast this machine trains on CACHE, and what it waits for.

    Windows a second of reading alone, of training steps alone and of both together; the share of
    the time spent waiting for data; memory; and where a step's time goes. Nothing is written.
    """
    from dmanet.data.fitting import check_fit, recordings_of
    from dmanet.recipes import resolve_settings
    from pipeline.cache.reader import PillarCache

    settings = resolve_settings(preset, config, overrides)
    opened = PillarCache(cache)
    classes = settings.training.classes or None
    check_fit(opened, settings.model, "this recipe's", classes, trained=False)
    recordings_of(opened, "train")

    from dmanet.device import choose_device
    from dmanet.training.throughput import PHASES, Throughput, measure_throughput

    def lines(found: Throughput) -> list[str]:
        step = sum(found.seconds.values())
        return [
            f"{found.device}, {found.precision}, batch {found.batch} x {found.steps} windows, "
            f"{found.workers} workers",
            f"loader alone      {found.loader_windows_per_s:10.1f} windows/s",
            f"step alone        {found.step_windows_per_s:10.1f} windows/s",
            f"both together     {found.windows_per_s:10.1f} windows/s",
            f"waiting for data  {found.data_wait_share:10.1%} of the time",
            f"largest memory    {found.peak_gb:10.2f} GB",
            *(
                f"  {part:<22}{1000 * own:8.1f} ms  {own / step:6.1%}"
                for part, own in found.seconds.items()
            ),
        ]

    with progress_bar(len(PHASES), "phase", quiet) as bar:

        def show(phase: str) -> None:
            bar.set_postfix_str(phase)
            bar.update()

        found = measure_throughput(
            opened,
            settings,
            choose_device(device),
            workers=workers,
            seconds=seconds,
            on_phase=show,
        )
    click.echo(json.dumps(asdict(found), indent=2) if as_json else "\n".join(lines(found)))
