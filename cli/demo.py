"""The demo: the commands of the whole way, one after the other, on a small simulated release.

Each step is what a person would type. They run in this process, so that the heavy imports are paid
once.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import click

from cli import data, model
from cli.options import example, quiet_option
from cli.paths import OutputFolder
from cli.verbs import load_verb
from pipeline.errors import UsageError
from pipeline.files.outputs import check_folder_output

SENSOR = "640x360"
# The release's sizes are for a sensor 1280 pixels wide; this one has half of that.
BOX_SIZES = "--min-diagonal 30 --min-side 10"
#: Where the commands of each program are.
PROGRAMS = {"dmanet-data": data.VERBS, "dmanet": model.VERBS}


@dataclass(frozen=True)
class Step:
    """One command: the program, and its arguments with ``{out}`` for the demo's folder."""

    program: str
    arguments: str

    @property
    def verb(self) -> str:
        """The command's name."""
        return self.arguments.split()[0]

    def command(self) -> click.Command:
        """The command itself."""
        return load_verb(PROGRAMS[self.program][self.verb])

    @property
    def has_progress(self) -> bool:
        """Whether the command can be told to show none."""
        return any("--quiet" in parameter.opts for parameter in self.command().params)


STEPS = (
    Step(
        "dmanet-data",
        f"simulate {{out}}/release --size {SENSOR} --rate 25000 --seconds 3 --seed 1 "
        "--recordings train=12,val=1,test=3 --classes car --objects 5 --workers 2",
    ),
    Step("dmanet-data", f"scan {{out}}/release -o {{out}}/release.json {BOX_SIZES}"),
    Step(
        "dmanet-data",
        "subset {out}/release.json --budget 100MB --classes car -o {out}/manifest.json",
    ),
    Step(
        "dmanet-data",
        f"voxelize {{out}}/manifest.json {{out}}/cache --grid 128x128 --classes car {BOX_SIZES} "
        "--workers 2",
    ),
    Step("dmanet-data", "verify {out}/cache"),
    Step("dmanet-data", "stats {out}/cache -o {out}/report.html --json {out}/report.json"),
    # Shorter samples than the preset's, chosen by experiment: the same mAP in two thirds of the time.
    Step(
        "dmanet",
        "train {out}/cache --run-dir {out}/run --preset tiny --set model.num_classes=1 "
        "--set training.steps=3 --set training.batch_size=3 --set training.epochs=4",
    ),
    Step(
        "dmanet",
        "evaluate {out}/cache --checkpoint {out}/run/last.pt --protocol release --split test "
        "--json {out}/result.json --pictures {out}/worst",
    ),
    Step(
        "dmanet",
        "predict {out}/cache --checkpoint {out}/run/last.pt --split test -o {out}/predictions",
    ),
    Step(
        "dmanet",
        "report {out}/run --result {out}/result.json --pictures {out}/worst -o {out}/run.html",
    ),
)


@dataclass(frozen=True)
class DemoResult:
    """Seconds of each step by its command's name, and the mean AP at IoU 0.5 on the test split."""

    seconds: dict[str, float]
    map50: float


def _join_pictures(out: Path) -> None:
    """Two pictures of each of the first two test recordings on one sheet, `pictures.png`."""
    from PIL import Image

    from pipeline.pictures.sheet import contact_sheet

    folders = sorted(path for path in (out / "predictions").rglob("*") if any(path.glob("*.png")))
    chosen = [path for folder in folders[:2] for path in sorted(folder.glob("*.png"))[2:7:4]]
    contact_sheet([Image.open(path) for path in chosen], columns=2).save(out / "pictures.png")


def run_demo(out: Path, quiet: bool) -> DemoResult:
    """Run every step, in this process.

    Args:
        out: a new or empty folder for everything the demo makes.
        quiet: no progress bars.

    Returns:
        What it took and what came out.

    Raises:
        UsageError: ``out`` is not new.
    """
    check_folder_output(out)
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: exists and is not empty; give a new folder for the demo.")
    out.mkdir(parents=True, exist_ok=True)
    seconds = {}
    for step in STEPS:
        _, *arguments = step.arguments.format(out=out).split()
        click.secho(f"$ {step.program} {step.verb} {' '.join(arguments)}", bold=True)
        if quiet and step.has_progress:
            arguments.append("--quiet")
        began = time.perf_counter()
        code = step.command().main(arguments, f"{step.program} {step.verb}", standalone_mode=False)
        if code:  # its own sentence is printed; what follows would be made of half of it
            raise click.exceptions.Exit(code)
        seconds[step.verb] = time.perf_counter() - began
        click.echo(f"  ({seconds[step.verb]:.1f} s)\n")
    _join_pictures(out)
    result = json.loads((out / "result.json").read_text())
    (overall,) = [row for row in result["rows"] if row["name"] == "all"]
    return DemoResult(seconds, overall["map50"])


@click.command()
@click.argument("out", type=OutputFolder(), default="demo")
@quiet_option
@example("dmanet demo demo")
def demo(out: Path, quiet: bool) -> None:
    """Run the whole way on a small simulated release, in a few minutes on two CPU cores.

    Each step is printed as the command a person would type. OUT gets the release, the manifest, the
    cache, the report on it, the run, the result, the pictures, and run.html: the page to open.
    """
    result = run_demo(out, quiet)
    click.secho(
        f"open {out / 'run.html'}: what was learned · data: {out / 'report.html'} · pictures: "
        f"{out / 'pictures.png'}, {out / 'predictions'} · "
        f"mAP@0.5 {result.map50:.3f} (protocol release, split test) · "
        f"{sum(result.seconds.values()):.0f} s",
        bold=True,
    )
