"""`dmanet` under torchrun, in two processes on the CPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dmanet.evaluation.evaluate import evaluate
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.streaming import StreamSettings
from dmanet.reporting.details_text import details_text
from dmanet.runs.checkpoint import load_checkpoint
from pipeline.cache.reader import PillarCache
from tests.cli.model.commands import NETWORK
from tests.dmanet.caches import make_cache
from tests.dmanet.training_runs import losses


def torchrun(*arguments: object) -> subprocess.Popen:
    """The command line under torchrun, in two processes and a process group of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node=2", "-m", "cli.main", *map(str, arguments)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> PillarCache:
    return make_cache(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def stopped_run(cache, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run under torchrun that SIGTERM ended, and what it said."""
    run_dir = tmp_path_factory.mktemp("torchrun") / "run"
    process = torchrun(
        *("train", cache.location, "--run-dir", run_dir, "--preset", "tiny", *NETWORK),
        *("--set", "training.epochs=1000", "--device", "cpu", "--workers", 1),
    )
    while not (run_dir / "metrics.jsonl").exists() or not losses(run_dir):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)  # as batch systems do; torchrun passes its own on
    _, messages = process.communicate(timeout=60)
    assert process.returncode != 0
    return run_dir, messages


def test_a_signal_stops_all_processes_of_torchrun_after_the_same_step(stopped_run):
    run_dir, messages = stopped_run
    steps = len(losses(run_dir))
    assert load_checkpoint(run_dir / "last.pt").step == steps
    (told,) = [line for line in messages.splitlines() if line.startswith("stopped after step")]
    assert f"stopped after step {steps} of " in told
    assert "RankError" not in messages


def test_evaluation_under_torchrun_prints_once_what_one_process_prints(
    stopped_run, cache, tmp_path: Path
):
    weights = stopped_run[0] / "last.pt"
    process = torchrun(
        *("evaluate", cache.location, "--checkpoint", weights, "--device", "cpu"),
        *("--precision", "fp32", "--json", tmp_path / "result.json"),
    )
    printed, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    stream = StreamSettings(torch.device("cpu"), "fp32")
    result = evaluate(
        *(load_checkpoint(weights).weights(), cache, "release", "test", stream),
        examination=Examination(),
    )
    assert printed == f"{result.as_table()}\n\n{details_text(result)}\n"
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(result.to_json())
