"""The files of a run's folder, by name; whether a run can begin or go on there. Without torch."""

from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files.outputs import check_folder_output

LAST_NAME = "last.pt"
PREVIOUS_NAME = "previous.pt"
BEST_NAME = "best.pt"
SETTINGS_NAME = "settings.yaml"
PICTURES_NAME = "pictures"


class RunFiles:
    """Where the files of one run are.

    Attributes:
        path: the folder; it need not exist yet.
        last: checkpoint of where the run stands.
        previous: the one before it.
        best: the epoch with the best score.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / LAST_NAME
        self.previous = path / PREVIOUS_NAME
        self.best = path / BEST_NAME

    def check_new(self) -> None:
        """Check that the folder is absent or empty, and that it can be written.

        Raises:
            UsageError: it holds anything, or cannot be made.
        """
        check_folder_output(self.path)
        if self.path.exists() and any(self.path.iterdir()):
            raise UsageError(
                f"{self.path}: exists and is not empty; resume its run with --resume, or give a new "
                "folder."
            )

    def check_resumable(self) -> None:
        """Check that the folder holds a checkpoint, whole or not, and can be written.

        Raises:
            UsageError: it holds none, or cannot be written.
        """
        if not self.last.is_file() and not self.previous.is_file():
            raise UsageError(
                f"{self.path}: holds no checkpoint to resume ({LAST_NAME}); train without --resume "
                "into a new folder."
            )
        check_folder_output(self.path)
