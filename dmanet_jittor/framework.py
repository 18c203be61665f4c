"""Jittor itself, imported once the environment is one that it computes right in.

Everything of this package takes ``jt`` from here.
"""

from importlib.metadata import PackageNotFoundError, version

from dmanet_jittor.environment import check_numpy, prepare
from pipeline.errors import UsageError

check_numpy(version("numpy"))
try:
    version("jittor")
except PackageNotFoundError:
    raise UsageError("jittor is not installed; run `make jittor`, and use .venv-jittor.") from None
prepare()

import jittor as jt  # noqa: E402 - what prepare sets is read when it is imported

__all__ = ["jt"]
