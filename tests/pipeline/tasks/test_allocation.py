"""Whether freed memory stays with the process, seen by the page faults of taking it again."""

import resource
import subprocess
import sys

import pytest

# Takes and frees eight megabytes a hundred times; prints how many pages had to be given anew.
PROGRAM = """
import resource, sys
from pipeline.tasks.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
bytearray(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    bytearray(b"x") * (8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the thresholds are those of glibc")
def test_a_worker_of_dask_takes_freed_memory_again():
    faults = {}
    for what in ("leave", "keep"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, what],
            check=True,
            capture_output=True,
            text=True,
            env={"MALLOC_TRIM_THRESHOLD_": "65536"},  # as dask's nanny sets it
        )
        faults[what] = int(done.stdout)
    pages = (8 << 20) // resource.getpagesize()
    assert faults["leave"] > 50 * pages  # the case this is for
    assert faults["keep"] < 5 * pages
