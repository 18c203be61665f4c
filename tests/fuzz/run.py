"""Hostile inputs of every kind, run side by side, judged and counted.

Every case is told by its kind, the seed and a number.
"""

import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fuzz import (
    cache_kinds,
    camera_kinds,
    evaluation_kinds,
    exchange_kinds,
    network_kinds,
    option_kinds,
    shard_kinds,
)
from tests.fuzz.fixtures import make_fixtures
from tests.fuzz.sandbox import Kind, Verdict, run_case

#: Kinds on files and commands that run without torch, with their shares.
DATA_KINDS: dict[str, tuple[Kind, int]] = {
    "shard-bytes": (shard_kinds.shard_bytes, 12),
    "shard-structure": (shard_kinds.shard_structure, 12),
    "shard-values": (shard_kinds.shard_values, 6),
    "release-tree": (shard_kinds.release_tree, 6),
    "camera-bytes": (camera_kinds.camera_bytes, 6),
    "dat-headers": (camera_kinds.dat_headers, 3),
    "hdf5-structure": (camera_kinds.hdf5_structure, 5),
    "box-file": (camera_kinds.box_file, 6),
    "manifest": (cache_kinds.manifest, 10),
    "sensors": (cache_kinds.sensors, 2),
    "cache-bytes": (cache_kinds.cache_bytes, 12),
    "cache-tree": (cache_kinds.cache_tree, 5),
    "cache-attributes": (cache_kinds.cache_attributes, 8),
    "cache-tables": (cache_kinds.cache_tables, 6),
    "listing": (exchange_kinds.listing, 3),
    "scan-record": (exchange_kinds.scan_record, 3),
    "class-map": (exchange_kinds.class_map, 3),
    "exchanged-manifest": (exchange_kinds.exchanged_manifest, 4),
    "verified-tree": (exchange_kinds.verified_tree, 2),
    "data-options": (option_kinds.data_options, 16),
    "unknown-words": (option_kinds.unknown_words, 2),
}
#: Kinds on files and commands of the network.
NETWORK_KINDS: dict[str, tuple[Kind, int]] = {
    "checkpoint-bytes": (network_kinds.checkpoint_bytes, 10),
    "checkpoint-structure": (network_kinds.checkpoint_structure, 6),
    "weights-structure": (network_kinds.weights_structure, 5),
    "run-settings": (network_kinds.run_settings, 8),
    "run-folder": (network_kinds.run_folder, 4),
    "scored-boxes": (evaluation_kinds.scored_boxes, 6),
    "compared-result": (evaluation_kinds.compared_result, 4),
    "result-file": (network_kinds.result_file, 4),
    "network-on-tables": (network_kinds.network_on_tables, 3),
    "network-options": (option_kinds.network_options, 10),
}
KINDS = DATA_KINDS | NETWORK_KINDS
#: Bytes that a case may use: stated for `scan` and `voxelize`, and for commands that load torch.
DATA_MEMORY = 500_000_000
NETWORK_MEMORY = 1_500_000_000
_SHOWN = ("--recording", "val/valfilelist00/sim_000000_val_0000", "--window", "1")


def entry(program: str) -> Any:
    """The click command of a program."""
    if program == "dmanet":
        from cli.main import main as network

        return network
    from cli.data import main as data

    return data


def numbered_cases(kinds: dict[str, tuple[Kind, int]], count: int) -> Iterator[tuple[str, int]]:
    """``count`` cases as kind and number, each kind by its share, mixed."""
    shares = sum(share for _, share in kinds.values())
    given: Counter[str] = Counter()
    for done in range(count):
        # Whoever is furthest behind its share is next.
        kind = max(kinds, key=lambda name: kinds[name][1] * (done + 1) / shares - given[name])
        yield kind, given[kind]
        given[kind] += 1


