"""Kill writers of a cache at random moments: `python -m benchmarks.kill_writer [--kills 50] [--json]`.

After every kill each recording that a reader sees must be, file by file, that of an undisturbed run;
after the last one, and whenever a run comes to its end in between, so must the whole cache, with no
file beside it. Ends with exit code 1 and the reason when one of these does not hold.
"""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from pipeline.cache.reader import PillarCache
from pipeline.cache.records import BUILDING
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import SENSOR_SIZE, walk_release
from pipeline.simulation.recordings import SimulationSettings, simulate_release
from pipeline.voxelizing.run import voxelize


def is_building(cache: Path) -> bool:
    """Is there anything of a recording under construction?"""
    try:
        return any((cache / BUILDING).glob("*/*/*"))
    except FileNotFoundError:  # published or cleared while being looked at
        return False


@dataclass
class Kills:
    """What the kills met.

    ``building`` of them met a recording under construction, ``published`` at least one complete
    recording; ``rounds`` caches were finished and compared.
    """

    kills: int = 0
    building: int = 0
    published: int = 0
    rounds: int = 0
    seconds_undisturbed: float = 0.0


class DifferenceError(Exception):
    """A cache is not what an undisturbed run makes."""


def write_cache(release: Path, cache: Path, settings: CacheSettings, workers: int) -> None:
    """One run of the writer."""
    voxelize(walk_release(release), lambda recording: SENSOR_SIZE, cache, settings, workers=workers)


def content(cache: Path) -> dict[str, str]:
    """Digest of every file of a cache, hidden ones too."""
    return {
        path.relative_to(cache).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(cache.rglob("*"))
        if path.is_file()
    }


def kill_writers(
    release: Path,
    work: Path,
    settings: CacheSettings,
    *,
    kills: int,
    seed: int,
    workers: int = 1,
) -> Kills:
    """Kill ``kills`` writers at moments drawn evenly from the time an undisturbed run takes.

    Each run continues what the killed ones before it left. Raises :class:`DifferenceError`.
    """
    # Forked from a process that has imported everything: a run is mostly writing, not starting.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def start(cache: Path) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=write_cache, args=(release, cache, settings, workers))
        process.start()
        return process

    start(work / "warm").join()
    began = time.monotonic()
    start(work / "calm").join()
    result = Kills(seconds_undisturbed=time.monotonic() - began)
    expected = content(work / "calm")
    draw = random.Random(seed)
    cache = work / "killed"
    while result.kills < kills:
        process = start(cache)
        process.join(draw.uniform(0, result.seconds_undisturbed))
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            result.kills += 1
            result.building += is_building(cache)
            result.published += _check_visible(cache, expected)
        else:
            _check_whole(cache, expected)
            shutil.rmtree(cache)
            result.rounds += 1
    start(cache).join()
    _check_whole(cache, expected)
    result.rounds += 1
    return result


def _check_visible(cache: Path, expected: dict[str, str]) -> bool:
    """Is anything published? Whatever is must be whole."""
    if not (cache / "zarr.json").exists():
        return False
    visible = PillarCache(cache).recording_ids
    for recording in visible:
        found = content(cache / recording)
        whole = {
            name.removeprefix(f"{recording}/"): digest
            for name, digest in expected.items()
            if name.startswith(f"{recording}/")
        }
        if found != whole:
            raise DifferenceError(f"{recording}: readers saw a part of it")
    return bool(visible)


def _check_whole(cache: Path, expected: dict[str, str]) -> None:
    found = content(cache)
    if found != expected or (cache / BUILDING).exists():
        differing = sorted(n for n in found | expected if found.get(n) != expected.get(n))
        raise DifferenceError(f"{cache}: differs from an undisturbed run in {differing[:5]}")


@click.command()
@click.option("--kills", default=50, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(kills: int, seed: int, workers: int, as_json: bool) -> None:
    """Kill writers at random moments and compare what comes of it with an undisturbed run."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        simulation = SimulationSettings(
            sensor=(320, 180), recordings={"train": 6, "test": 2}, seconds=2.0, rate=10_000
        )
        simulate_release(work / "release", simulation)
        try:
            result = kill_writers(
                work / "release", work, CacheSettings(), kills=kills, seed=seed, workers=workers
            )
        except DifferenceError as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2))
    else:
        click.echo(
            f"{result.kills} kills, {result.building} while a recording was being built, "
            f"{result.published} with recordings published before; {result.rounds} caches finished, "
            "each identical to the undisturbed one."
        )


if __name__ == "__main__":
    main()
