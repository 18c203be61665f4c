"""Option types of `dmanet predict`: what is written, by its name."""

from pathlib import Path

from cli.model.options import NewFolder
from cli.paths import OutputFile, OutputFolder
from pipeline.errors import UsageError

VIDEO_SUFFIXES = (".mp4", ".gif", ".webp")
_BOX_SUFFIXES = (".npy", ".json", ".h5", ".hdf5")


class PredictionOutput(OutputFolder):
    """A video file, or a new folder."""

    def check(self, text: str) -> Path:
        """The path of a video that can be written, or of a folder that holds nothing."""
        path = Path(text)
        if is_video(path):
            return OutputFile().check(text)
        if path.suffix and not path.is_dir() and not text.endswith("/"):
            raise UsageError(
                f"{text}: is no kind of video; give a folder to make, its name without a suffix, or "
                f"NAME{', NAME'.join(VIDEO_SUFFIXES)}."
            )
        return NewFolder().check(text)


class BoxesOutput(OutputFolder):
    """A file of boxes, or a new folder for YOLO's."""

    def check(self, text: str) -> Path:
        """The path of what can be written."""
        path = Path(text)
        if path.suffix.lower() in _BOX_SUFFIXES:
            return OutputFile().check(text)
        if path.suffix and not path.is_dir() and not text.endswith("/"):
            raise UsageError(
                f"{text}: is no kind of file for boxes; give NAME.npy (Prophesee), NAME.json (COCO), "
                "NAME.h5, or for YOLO a folder to make, its name without a suffix."
            )
        return NewFolder().check(text)


def is_video(path: Path) -> bool:
    """Whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES
