"""Fixtures every test folder shares."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Time limits of single examples say more about the machine's load than about the code.
settings.register_profile("explore", deadline=None)
# The same examples each time, so that a change is judged by itself; every run elsewhere explores.
settings.register_profile("repeat", deadline=None, derandomize=True)
settings.load_profile("repeat" if os.environ.get("CI") else "explore")

TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of reference inputs and outputs; another one of the same layout may be tried."""
    return Path(os.environ.get("DMANET_GOLDEN", TESTS / "data" / "golden"))


@pytest.fixture(scope="session")
def real_recordings() -> list[Path]:
    """Real DAT recordings, which are not part of this repository."""
    folder = TESTS.parent.parent / "shared" / "real"
    found = sorted(folder.glob("*_td.dat"))
    if not found:
        pytest.skip(f"no real recordings at {folder}")
    return found
