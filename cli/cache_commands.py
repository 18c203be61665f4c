"""Commands that look at a cache: `verify`, `info` and `show`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import example, json_option, progress_bar, quiet_option

if TYPE_CHECKING:
    from pipeline.cache.reader import PillarCache
    from pipeline.selection.manifest import Manifest

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("cache")
@click.option("--deep", is_flag=True, help="Also voxelize a sample of windows again and compare.")
@click.option("--root", type=_PATH, help="The release's folder, for --deep.")
@click.option("--manifest", type=_PATH, help="A manifest that names the folder, for --deep.")
@click.option("--sample", default=64, show_default=True, help="Windows that --deep compares.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same sample.")
@quiet_option
@example("dmanet-data verify cache --deep --root prophesee_dlut")
def verify(
    cache: str,
    deep: bool,
    root: Path | None,
    manifest: Path | None,
    sample: int,
    seed: int,
    quiet: bool,
) -> None:
    """Recompute every digest of CACHE; exit code 1 when something does not match.

    Needs no sources. With --deep, windows are also made again from the release's files.
    """
    from pipeline.cache.reader import PillarCache
    from pipeline.cache.recheck import verify_against_sources
    from pipeline.cache.verify import verify_cache

    sources = _sources(deep, root, manifest, sample)
    opened = PillarCache(cache)
    count = len(opened.recording_ids)
    with progress_bar(count, "recording", quiet) as bar:
        findings = verify_cache(cache, lambda recording: bar.update())
    passed = [f"{count} recordings, every digest matches"]
    if sources and not findings:
        with progress_bar(sample, "window", quiet) as bar:
            report = verify_against_sources(
                opened, sources, windows=sample, seed=seed, on_window=bar.update
            )
        findings = report.findings
        without = len(report.without_sources)
        gone = f" (recordings whose sources are not there: {without})" if without else ""
        passed.append(f"{report.windows} windows are what {sources} gives{gone}")
    for finding in findings:
        click.echo(f"{finding.recording}: {finding.message}", err=True)
    if findings:
        click.echo(
            f"{cache}: faults found: {len(findings)}; delete the recordings named above and run "
            "`dmanet-data voxelize` again.",
            err=True,
        )
        raise click.exceptions.Exit(1)
    click.echo(f"{cache}: {'; '.join(passed)}.")


def _sources(deep: bool, root: Path | None, manifest: Path | None, sample: int) -> Path | None:
    """The release's folder to compare with; ``None`` without ``--deep``."""
    from pipeline.errors import UsageError
    from pipeline.selection.manifest import read_manifest

    if not deep:
        if root or manifest:
            raise UsageError("--root and --manifest are for --deep; add it, or leave them out.")
        return None
    if sample < 1:
        raise UsageError(f"--sample {sample}: give the number of windows to compare, from 1 up.")
    if (root is None) == (manifest is None):
        raise UsageError("--deep needs the sources; give either --root or --manifest.")
    return root or read_manifest(manifest).root  # type: ignore[arg-type]


@click.command()
@click.argument("source")
@click.option("--manifest", type=_PATH, help="Say how much of this manifest a cache holds.")
@json_option
@example("dmanet-data info cache --manifest subset.json")
def info(source: str, manifest: Path | None, as_json: bool) -> None:
    """Say what a cache or a manifest is: contents, sizes, settings, what was left out."""
    from pipeline.cache.reader import PillarCache
    from pipeline.errors import UsageError
    from pipeline.selection.manifest import read_manifest
    from pipeline.statistics.info import cache_info, manifest_info

    opened = open_cache_or_manifest(source)
    if isinstance(opened, PillarCache):
        print_info(cache_info(opened, read_manifest(manifest) if manifest else None), as_json)
    elif manifest:
        raise UsageError(f"{source}: is a manifest itself; --manifest is for a cache.")
    else:
        print_info(manifest_info(opened), as_json)


@click.command()
@click.argument("cache")
@click.option("--recording", required=True, help="Its id; `dmanet-data info --json` lists them.")
@click.option("--window", required=True, type=int, help="Number of the window in it, from 0.")
@click.option("-o", "--output", type=_PATH, required=True, help="PNG file to write.")
@click.option("--width", default=960, show_default=True, help="Of the picture, pixels.")
@example("dmanet-data show cache --recording train/trainfilelist00/rec_0 --window 12 -o w.png")
def show(cache: str, recording: str, window: int, output: Path, width: int) -> None:
    """Draw one window of CACHE, its pillars by polarity and its labels, as a PNG file."""
    from dmanet.reporting.window_picture import draw_cached_window
    from pipeline.cache.reader import PillarCache
    from pipeline.errors import UsageError
    from pipeline.files import written_whole

    if not 64 <= width <= 8192:
        raise UsageError(f"--width {width}: give 64 to 8192 pixels.")
    picture = draw_cached_window(PillarCache(cache), recording, window, width)
    with written_whole(output) as unfinished:
        picture.save(unfinished, format="PNG")
    click.echo(f"{output}: window {window} of {recording}.")


def open_cache_or_manifest(source: str) -> "PillarCache | Manifest":
    """A cache for a folder or an address with ``://``, a manifest for a file."""
    from pipeline.cache.reader import PillarCache
    from pipeline.errors import UsageError
    from pipeline.selection.manifest import read_manifest

    if "://" in source or Path(source).is_dir():
        return PillarCache(source)
    if not Path(source).exists():
        raise UsageError(f"{source}: no such cache or manifest.")
    return read_manifest(Path(source))


def print_info(facts: dict[str, Any], as_json: bool) -> None:
    """Facts of a cache or a manifest, for a person or for a program."""
    from pipeline.statistics.info import info_lines

    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(info_lines(facts)))
