"""What a command reads and what it writes are kept apart before any work."""

import os

import click
import pytest
from click.testing import CliRunner

from cli.distinct import DistinctPaths
from cli.errors import OneLineErrors
from cli.paths import InputCache, InputPath, OutputFile, OutputFolder


@click.group(cls=OneLineErrors)
def program() -> None:
    pass


@program.command(cls=DistinctPaths)
@click.argument("sources", type=InputPath(), nargs=-1)
@click.option("--cache", type=InputCache())
@click.option("-o", "--output", type=OutputFile(standard_output=True))
@click.option("--json", "as_json", type=OutputFile(standard_output=True))
@click.option("--folder", type=OutputFolder())
def work(**paths: object) -> None:
    click.echo("worked")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("m.json")
    (tmp_path / "release/train").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/zarr.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ("m.json -o m.json", "write over SOURCES"),
        ("m.json -o ./release/../m.json", "write over SOURCES"),
        ("release m.json -o link.json", "write over SOURCES"),
        ("link.json -o m.json", "write over SOURCES"),
        ("-o new.json --json new.json", "--output and --json name the same place"),
        ("-o link.json --json m.json", "name the same place"),
        ("-o - --json /dev/stdout", "both go to standard output"),
        ("--folder new -o new/report.json", "is inside --folder"),
        ("--folder new -o new", "name the same place"),
        ("release -o release/train/ev001.npz", "among the files of SOURCES"),
        ("release -o release/release.json", "among the files of SOURCES"),
        ("--cache cache -o cache/zarr.json", "among the files of --cache"),
        ("--cache cache -o cache/report.html", "among the files of --cache"),
        ("--cache cache --folder cache", "write over --cache"),
    ],
)
def test_what_meets_is_refused_in_one_sentence(here, arguments, saying):
    before = sorted(os.walk(here))
    result = CliRunner().invoke(program, ["work", *arguments.split()], catch_exceptions=False)
    assert result.exit_code == 2, result.output
    assert saying in result.stderr.splitlines()[-1]
    assert sorted(os.walk(here)) == before


@pytest.mark.parametrize(
    "arguments",
    [
        "m.json -o new.json --json -",
        "m.json link.json",  # read twice
        "release -o release/manifest.json",  # beside train/, val/, test/
        "release --folder release/caches/one",
        "--cache s3://bucket/cache -o out.json",
    ],
)
def test_what_is_apart_is_let_through(here, arguments):
    result = CliRunner().invoke(program, ["work", *arguments.split()], catch_exceptions=False)
    assert result.output == "worked\n"
