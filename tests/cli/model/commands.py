"""`dmanet` as a user types it, with a network small enough for a test."""

import json

from click.testing import CliRunner, Result

from cli.main import main
from tests.dmanet.caches import small_run

NETWORK = [
    part
    for key in ("grid_size", "max_points", "num_classes", "stem_width", "feature_size")
    for part in ("--set", f"model.{key}={json.dumps(getattr(small_run().model, key))}")
]
QUICK = ["--preset", "tiny", *NETWORK, "--set", "training.epochs=1", "--device", "cpu"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments: object, code: int, saying: str) -> None:
    """The command ends with ``code`` and one sentence on stderr, and prints nothing else."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert saying in message
