"""Where a run began and went on, kept a line each time."""

import pytest
import torch

from dmanet.runs.sessions import SESSIONS_NAME, add_session, describe_session, read_sessions
from pipeline.errors import DataError, UsageError

CPU = torch.device("cpu")


def test_lines_are_read_back_and_one_cut_short_by_a_kill_is_dropped(tmp_path):
    assert read_sessions(tmp_path) == []
    first, second = (describe_session(step, CPU, "fp32", 1) for step in (0, 7))
    add_session(tmp_path, first)
    with (tmp_path / SESSIONS_NAME).open("a") as file:
        file.write('{"step": 3, "beg')
    assert read_sessions(tmp_path) == [first]
    add_session(tmp_path, second)
    assert read_sessions(tmp_path) == [first, second]
    assert first.torch == torch.__version__


def test_damage_is_one_sentence_and_no_folder_is_written_over(tmp_path):
    (tmp_path / SESSIONS_NAME).write_text('{"step": -1}\n')
    with pytest.raises(DataError, match=SESSIONS_NAME):
        read_sessions(tmp_path)
    (tmp_path / "other" / SESSIONS_NAME).mkdir(parents=True)
    with pytest.raises(UsageError, match=SESSIONS_NAME):
        add_session(tmp_path / "other", describe_session(0, CPU, "fp32", 1))
