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
from dmanet.runs.checkpoint import Checkpoint, first_difference, load_checkpoint, save_checkpoint
from pipeline.errors import CheckpointError, PipelineError, UsageError
from pipeline.files import written_whole

LAST_NAME = "last.pt"
PREVIOUS_NAME = "previous.pt"
BEST_NAME = "best.pt"
SETTINGS_NAME = "settings.yaml"
# How the folders begin that `written_whole` works in.
_UNFINISHED = tuple(
    f".{name}" for name in ("last", "previous", "best", "step", "settings", "metrics", "epochs")
)


class RunFolder:
    """The folder ``path`` of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / LAST_NAME
        self.previous = path / PREVIOUS_NAME
        self.best = path / BEST_NAME

    def check_new(self) -> None:
        """Raises :class:`UsageError` where the folder holds anything."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UsageError(
                f"{self.path}: exists and is not empty; resume its run with --resume, or give a new "
                "folder."
            )

    def write_settings(self, settings: RunSettings) -> None:
        """Write ``settings.yaml``, everything as resolved."""
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

        ``best`` and ``kept``: give it also the name of the best, and one with its step.
        ``replaces_last``: it has the same weights as ``last.pt``, so that ``previous.pt`` stays.
        """
        names = [self.best] if best else []
        if kept:
            names.append(self.path / f"step-{checkpoint.step:08d}.pt")
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
        if not self.last.is_file() and not self.previous.is_file():
            raise UsageError(
                f"{self.path}: holds no checkpoint to resume ({LAST_NAME}); train without --resume "
                "into a new folder."
            )
        try:
            return load_checkpoint(self.last)
        except PipelineError as error:
            try:
                checkpoint = load_checkpoint(self.previous)
            except PipelineError:
                raise error from None
            on_note(
                f"{self.last}: is damaged or missing; going on from {PREVIOUS_NAME}, the checkpoint "
                f"before it (step {checkpoint.step})."
            )
            return checkpoint

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Make ready to save after ``checkpoint``, which :meth:`load` gave.

        A damaged ``last.pt`` must not become ``previous.pt``, and what a killed process left
        unfinished only takes room.
        """
        if checkpoint.source != str(self.last):
            _name_too(self.previous, self.last)
        for left in self.path.glob(".*"):
            if left.is_dir() and left.name.startswith(_UNFINISHED):
                shutil.rmtree(left)


def _deciding(settings: RunSettings) -> RunSettings:
    """The settings with what changes neither weights nor order set to its default."""
    indifferent = {"activation_checkpointing": False, "compile": False}
    training = settings.training.model_copy(update=indifferent)
    return settings.model_copy(update={"training": training})


def check_same_run(
    checkpoint: Checkpoint,
    settings: RunSettings,
    fingerprint: str,
    recordings: dict[str, str],
    location: str,
) -> None:
    """Check that a checkpoint's run is the one described.

    Args:
        checkpoint: of the run to go on with.
        settings: of the run asked for.
        fingerprint: of the cache's settings.
        recordings: digests of the cache's recordings that a run reads, by id.
        location: of the cache, for messages.

    Raises:
        CheckpointError: it is another run; the first difference is named.
    """
    if difference := first_difference(_deciding(checkpoint.settings), _deciding(settings)):
        raise CheckpointError(
            f"{checkpoint.source}: was trained with {difference}; resume with the settings of the "
            "run, or train into another folder."
        )
    if checkpoint.cache != fingerprint:
        raise CheckpointError(
            f"{checkpoint.source}: was trained on a cache of other settings than {location}; resume "
            "with the cache of the run, or train into another folder."
        )
    known = checkpoint.recordings
    changes = {
        "more": sorted(recordings.keys() - known.keys()),
        "fewer": sorted(known.keys() - recordings.keys()),
        "other": sorted(
            key for key in known.keys() & recordings.keys() if known[key] != recordings[key]
        ),
    }
    told = [f"{len(keys)} {kind} (such as {keys[0]})" for kind, keys in changes.items() if keys]
    if told:
        raise CheckpointError(
            f"{checkpoint.source}: was trained on {len(known)} recordings, and {location} now holds "
            f"{', '.join(told)}, which makes another run; resume with the cache as it was, or train "
            "into another folder."
        )


def _name_too(file: Path, name: Path) -> None:
    """``name`` becomes another name of ``file``, or a copy where a disk knows no second names."""
    with written_whole(name) as unfinished:
        try:
            os.link(file, unfinished)
        except OSError:
            shutil.copyfile(file, unfinished)
