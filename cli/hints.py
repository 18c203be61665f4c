"""What to do about a path that is not what a command takes."""

import difflib
import os
from pathlib import Path

_MOST_NAMES = 10_000  # of a folder that are looked at for one written alike


def instead_of_missing(text: str) -> str:
    """Where nothing is: what there is by a name like it, or where the name was looked for."""
    path = Path(text)
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {parent}; check the name."
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)]
    except OSError:
        names = []
    alike = difflib.get_close_matches(path.name, names, n=2, cutoff=0.7)
    if alike:
        return f"did you mean {' or '.join(str(parent / name) for name in alike)}?"
    return f"check the name; it was looked for in {parent.absolute()}."


def instead_of_folder(path: Path) -> str:
    """Where a folder is and a file is wanted: what of it, or beside it, may be meant."""
    if (path / "zarr.json").exists():
        return "is a pillar cache; give a file, such as the manifest that it was made from."
    if (path / "last.pt").exists():
        return f"is the folder of a run; give one of its checkpoints, such as {path / 'last.pt'}."
    return "is a folder; give a regular file."


def instead_of_file(text: str) -> str:
    """Where a file is and a pillar cache is wanted."""
    if text.endswith(".json"):
        return f"is no folder; make a cache of it with `dmanet-data voxelize {text} CACHE`."
    return "is no folder, as a pillar cache is; make one with `dmanet-data voxelize`."
