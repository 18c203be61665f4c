"""`dmanet-data info` as a user types it."""

import json
import subprocess
import sys

import fsspec

from tests.cli.data.commands import refused, run


def test_completeness_against_a_manifest(cache, small_manifest):
    facts = json.loads(run("info", cache, "--manifest", small_manifest, "--json").stdout)
    assert facts["manifest"]["complete"] == facts["manifest"]["recordings"] == 2
    text = run("info", cache, "--manifest", small_manifest).stdout
    assert "missing_filelists  none" in text


def test_a_cache_at_an_address(cache):
    fsspec.filesystem("memory").put(str(cache), "/elsewhere/cache", recursive=True)
    there = json.loads(run("info", "memory://elsewhere/cache", "--json").stdout)
    assert there == json.loads(run("info", cache, "--json").stdout)
    assert run("verify", "memory://elsewhere/cache").exit_code == 0


def test_a_manifest_against_a_manifest_means_nothing(small_manifest):
    refused(
        "info", small_manifest, "--manifest", small_manifest, code=2, saying="is a manifest itself"
    )


def test_it_is_told_without_compiling_anything(cache):
    code = (
        "import sys; from cli.data import main; main(sys.argv[1:], standalone_mode=False); "
        "sys.exit(bool({'numba', 'torch', 'zarr'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, "info", str(cache)], check=True)
