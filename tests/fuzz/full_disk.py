"""``python -m tests.fuzz.full_disk``: every command that writes, on a disk that takes no more.

Runs in a mount namespace of its own (``unshare --user --map-root-user --mount``), where anybody may
mount a small disk in memory. Prints JSON: for each command and state of the disk how it ended, what it
said and what it left.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz.fixtures import BOXES
from tests.fuzz.run import entry

_BOXES = " ".join(BOXES)
_SMALL = "--set training.epochs=1 --set model.stem_width=8 --set model.feature_size=8 --device cpu"
_SHOWN = "--recording train/trainfilelist00/sim_000000_train_0000 --window 1"
_SUBSET = "dmanet-data subset {f}/manifest.json --budget 1MB"
#: Every command that writes; ``{f}`` are the fixtures, ``{d}`` the disk.
COMMANDS = {
    "simulate": "dmanet-data simulate {d}/out --size 64x48 --rate 300 --seconds 1 --recordings train=1",
    "ingest": "dmanet-data ingest {f}/camera/drive_td.dat {d}/out",
    "scan": "dmanet-data scan {f}/release -o {d}/out",
    "subset": f"{_SUBSET} -o {{d}}/out",
    "subset-copy": f"{_SUBSET} -o {{f}}/../m.json --copy {{d}}/out",
    "subset-list": f"{_SUBSET} -o {{f}}/../m.json --files-from {{d}}/out",
    "voxelize": f"dmanet-data voxelize {{f}}/manifest.json {{d}}/out --grid 32x32 {_BOXES}",
    "stats": "dmanet-data stats {f}/cache -o {d}/out",
    "stats-json": "dmanet-data stats {f}/cache -o {f}/../r.html --json {d}/out",
    "anchors": "dmanet-data anchors {f}/cache -o {d}/out",
    "show": f"dmanet-data show {{f}}/cache {_SHOWN} -o {{d}}/out.png",
    "train": f"dmanet train {{f}}/tiny --run-dir {{d}}/out --preset tiny {_SMALL}",
    "evaluate": "dmanet evaluate {f}/tiny --checkpoint {f}/run/last.pt --json {d}/out",
    "predict": "dmanet predict {f}/tiny --checkpoint {f}/run/last.pt -o {d}/out",
    "predict-boxes": "dmanet predict {f}/camera/drive_td.dat --checkpoint {f}/run/last.pt --skip 0 "
    "--score 0 --save {d}/out.h5",
    "export": "dmanet-data export {f}/cache -o {d}/out --format yolo",
    "export-weights": "dmanet export-weights {f}/run/last.pt {d}/out",
    "import-weights": "dmanet import-weights {f}/released.pth {d}/out --preset tiny "
    "--set stem_width=8 --set feature_size=8",
}
#: What is left on the disk, in bytes; None for one that cannot be written.
LEFT: dict[str, int | None] = {"full": 0, "nearly full": 8192, "read-only": None}


def main(fixtures: Path, disk: Path) -> None:
    """Run every command in every state of the disk.

    Args:
        fixtures: sound files.
        disk: an empty folder to mount at.
    """
    found = []
    for state, left in LEFT.items():
        for name, words in COMMANDS.items():
            _mount(disk, left)
            program, *arguments = words.format(f=fixtures, d=disk).split()
            code, said = _run(program, arguments)
            files = sorted(str(p.relative_to(disk)) for p in disk.rglob("*") if p.name != "filler")
            found.append({"name": name, "state": state, "code": code, "said": said, "files": files})
            subprocess.run(["umount", str(disk)], check=True)
    print(json.dumps(found))


def _mount(disk: Path, left: int | None) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    if left is None:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(disk / "filler", (disk / "filler").stat().st_size - left)


def _run(program: str, arguments: list[str]) -> tuple[Any, str]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            entry(program).main(arguments, program)
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            traceback.print_exc()
            code = None
    return code, said.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
