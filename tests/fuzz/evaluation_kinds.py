"""Cases on folders of boxes and on results to compare."""

import json
import random
import shutil
from pathlib import Path

import numpy as np

from tests.fuzz import byte_mutations, json_mutations
from tests.fuzz.fixtures import box_records
from tests.fuzz.sandbox import Case

_VALUES = (0, -1, 1e30, -1e30, float("nan"), float("inf"), 255, 1 << 40, 5)


def scored_boxes(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """Two folders of boxes, one file of which is spoiled."""
    sound = fixtures / "camera" / "drive_bbox.npy"
    folders = folder / "gt", folder / "dt"
    for place in folders:
        place.mkdir()
        for name in ("a", "b"):
            shutil.copyfile(sound, place / f"{name}_bbox.npy")
    path = rng.choice(folders) / "a_bbox.npy"
    if rng.random() < 0.5:
        path.write_bytes(byte_mutations.mutate(sound.read_bytes(), rng))
    else:
        records = box_records()
        for _ in range(rng.choice((1, 2, 20))):
            name = rng.choice(records.dtype.names)
            with np.errstate(all="ignore"):
                value = np.array(rng.choice(_VALUES)).astype(records.dtype[name])
            records[name][rng.randrange(len(records))] = value
        np.save(path, records)
    arguments = ["evaluate", "--gt", str(folders[0]), "--dt", str(folders[1]), "--quiet"]
    arguments += ["--protocol", rng.choice(("release", "prophesee", "rvt")), "--resamples", "20"]
    return Case("dmanet", arguments, [path.name])


def compared_result(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A result of another content, compared with the sound one."""
    sound = fixtures / "boxes.json"
    path = folder / "other.json"
    if rng.random() < 0.3:
        path.write_bytes(byte_mutations.mutate(sound.read_bytes(), rng))
    else:
        text = json_mutations.mutate(json.loads(sound.read_bytes()), rng)
        path.write_text(text, encoding="utf-8", errors="replace")
    return Case("dmanet", ["compare", str(sound), str(path)], [path.name])
