"""A minute of hostile inputs; ``make fuzz`` runs ten thousand."""

import re
import subprocess
import sys
from pathlib import Path

INPUTS = 400
SEED = 1


def test_hostile_inputs_are_refused_in_a_sentence_or_taken_unharmed() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inputs", str(INPUTS), "--seed", str(SEED)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(rf"^all +{INPUTS}$", run.stdout, re.MULTILINE), run.stdout  # none was left out
