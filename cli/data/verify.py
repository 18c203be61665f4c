"""`dmanet-data verify`: does a cache hold what was written into it?"""

from pathlib import Path

import click

from cli.distinct import DistinctPaths
from cli.numbers import SEED
from cli.options import example, quiet_option
from cli.paths import InputCache, InputFile, InputFolder
from cli.progress import progress_bar
from pipeline.errors import UsageError


@click.command(cls=DistinctPaths)
@click.argument("cache", type=InputCache())
@click.option("--deep", is_flag=True, help="Also voxelize a sample of windows again and compare.")
@click.option("--root", type=InputFolder(), help="The release's folder, for --deep.")
@click.option("--manifest", type=InputFile(), help="A manifest that names the folder, for --deep.")
@click.option(
    "--sample",
    type=click.IntRange(1, 2**31 - 1),
    default=64,
    show_default=True,
    help="Windows that --deep compares.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same sample.")
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

    sources = _sources(deep, root, manifest)
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


def _sources(deep: bool, root: Path | None, manifest: Path | None) -> Path | None:
    """The release's folder to compare with; ``None`` without ``--deep``."""
    from pipeline.selection.manifest import read_manifest

    if not deep:
        if root or manifest:
            raise UsageError("--root and --manifest are for --deep; add it, or leave them out.")
        return None
    if (root is None) == (manifest is None):
        raise UsageError("--deep needs the sources; give either --root or --manifest.")
    return root or read_manifest(manifest).root  # type: ignore[arg-type]
