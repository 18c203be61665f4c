"""`dmanet-data simulate`: a release made by a program."""

from pathlib import Path
from typing import Any

import click

from cli.classes import ClassNames
from cli.data.options import Counts
from cli.numbers import SEED, Real
from cli.options import example, processes_option, quiet_option
from cli.paths import OutputFolder
from cli.progress import progress_bar
from cli.sizes import Size
from pipeline.errors import UsageError


@click.command()
@click.argument("out", type=OutputFolder())
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--size", type=Size(), default="1280x720", show_default=True, help="Sensor, pixels.")
@click.option(
    "--rate",
    type=click.IntRange(100, 1_000_000),
    default=200_000,
    show_default=True,
    help="Mean events a 50 ms window.",
)
@click.option(
    "--seconds",
    type=Real(0.5, 3600),
    default=5.0,
    show_default=True,
    help="Length of a recording.",
)
@click.option(
    "--recordings",
    type=Counts(),
    default="train=4,val=1,test=1",
    show_default=True,
    help="How many in each split.",
)
@click.option(
    "--objects",
    type=click.IntRange(0, 500),
    default=12,
    show_default=True,
    help="Tracks in a recording.",
)
@click.option("--classes", type=ClassNames(), help="Classes to show; all seven if not given.")
@click.option(
    "--stops",
    is_flag=True,
    help="Traffic stops now and then, as at a light; the rate is then that of driving.",
)
@click.option("--defects", default="", help="Faults to plant, by name with commas, or `all`.")
@click.option(
    "--label-offset",
    type=click.IntRange(-10, 10),
    default=0,
    show_default=True,
    help="Windows by which all boxes are late, a fault too; negative: early.",
)
@processes_option
@quiet_option
@example("dmanet-data simulate sim --size 640x360 --rate 30000 --recordings train=8,test=2")
def simulate(
    out: Path,
    seed: int,
    size: tuple[int, int],
    rate: int,
    seconds: float,
    recordings: dict[str, int],
    objects: int,
    classes: tuple[str, ...] | None,
    stops: bool,
    defects: str,
    label_offset: int,
    workers: int,
    quiet: bool,
) -> None:
    """Write a simulated release to OUT, in the real format.

    Textured objects of seven classes move over a textured ground in front of a moving event camera;
    boxes come from their true positions. With --stops the ego vehicle and single objects brake, stand
    for half a second to four, and start again. Boxes stay, as if drawn from frames; a hidden object has
    none while less than 30 % of it is in sight.
    """
    from pipeline.release.classes import DLUT, class_numbers
    from pipeline.simulation.estimate import estimate
    from pipeline.simulation.recordings import SimulationSettings, simulate_release
    from pipeline.statistics.info import format_bytes

    settings = SimulationSettings(
        seed=seed,
        sensor=size,
        recordings=recordings,
        seconds=seconds,
        rate=rate,
        classes=class_numbers(classes, DLUT.classes),
        objects=objects,
        defects=_defects(defects),
        label_offset=label_offset,
        stops=stops,
    )
    needed = estimate(settings, workers)
    click.echo(
        f"{out}: this will take about {format_bytes(needed.disk)} of the disk and "
        f"{format_bytes(needed.memory)} of memory.",
        err=True,
    )
    total = sum(recordings.values()) * settings.shards * 10
    with progress_bar(total, "window", quiet) as bar:
        summary = simulate_release(out, settings, bar.update, workers)
    windows = sum(r.windows for r in summary.recordings)
    events = sum(r.events for r in summary.recordings)
    size_on_disk = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    click.echo(
        f"{out}: {len(summary.recordings)} recordings, {windows} windows, "
        f"{events / windows:,.0f} events a window, {format_bytes(size_on_disk)}."
    )
    for planted in summary.defects:
        click.echo(f"planted {planted}")


def _defects(text: str) -> tuple[Any, ...]:
    from pipeline.defects import Defect

    if text == "all":
        return tuple(Defect)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in list(Defect):
            raise UsageError(f"'{name}' is no defect; choose from {', '.join(Defect)}, or all.")
    return tuple(Defect(name) for name in names)
