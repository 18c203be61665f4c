"""Typical mistakes, each answered by a sentence that says what to do next."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import data, main

PROGRAMS = {"dmanet-data": data.main, "dmanet": main.main}
KEPT = Path(__file__).parents[1] / "data" / "first_round"

#: What is typed, and how the answer ends; ``{kept}`` is a folder of files of every kind.
MISTAKES = {
    # names of commands and options
    "dmanet trian cache": "did you mean 'train'? `dmanet --help` lists the commands.",
    "dmanet-data manifest dif a b": "did you mean 'diff'? `dmanet-data manifest --help` lists the "
    "commands.",
    "dmanet xyzzy": "`dmanet --help` lists the commands.",
    "dmanet train {kept}/cache --run-dri r": "Did you mean '--run-dir'?",
    "dmanet train {kept}/cache --run-dir r --preset tiny --set training.epoch=1": "did you mean "
    "epochs?",
    "dmanet-data subset {kept}/manifest.json --budget 12XB -o s.json": "write for example 40GB, "
    "40GiB or 500MB.",
    # files that are not there, or of another kind
    "dmanet-data scan {kept}/relaese -o m.json": "did you mean {kept}/release?",
    "dmanet-data scan {kept}/elsewhere/release -o m.json": "there is no folder {kept}/elsewhere; "
    "check the name.",
    "dmanet evaluate {kept}/cache --checkpoint {kept}/run/lost.pt": "did you mean "
    "{kept}/run/last.pt?",
    "dmanet evaluate {kept}/cache --checkpoint {kept}/run": "such as {kept}/run/last.pt.",
    "dmanet evaluate {kept}/cache --checkpoint {kept}/manifest.json": "use another file.",
    "dmanet-data info {kept}/nothing-like-it": "it was looked for in {kept}.",
    "dmanet train nowhere --run-dir r": "make one with `dmanet-data voxelize`.",
    "dmanet train {kept}/manifest.json --run-dir r": "make a cache of it with `dmanet-data voxelize "
    "{kept}/manifest.json CACHE`.",
    "dmanet train {kept}/run/last.pt --run-dir r": "make one with `dmanet-data voxelize`.",
    "dmanet train {kept}/release --run-dir r": "make one with `dmanet-data voxelize`.",
    "dmanet-data subset {kept}/cache --budget 1GB -o s.json": "such as the manifest that it was made "
    "from.",
    "dmanet-data subset {kept}/cache.info.json --budget 1GB -o s.json": "make one with 'dmanet-data "
    "scan'.",
    "dmanet-data voxelize {kept}/cache c": "give the release that it was made from.",
    # the wrong level of a release
    "dmanet-data scan {kept}/release/train -o m.json": "this is of one split, give {kept}/release.",
    "dmanet-data scan {kept}/release/train/trainfilelist00 -o m.json": "give {kept}/release.",
    "dmanet-data scan {kept} -o m.json": "give {kept}/release.",
    "dmanet-data scan . -o m.json": "give the folder that holds train/, val/, test/.",
    # what is not there yet
    "dmanet train {kept}/cache --run-dir r --resume": "train without --resume into a new folder.",
    "dmanet train unfinished --run-dir r --set model.depth=18": "voxelize recordings of it, or choose "
    "another split.",
    "dmanet results {kept}/cache": "give what `dmanet train` had as --run-dir.",
    "dmanet-data show {kept}/cache --recording x --window 0 -o w.png": "`dmanet-data info --json` "
    "lists them.",
}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a cache that was begun, and holds no recording yet."""
    from pipeline.cache.lock import open_for_writing
    from pipeline.cache.settings import CacheSettings

    monkeypatch.chdir(tmp_path)
    with open_for_writing(tmp_path / "unfinished", CacheSettings()):
        pass
    return tmp_path


@pytest.mark.parametrize("typed", MISTAKES)
def test_the_answer_says_what_to_do_next(here, typed):
    program, *words = [word.format(kept=KEPT) for word in typed.split()]
    result = CliRunner().invoke(PROGRAMS[program], words, prog_name=program, catch_exceptions=False)
    assert result.exit_code in (1, 2), result.output
    answer = result.stderr.strip().splitlines()[-1]
    assert answer.startswith("Error: ")
    assert answer.endswith(MISTAKES[typed].format(kept=KEPT)), answer
    assert [path.name for path in here.iterdir()] == ["unfinished"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_word_that_lacks_is_asked_for_and_the_help_is_named(program):
    result = CliRunner().invoke(PROGRAMS[program], ["info" if "-" in program else "train"])
    assert result.exit_code == 2
    assert "--help' for help." in result.stderr
    assert "Missing argument" in result.stderr
