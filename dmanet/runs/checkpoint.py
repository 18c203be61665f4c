"""Checkpoint files: everything a run needs to go on, in one file.

The content is a :class:`~dmanet.runs.records.Checkpoint`, field by field. Nothing that could run code
is ever unpickled.
"""

from pathlib import Path

from dmanet.runs.claims import (
    CHECKPOINT_FORMAT,
    CHECKPOINT_VERSION,
    CHECKPOINT_VERSIONS,
    FIRST_WITH_DIGEST,
    check_format,
)
from dmanet.runs.digests import content_digest
from dmanet.runs.plain_files import load_plain, save_plain
from dmanet.runs.records import Checkpoint
from pipeline.errors import CheckpointError
from pipeline.files.whole import written_whole


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; ``path`` is the old file or the whole new one at any moment.

    Raises:
        OSError: it cannot be written.
    """
    content = checkpoint.content()
    header = {
        "format": CHECKPOINT_FORMAT,
        "version": CHECKPOINT_VERSION,
        "digest": content_digest(content),
    }
    with written_whole(path) as unfinished:
        save_plain(header | content, unfinished)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Raises:
        UsageError: there is no such file.
        CheckpointError: it is not a checkpoint, is damaged, or holds more than plain data.
        OSError: it cannot be read.
    """
    content = load_plain(path)
    version = check_format(content, CHECKPOINT_FORMAT, CHECKPOINT_VERSIONS, path)
    fields = {key: content[key] for key in content if key not in ("format", "version", "digest")}
    if version >= FIRST_WITH_DIGEST and content.get("digest") != content_digest(fields):
        raise CheckpointError(
            f"{path}: is damaged (its content does not match its digest); use another file."
        )
    return Checkpoint.from_content(fields, str(path))
