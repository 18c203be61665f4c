"""`docs/python.md`: every block runs, and prints what stands under it."""

import re
from pathlib import Path

import pytest
import torch

from dmanet.runs.records import Weights
from dmanet.runs.weights import save_weights
from tests.dmanet.caches import NAMED, make_cache, small_run
from tests.dmanet.conftest import lively_model  # noqa: F401 (a fixture)

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
#: Each block of Python, and the block of text after it where there is one.
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, lively_model) -> Path:  # noqa: F811
    """Where the page's cache and run are."""
    folder = tmp_path_factory.mktemp("page")
    make_cache(folder, "paper")
    model = lively_model(small_run().model)
    with torch.no_grad():
        model.class_head.output.bias += 4  # so that boxes pass the threshold
    (folder / "run").mkdir()
    weights = Weights(model.settings, model.state_dict(), NAMED, "the test's weights")
    save_weights(folder / "run" / "last.pt", weights)
    return folder


def test_the_blocks_run_one_after_the_other_and_print_what_is_shown(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names: dict = {}
    everything = ""
    for code, shown in BLOCKS:
        exec(compile(code, "docs/python.md", "exec"), names)
        printed = capsys.readouterr().out
        everything += printed
        if shown:
            assert printed == shown, code
    assert len(names["found"]) > 0
    assert names["result"].as_table() in everything


def test_the_page_shows_every_name_of_the_package():
    import dmanet

    assert {name for name in dmanet.__all__ if f"import {name}" not in PAGE} <= {
        "collate",
        "decode_batch",
    }
    assert all(callable(getattr(dmanet, name)) for name in dmanet.__all__)
