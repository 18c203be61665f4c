"""Where jittor compiles, and what it must not find, decided before it is imported.

Jittor compiles itself at its first import and each operator at its first use. Left alone it keeps that
below the user's home, looks for CUDA, and downloads oneDNN; see docs/jittor.md.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from pipeline.errors import UsageError

#: Where jittor looks for oneDNN below its home, whatever version lies there.
_ONEDNN = ".cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
_HEADERS = Path("/usr/include")
_LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu/libdnnl.so.2"),
    Path("/usr/lib/aarch64-linux-gnu/libdnnl.so.2"),
    Path("/usr/lib64/libdnnl.so.2"),
)


def jittor_home(environ: MutableMapping[str, str] = os.environ) -> Path:
    """The folder that holds what jittor compiles, 550 MB: ``JITTOR_HOME``, or one of this project's."""
    stated = environ.get("JITTOR_HOME")
    if stated:
        return Path(stated).absolute()
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache).absolute() / "dmanet-jittor"


def check_numpy(version: str) -> None:
    """Refuse a numpy with which jittor 1.3 reads memory that is not its own.

    Raises:
        UsageError: It is numpy 2 or later: the import would succeed, and arrays hold garbage.
    """
    if int(version.split(".")[0]) >= 2:
        raise UsageError(
            f"jittor 1.3 reads garbage from numpy {version} without a word; install numpy<2, as "
            "`make jittor` does."
        )


def prepare(environ: MutableMapping[str, str] = os.environ) -> Path:
    """Set what jittor reads when it is imported; what the user has set stays.

    ``JITTOR_HOME`` is always set: jittor writes the last one to a file in the user's home, and
    follows it in other projects. ``nvcc_path`` is empty unless set, so that no CUDA is looked for.

    Returns:
        The folder jittor compiles in.
    """
    home = jittor_home(environ)
    environ["JITTOR_HOME"] = str(home)
    environ.setdefault("nvcc_path", "")
    environ.setdefault("use_mkl", "1" if has_onednn(home) else "0")
    return home


def has_onednn(home: Path) -> bool:
    """Is oneDNN laid out where jittor finds it, so that it downloads nothing?"""
    return (home / _ONEDNN / "lib" / "libmkldnn.so").exists()


def lay_out_onednn(
    home: Path, headers: Path = _HEADERS, libraries: tuple[Path, ...] = _LIBRARIES
) -> bool:
    """Link the system's oneDNN to where jittor looks for it.

    Debian's packages are ``libdnnl-dev`` and ``ocl-icd-libopencl1``. Without it convolutions are
    far slower.

    Returns:
        Whether it is there now.
    """
    library = next((path for path in libraries if path.exists()), None)
    found = sorted(headers.glob("dnnl*.h*"))
    if library is None or not found:
        return has_onednn(home)
    place = home / _ONEDNN
    for folder in ("include", "lib"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    oneapi = headers / "oneapi"
    for header in [*found, *([oneapi] if oneapi.exists() else [])]:
        _link(place / "include" / header.name, header)
    _link(place / "lib" / "libmkldnn.so", library)
    return True


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(target)
