"""Checkpoint files: everything a run needs to go on, in one file.

The content is a :class:`~dmanet.runs.records.Checkpoint`, field by field. Nothing that could run code
is ever unpickled.
"""

from pathlib import Path

import torch

from dmanet.runs.plain_files import check_format, load_plain
from dmanet.runs.records import Checkpoint
from pipeline.files.whole import written_whole

CHECKPOINT_FORMAT = "dmanet-checkpoint"
CHECKPOINT_VERSION = 2


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; ``path`` is the old file or the whole new one at any moment."""
    header = {"format": CHECKPOINT_FORMAT, "version": CHECKPOINT_VERSION}
    with written_whole(path) as unfinished:
        torch.save(header | checkpoint.content(), unfinished)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is not a checkpoint, is damaged, or holds more than plain data.
    """
    content = load_plain(path)
    check_format(content, CHECKPOINT_FORMAT, CHECKPOINT_VERSION, path)
    return Checkpoint.from_content(content, str(path))