def run_cases(
    cases: list[tuple[str, int]], seed: int, tell: Callable[[str, int, Verdict], object]
) -> None:
    """Run cases one after the other, each in a process of its own.

    Args:
        cases: kind and number of each.
        seed: decides, with them, all random numbers.
        tell: gets each case's kind, number and verdict.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # a forked process cannot use its parent's threads
    with_network = any(kind in NETWORK_KINDS for kind, _ in cases)
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        fixtures, scratch = Path(made) / "fixtures", Path(made) / "scratch"
        fixtures.mkdir()
        scratch.mkdir(mode=0o777)
        _quietly(lambda: _prepare(fixtures, with_network))
        for kind, number in cases:
            memory = NETWORK_MEMORY if with_network else DATA_MEMORY
            name = f"{kind} {seed} {number}"
            tell(kind, number, run_case(KINDS[kind][0], name, fixtures, scratch, memory, entry))


def _prepare(fixtures: Path, with_network: bool) -> None:
    """Make the fixtures and, by that, import and compile all that the cases will need.

    An unprivileged user may not see the files of this Python, so what is imported late is imported now.
    """
    for name in (
        "encodings.idna",
        "encodings.utf_16_be",
        "encodings.utf_32",
        "encodings.utf_8_sig",
        "multiprocessing.queues",
    ):
        importlib.import_module(name)
    for package in ("pipeline", "cli", *(["dmanet"] if with_network else [])):
        for module in pkgutil.walk_packages(
            importlib.import_module(package).__path__, f"{package}."
        ):
            if with_network or not module.name.startswith(("cli.model.", "cli.demo")):
                importlib.import_module(module.name)
    make_fixtures(fixtures, with_network=with_network)
    data = entry("dmanet-data")
    for words in (
        ("stats", fixtures / "cache", "-o", fixtures / "report.html"),
        ("verify", fixtures / "cache", "--deep", "--root", fixtures / "release"),
        ("show", fixtures / "cache", *_SHOWN, "-o", fixtures / "w.png"),
    ):
        data.main([str(word) for word in words], "fixture", standalone_mode=False)
    if with_network:
        (fixtures / "small.yaml").write_text("model: {stem_width: 8, feature_size: 8}\n")
        words = ("evaluate", fixtures / "tiny", "--checkpoint", fixtures / "run/last.pt")
        entry("dmanet").main(
            [str(word) for word in (*words, "--json", fixtures / "result.json")],
            "fixture",
            standalone_mode=False,
        )
        for name in ("a", "b"):
            boxes = fixtures / "boxes" / f"{name}_bbox.npy"
            boxes.parent.mkdir(exist_ok=True)
            shutil.copyfile(fixtures / "camera" / "drive_bbox.npy", boxes)
        for protocol in ("release", "prophesee"):
            words = ("evaluate", "--gt", boxes.parent, "--dt", boxes.parent, "--protocol", protocol)
            entry("dmanet").main(
                [str(word) for word in (*words, "--json", fixtures / "boxes.json")],
                "fixture",
                standalone_mode=False,
            )
    for path in fixtures.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _quietly(work: Callable[[], object]) -> None:
    """Do ``work``; what it prints on stdout is not for the reader."""
    sys.stdout.flush()
    kept = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    try:
        work()
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)


def serve(cases: list[tuple[str, int]], seed: int, results: Any) -> None:
    try:
        run_cases(cases, seed, lambda *told: results.put(told))
    finally:
        results.put(None)


def collected(results: Any, servers: int) -> Iterator[tuple[str, int, Verdict]]:
    while servers:
        told = results.get()
        if told is None:
            servers -= 1
        else:
            yield told


def summarised(verdicts: Iterator[tuple[str, int, Verdict]], wanted: int, log: Path | None) -> int:
    """Print a table of the verdicts of ``wanted`` cases; how many of them are not as they should be."""
    counts: dict[str, Counter[str]] = {}
    slowest: dict[str, tuple[float, int]] = {}
    failures = 0
    for kind, number, verdict in verdicts:
        row = counts.setdefault(kind, Counter())
        row["inputs"] += 1
        row["taken" if verdict.code in (0, 3) else "refused"] += 1
        seconds, memory = slowest.get(kind, (0.0, 0))
        slowest[kind] = max(seconds, verdict.seconds), max(memory, verdict.memory)
        if verdict.problems:
            row["problems"] += 1
            failures += 1
            print(f"{kind} --only {number}: {'; '.join(verdict.problems)[:300]}", flush=True)
            if log:
                with log.open("a") as file:
                    file.write(json.dumps(as_line(kind, number, verdict)) + "\n")
    columns = ("inputs", "taken", "refused", "problems")
    print(f"{'kind':<22}" + "".join(f"{name:>9}" for name in columns) + "  slowest  most memory")
    for kind, row in sorted(counts.items()):
        figures = "".join(f"{row[name]:>9}" for name in columns)
        print(f"{kind:<22}{figures}  {slowest[kind][0]:5.1f} s  {slowest[kind][1] >> 20:7} MiB")
    total = sum(row["inputs"] for row in counts.values())
    print(f"{'all':<22}{total:>9}")
    return failures + abs(wanted - total)  # a case that was never judged is a failure too


def as_line(kind: str, number: int, verdict: Verdict) -> dict[str, Any]:
    return {"kind": kind, "number": number, **asdict(verdict)}
