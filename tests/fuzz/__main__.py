"""``python -m tests.fuzz``: hostile inputs of every kind, run, judged and counted.

A case can be run again by itself: ``python -m tests.fuzz --kind shard-bytes --seed 0 --only 123``.
"""

import json
import multiprocessing
import sys
import time
from pathlib import Path

import click

from tests.fuzz.run import (
    DATA_KINDS,
    KINDS,
    NETWORK_KINDS,
    as_line,
    collected,
    numbered_cases,
    run_cases,
    serve,
    summarised,
)


@click.command()
@click.option("--inputs", default=10_000, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same inputs.")
@click.option(
    "--kind", "chosen", type=click.Choice(sorted(KINDS)), multiple=True, help="Only these."
)
@click.option("--only", type=int, help="Only the case of this number, of one --kind.")
@click.option(
    "--log", type=click.Path(path_type=Path), help="A JSON line for each case with a problem."
)
def main(
    inputs: int, seed: int, chosen: tuple[str, ...], only: int | None, log: Path | None
) -> None:
    """Run hostile inputs against every command; exit code 1 if any command fails one."""
    if only is not None:
        cases = [(kind, only) for kind in chosen]
        run_cases(cases, seed, lambda *told: print(json.dumps(as_line(*told), indent=1)))
        return
    groups = [
        {name: kinds[name] for name in kinds if not chosen or name in chosen}
        for kinds in (DATA_KINDS, NETWORK_KINDS)
    ]
    share = [0.75, 0.25] if all(groups) else [float(bool(group)) for group in groups]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    began = time.monotonic()
    wanted = 0
    for group, part in zip(groups, share, strict=True):
        if part:
            cases = list(numbered_cases(group, round(inputs * part)))
            wanted += len(cases)
            context.Process(target=serve, args=(cases, seed, results)).start()
    verdicts = collected(results, sum(bool(part) for part in share))
    failures = summarised(verdicts, wanted, log)
    print(f"{time.monotonic() - began:.0f} s, seed {seed}: {failures} problems")
    sys.exit(min(failures, 1))


if __name__ == "__main__":
    main()
