import subprocess
import sys

CODE = """
import ctypes, os, sys
from pipeline.selection.silence import silenced
c = ctypes.CDLL(None)
c.printf(b"before ")
with silenced():
    c.printf(b"inside ")
    os.write(1, b"inside ")
c.printf(b"after ")
c.fflush(None)
sys.stdout.write("and ours")
"""


def test_what_c_prints_inside_is_gone_and_the_rest_stays():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True)
    assert done.stdout == b"before after and ours"


def test_without_standard_output_nothing_fails():
    code = "import os; os.close(1)\n" + CODE.split("c.printf")[0] + "with silenced(): pass"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
