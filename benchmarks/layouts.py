"""Which layout a cache's pillars should have: `python -m benchmarks.layouts [--quick] [--json]`.

Every candidate of :mod:`benchmarks.layout_candidates` is written by zarr with every codec, and with
several chunk sizes; a sample is ten consecutive windows at a random place. Writing, reading and
decoding are measured in turn, from the page cache, in processor time, which what else runs on the
machine changes least. Each candidate must give back exactly what the pipeline's own decoding gives.
``--real DIR`` adds the DAT recordings of a folder.
"""

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec, Crc32cCodec

from benchmarks import layout_kernels as kernels
from benchmarks.layout_candidates import Arrays, Layout, Pillars, Rows, candidates, pillars_of
from benchmarks.shards import RATES, simulated_release
from benchmarks.timing import median
from pipeline.ingest.convert import ingest_recording
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.pillars.settings import PillarSettings
from pipeline.release.members import read_events
from pipeline.release.npz import NpzFile
from pipeline.release.sensors import read_release
from pipeline.release.shards import SENSOR_SIZE, ShardFiles, walk_release

SAMPLE = 10  # windows
REPETITIONS = 12
#: Compressor, level, filter of the array a layout has first (its cells), filter of the others.
CODECS = {
    "zstd1-bitshuffle": ("zstd", 1, "bitshuffle", "bitshuffle"),
    "zstd1-shuffle": ("zstd", 1, "shuffle", "shuffle"),
    "zstd1-mixed": ("zstd", 1, "shuffle", "bitshuffle"),
    "zstd3-shuffle": ("zstd", 3, "shuffle", "shuffle"),
    "lz4-bitshuffle": ("lz4", 5, "bitshuffle", "bitshuffle"),
    "lz4-shuffle": ("lz4", 5, "shuffle", "shuffle"),
}
COSTLY = ("plain", "dense")  # far behind with any codec: tried with two
CHUNKS = (1 << 14, 1 << 16, 1 << 18, 1 << 20)
MAIN_CHUNK = 1 << 18
CHUNKED = ("packed", "steps", "bitmap", "joined shorts", "joined bytes")  # tried with every size


@dataclass(frozen=True)
class Variant:
    """A layout with a codec and a number of rows a chunk."""

    layout: Layout
    codec: str
    chunk: int


@dataclass(frozen=True)
class Figures:
    """What one variant costs. Processor milliseconds: to write a window, the others for a sample.

    ``read`` is zarr's part of ``sample``, which ends with cells, counts and points.
    """

    layout: str
    holds: str
    codec: str
    chunk: int
    bytes_per_window: float
    share_of_source: float
    write_ms: float
    read_ms: float
    sample_ms: float


class Stored:
    """The arrays of one variant on disk, with handles that stay open."""

    def __init__(self, variant: Variant, arrays: Arrays, folder: Path) -> None:
        self.layout = variant.layout
        cname, level, *shuffles = CODECS[variant.codec]
        group = zarr.create_group(folder, zarr_format=3)
        self._arrays: dict[str, tuple[zarr.Array, np.ndarray]] = {}
        for number, (name, (rows, starts)) in enumerate(arrays.items()):
            stored = group.create_array(
                name,
                shape=rows.shape,
                chunks=(variant.chunk, *rows.shape[1:]),
                dtype=rows.dtype,
                compressors=(
                    BloscCodec(cname=cname, clevel=level, shuffle=shuffles[number > 0]),
                    Crc32cCodec(),
                ),
                config={"write_empty_chunks": True},
            )
            stored[:] = rows
            self._arrays[name] = stored, starts

    def read(self, first: int) -> Arrays:
        """The rows of the sample that begins with window ``first``."""
        arrays = {}
        for name, (stored, starts) in self._arrays.items():
            own = starts[2 * first : 2 * (first + SAMPLE) + 1]
            arrays[name] = Rows(np.asarray(stored[own[0] : own[-1]]), own - own[0])
        return arrays


def chunk_bytes(folder: Path) -> int:
    """Bytes of all chunks below ``folder``."""
    return sum(p.stat().st_size for p in folder.rglob("c/**/*") if p.is_file())


