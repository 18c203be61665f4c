"""`dmanet-data` as a user types it."""

from click.testing import CliRunner, Result

from cli.data import main

GRID = ("--grid", "64x64")
RECORDING = "train/trainfilelist00/rec_0"  # one of every release here


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def refused(*arguments: object, code: int, saying: str) -> None:
    """The command ends with ``code`` and one sentence, and no traceback."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert saying in message
    assert "Traceback" not in result.output
