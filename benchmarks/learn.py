"""Does the detector learn? Runs the demo and prints its mAP on held-out recordings and its times.

    python -m benchmarks.learn [--out FOLDER] [--json FILE]

Simulated cars, the `tiny` preset, the `release` protocol on the test split; all seeds are fixed. The
times are this machine's; the share of each step is what to compare.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from cli.demo import run_demo

LEAST_MAP50 = 0.8  # what the README promises


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="keep the demo's files in this new folder")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = run_demo(arguments.out or Path(scratch) / "demo", quiet=True)
    total = sum(result.seconds.values())
    for command, seconds in result.seconds.items():
        print(f"{command:<12}{seconds:>8.1f} s {seconds / total:>7.0%}")
    print(f"{'all':<12}{total:>8.1f} s   on {os.cpu_count()} cores")
    print(f"mAP@0.5 (release protocol, test split): {result.map50:.3f}, goal {LEAST_MAP50}")
    if arguments.json:
        figures = {"map50": result.map50, "seconds": result.seconds, "cores": os.cpu_count()}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if result.map50 < LEAST_MAP50:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