def measure(
    windows: Pillars,
    copies: int,
    source_bytes: float,
    variants: list[Variant],
    work: Path,
    repetitions: int,
) -> list[Figures]:
    """Figures of each variant for these windows, their bytes, and ``copies`` times as many, for time.

    ``source_bytes``: of one window. Raises :class:`AssertionError` when a decoding is not exact.
    """
    many = windows.repeated(copies)
    count, all_windows = len(windows.offsets) // 2, len(many.offsets) // 2
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        sizes = []
        for i, variant in enumerate(variants):
            Stored(variant, variant.layout.encode(windows), folder / f"size-{i}")
            sizes.append(chunk_bytes(folder / f"size-{i}") / count)
        stored, seconds = write_in_turn(many, variants, folder, max(1, repetitions // 4))
        rng = np.random.default_rng(5)
        places = [int(first) for first in rng.integers(all_windows - SAMPLE + 1, size=8)]
        for variant in stored:
            check(variant, many, places[0])
        read, decode = read_in_turn(stored, many, places, repetitions)
    return [
        Figures(
            variant.layout.name,
            variant.layout.holds,
            variant.codec,
            variant.chunk,
            sizes[i],
            sizes[i] / source_bytes,
            1000 * seconds[i] / all_windows,
            1000 * read[i],
            1000 * (read[i] + decode[i]),
        )
        for i, variant in enumerate(variants)
    ]


def write_in_turn(
    windows: Pillars, variants: list[Variant], folder: Path, repetitions: int
) -> tuple[list[Stored], list[float]]:
    """Encode and write each variant, in turn; the last one written of each, and the median seconds."""
    times: list[list[float]] = [[] for _ in variants]
    stored: dict[int, Stored] = {}
    for _ in range(repetitions):
        for i, variant in enumerate(variants):
            target = folder / f"all-{i}"
            shutil.rmtree(target, ignore_errors=True)
            began = time.process_time()
            stored[i] = Stored(variant, variant.layout.encode(windows), target)
            times[i].append(time.process_time() - began)
    return [stored[i] for i in range(len(variants))], [median(t) for t in times]


def check(stored: Stored, windows: Pillars, first: int) -> None:
    """That a sample read and decoded is what the pipeline says, to the bit."""
    part = windows.part(first, first + SAMPLE)
    found = stored.layout.decode(stored.read(first), part.offsets)
    for ours, theirs in zip(found, stored.layout.form(part), strict=True):
        same = ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
        assert same, f"{stored.layout.name} does not decode exactly"


def read_in_turn(
    stored: list[Stored], windows: Pillars, places: list[int], repetitions: int
) -> tuple[list[float], list[float]]:
    """Median processor seconds to read a sample, and to decode one, for each variant."""
    offsets = windows.part(places[0], places[0] + SAMPLE).offsets
    samples = [one.read(places[0]) for one in stored]
    for one, sample in zip(stored, samples, strict=True):
        one.layout.decode(sample, offsets)  # compiles it
    turns = itertools.cycle(places)
    read: list[list[float]] = [[] for _ in stored]
    decode: list[list[float]] = [[] for _ in stored]
    for _ in range(repetitions):
        first = next(turns)
        for i, one in enumerate(stored):
            began = time.process_time()
            one.read(first)
            between = time.process_time()
            one.layout.decode(samples[i], offsets)
            read[i].append(between - began)
            decode[i].append(time.process_time() - between)
    return [median(times) for times in read], [median(times) for times in decode]


def windows_of(shards: Iterable[ShardFiles], encoding: PillarEncoding) -> tuple[Pillars, float]:
    """The pillars of all windows of some shards, and the source bytes of a window."""
    workspace = Workspace(encoding)
    packed, size = [], 0
    for shard in shards:
        assert shard.events is not None
        assert shard.labels is not None
        size += shard.events.stat().st_size + shard.labels.stat().st_size
        events = NpzFile(shard.events)
        packed += [pack_window(read_events(events, k), workspace) for k in range(10)]
    return pillars_of(packed, encoding), size / len(packed)


def entropy_share(shards: Iterable[ShardFiles], encoding: PillarEncoding) -> float:
    """Entropy (order 0) of all steps and of all points, as a share of the source bytes.

    What no coding of these values one by one gets below; only one that knows their neighbours can.
    """
    windows, source_bytes = windows_of(shards, encoding)
    rows = kernels.steps(windows.cells, windows.counts, windows.offsets[:, 0])
    bits = sum(len(values) * entropy(values) for values in (rows, windows.points))
    return bits / 8 / (len(windows.offsets) // 2) / source_bytes


def entropy(values: np.ndarray) -> float:
    """Bits a value, from how often each one occurs."""
    _, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def compare(
    shards: Iterable[ShardFiles], encoding: PillarEncoding, total: int, work: Path, quick: bool
) -> list[Figures]:
    """Every layout with every codec; then some with their smallest codec and every chunk size.

    Times are those of about ``total`` windows: the shards' own, repeated.
    """
    windows, source_bytes = windows_of(shards, encoding)
    copies = max(1, total // (len(windows.offsets) // 2))
    layouts = candidates(encoding)
    codecs = list(CODECS)[:3] if quick else list(CODECS)
    by_codec = measure(
        windows,
        copies,
        source_bytes,
        [
            Variant(layout, codec, MAIN_CHUNK)
            for layout in layouts
            for codec in (codecs[:2] if layout.name in COSTLY else codecs)
        ],
        work,
        3 if quick else REPETITIONS,
    )
    if quick:
        return by_codec
    smallest = {name: smallest_of(by_codec, name).codec for name in CHUNKED}
    by_chunk = measure(
        windows,
        copies,
        source_bytes,
        [
            Variant(layout, smallest[layout.name], chunk)
            for layout in layouts
            for chunk in CHUNKS
            if layout.name in smallest
        ],
        work,
        REPETITIONS,
    )
    return by_codec + [figures for figures in by_chunk if figures.chunk != MAIN_CHUNK]


def smallest_of(figures: list[Figures], layout: str) -> Figures:
    """The codec that makes a layout smallest, at the common chunk size."""
    own = [f for f in figures if f.layout == layout and f.chunk == MAIN_CHUNK]
    return min(own, key=lambda f: f.bytes_per_window)


def table(figures: list[Figures]) -> str:
    """One row a layout. By codec: share of the source and ms a sample; the rest for the smallest."""
    codecs = [name for name in CODECS if any(f.codec == name for f in figures)]
    chunks = [chunk for chunk in CHUNKS if chunk in {f.chunk for f in figures} - {MAIN_CHUNK}]
    head = [
        *("layout", *codecs, "bytes a window", "write ms", "zarr ms"),
        *(f"{chunk >> 10} k rows" for chunk in chunks),
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for layout in dict.fromkeys(f.layout for f in figures):
        found = {(f.codec, f.chunk): f for f in figures if f.layout == layout}
        best = smallest_of(figures, layout)
        cells = [layout]
        for codec in codecs:
            cells.append(cell(found.get((codec, MAIN_CHUNK))))
        cells += [f"{best.bytes_per_window:,.0f}", f"{best.write_ms:.2f}", f"{best.read_ms:.1f}"]
        for chunk in chunks:
            cells.append(cell(found.get((best.codec, chunk))))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(figures: Figures | None) -> str:
    """Share of the source and ms a sample."""
    if figures is None:
        return ""
    return f"{100 * figures.share_of_source:.2f} % {figures.sample_ms:.1f}"


def real_releases(
    folder: Path, target: Path
) -> dict[str, tuple[list[ShardFiles], tuple[int, int]]]:
    """The DAT recordings of a folder as shards under ``target``, with their sensor sizes."""
    for raw in sorted(folder.glob("*.dat")):
        ingest_recording(raw, target, split="train")
    sensors = read_release(target).sensors
    return {r.name: (list(r.shards), sensors[r.id]) for r in walk_release(target)}


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: fewer windows, codecs, repetitions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--real", type=click.Path(path_type=Path, exists=True), help="Folder of DAT files.")
@click.option("--work", type=click.Path(path_type=Path), default="build/benchmarks")
def main(quick: bool, as_json: bool, real: Path | None, work: Path) -> None:
    """Print size and speed of every candidate layout."""
    blosc.set_nthreads(1)
    work.mkdir(parents=True, exist_ok=True)
    result: dict[str, dict[str, Any]] = {"release": {}, "paper": {}}
    totals = {"20k": 60, "200k": 20, "1M": 10} if quick else {"20k": 120, "200k": 40, "1M": 20}
    with tempfile.TemporaryDirectory(dir=work) as ingested:
        sources = {
            name: (list(walk_release(simulated_release(work, rate, 1, 1))[0].shards), SENSOR_SIZE)
            for name, rate in RATES.items()
        }
        if real is not None:
            sources |= real_releases(real, Path(ingested))
        for name, (shards, sensor) in sources.items():
            for preset in result:
                encoding = PillarEncoding(PillarSettings(preset=preset), sensor)
                figures = compare(shards, encoding, totals.get(name, 120), work, quick)
                result[preset][name] = [asdict(f) for f in figures]
                click.echo(f"{preset} {name} done", err=True)
                if not as_json:
                    click.echo(f"\n{preset}, {name}\n\n{table(figures)}\n")
                    share = entropy_share(shards, encoding)
                    click.echo(f"Entropy of steps and points: {100 * share:.1f} % of the source.\n")
    if as_json:
        click.echo(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
