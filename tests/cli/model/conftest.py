"""A cache and a trained run that no test writes into."""

from pathlib import Path

import pytest

from tests.cli.model.commands import QUICK, run
from tests.dmanet.caches import make_cache


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """A small cache."""
    return Path(make_cache(tmp_path_factory.mktemp("data")).location)


@pytest.fixture(scope="session")
def trained(cache, tmp_path_factory) -> Path:
    """The checkpoint of a run of one epoch."""
    run_dir = tmp_path_factory.mktemp("runs") / "one"
    result = run("train", cache, "--run-dir", run_dir, *QUICK)
    assert result.exit_code == 0, result.output
    assert str(run_dir / "last.pt") in result.stdout
    return run_dir / "last.pt"
