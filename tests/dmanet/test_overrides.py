"""What a user types as settings, hostile or only mistaken: one sentence each, in no time."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmanet.overrides import LARGEST_FILE
from dmanet.recipes import resolve_model_settings, resolve_settings
from pipeline.errors import SettingsError

DEEP = 100_000


def refusal(*overrides: str, config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        resolve_settings("tiny", config, overrides)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 1500
    return message


@pytest.mark.parametrize(
    "override",
    [
        "=",
        ".=1",
        "training.=1",
        "=3",
        ".".join("a" * DEEP) + "=1",
        "training." * DEEP + "epochs=1",
        "training.epochs=" + "[" * DEEP,
        "training.epochs=" + "9" * 5000,
        "training.epochs=" + "x" * (LARGEST_FILE + 1),
        "model=1",
        "model.anchors=[3]",
        "training.epochs=!!int abc",
        "training.epochs=!!python/object/apply:os.getcwd []",
        "training.epochs=2024-01-01",
        "training.classes=[&a car, *a]",
        "training.epochs=true",
        "training.epochs=5.0",
        "training.epochs='5'",
        "training.compile=1",
        "training.compile='yes'",
        "training.epochs=1000000000000000000000000000000",
        "training.batch_size=1000000000000",
        "training.steps=1000000000000",
        "training.learning_rate=.nan",
        "training.learning_rate=.inf",
        "training.learning_rate=true",
        "training.warmup_epochs=1.0e+300",
        "model.num_classes=1000000000",
        "model.feature_size=1000000",
        "model.stem_width=10000000",
        "model.grid_size=[1000000, 1000000]",
        "model.grid_size=[128.0, 128]",
        "model.anchors.ratios=[0.0000001]",
        "model.anchors.scales=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
        "augmentation.zoom=[.nan, 1]",
        "\udcff=1",
    ],
)  # fmt: skip
def test_a_hostile_setting_is_one_short_sentence(override):
    assert "--set" in refusal(override)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_setting_or_one_sentence(key, value):
    for settings in (
        lambda: resolve_settings("tiny", None, [f"{key}={value}"]),
        lambda: resolve_settings("tiny", None, [f"training.epochs={value}"]),
        lambda: resolve_model_settings("dmanet18", [f"num_classes={value}"]),
    ):
        with contextlib.suppress(SettingsError):
            settings()


def test_a_number_with_an_exponent_and_no_point_is_a_number():
    assert (
        resolve_settings("tiny", None, ["training.learning_rate=1e-4"]).training.learning_rate
        == 1e-4
    )
    assert resolve_settings("tiny", None, ["training.learning_rate=1"]).training.learning_rate == 1


@pytest.mark.parametrize(
    "content",
    [
        b"a: &x [1]\nb: *x\n",
        b"training: {epochs: 1, epochs: 2}\n",
        b"1: 2\n",
        b"\xff\xfe",
        b"[" * 30_000,
        b"# " + b"x" * LARGEST_FILE,
        b"training: 2024-01-01\n",
        b"model: {anchors: {levels: {3: 1}}}\n",
    ],
)
def test_a_hostile_file_is_one_sentence_that_names_it(tmp_path: Path, content):
    config = tmp_path / "run.yaml"
    config.write_bytes(content)
    assert str(config) in refusal(config=config)


def test_a_pipe_and_a_folder_are_no_settings(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe" in refusal(config=tmp_path / "pipe")
    assert "is a folder" in refusal(config=tmp_path)
