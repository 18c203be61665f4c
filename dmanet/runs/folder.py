"""The folder of a training run: its checkpoints under their names, each whole at any moment.

``last.pt`` is where the run stands and ``previous.pt`` the checkpoint before it, for the day when
``last.pt`` turns out to be damaged; ``best.pt`` is the epoch with the best score, and
``step-00012000.pt`` one that is kept for good.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dmanet.recipes import RunSettings, to_yaml
from dmanet.runs.checkpoint import load_checkpoint, save_checkpoint
from dmanet.runs.records import Checkpoint
from dmanet.runs.run_files import PREVIOUS_NAME, SETTINGS_NAME, RunFiles
from pipeline.errors import PipelineError
from pipeline.files.outputs import check_file_output
from pipeline.files.whole import written_whole

# How the folders begin that `written_whole` works in.
_UNFINISHED = tuple(
    f".{name}"
    for name in ("last", "previous", "best", "step", "settings", "metrics", "epochs", "sessions")
)


class RunFolder(RunFiles):
    """The folder of one run, and what is written into it."""

    def write_settings(self, settings: RunSettings) -> None:
        """Write ``settings.yaml``, everything as resolved."""
        check_file_output(self.path / SETTINGS_NAME)
        with written_whole(self.path / SETTINGS_NAME) as unfinished:
            unfinished.write_text(to_yaml(settings), encoding="utf-8")

    def save(
        self,
        checkpoint: Checkpoint,
        *,
        best: bool = False,
        kept: bool = False,
        replaces_last: bool = False,
    ) -> None:
        """Write ``last.pt``; what it was becomes ``previous.pt``.

        Args:
            checkpoint: where the run stands.
            best: name it ``best.pt`` too.
            kept: give it also a name with its step, which no later one takes.
            replaces_last: it has the same weights as ``last.pt``, so ``previous.pt`` stays.

        Raises:
            UsageError: something else than a regular file has one of the names.
            OSError: it cannot be written; what was there is whole.
        """
        names = [self.best] if best else []
        if kept:
            names.append(self.path / f"step-{checkpoint.step:08d}.pt")
        for name in (self.last, self.previous, *names):
            check_file_output(name)
        with written_whole(self.last) as unfinished:
            save_checkpoint(unfinished, checkpoint)
            # Before ``last.pt`` stands for it: a run killed in between writes them once more.
            for name in names:
                _name_too(unfinished, name)
            if self.last.exists() and not replaces_last:
                # By a second name for the file: ``last.pt`` is there all the time.
                _name_too(self.last, self.previous)

    def load(self, on_note: Callable[[str], None] = lambda sentence: None) -> Checkpoint:
        """The last checkpoint, or the one before where that is damaged; ``on_note`` is told so.

        Raises:
            UsageError: there is none.
            CheckpointError: none can be read.
        """
        self.check_resumable()
        try:
            return load_checkpoint(self.last)
        except PipelineError as error:
            try:
                checkpoint = load_checkpoint(self.previous)
            except PipelineError:
                raise error from None
            on_note(
                f"{self.last}: is damaged or missing; going on from {PREVIOUS_NAME}, the checkpoint "
                f"before it (step {checkpoint.step}): {str(error).removeprefix(f'{self.last}: ')}"
            )
            return checkpoint

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Make ready to save after ``checkpoint``, which :meth:`load` gave.

        A damaged ``last.pt`` must not become ``previous.pt``, and what a killed process left
        unfinished only takes room.
        """
        if checkpoint.source != str(self.last):
            check_file_output(self.last)
            _name_too(self.previous, self.last)
        for left in self.path.glob(".*"):
            if left.is_dir() and left.name.startswith(_UNFINISHED):
                shutil.rmtree(left)


def _name_too(file: Path, name: Path) -> None:
    """Make ``name`` another name of ``file``, or a copy where a disk knows no second names."""
    with written_whole(name) as unfinished:
        try:
            os.link(file, unfinished)
        except OSError:
            shutil.copyfile(file, unfinished)
