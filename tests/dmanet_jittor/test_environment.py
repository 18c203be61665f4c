"""Jittor is kept from the network, from other projects' folders and from a numpy it misreads."""

from pathlib import Path

import pytest

from dmanet_jittor.environment import check_numpy, has_onednn, lay_out_onednn, prepare
from pipeline.errors import UsageError


def test_a_numpy_whose_arrays_would_be_garbage_is_refused():
    check_numpy("1.26.4")
    with pytest.raises(UsageError, match=r"reads garbage from numpy 2\.4\.0 .* numpy<2"):
        check_numpy("2.4.0")


def test_what_jittor_reads_is_set_and_what_the_user_set_stays(tmp_path: Path):
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    assert prepare(environ) == tmp_path / "dmanet-jittor"
    assert environ["JITTOR_HOME"] == str(tmp_path / "dmanet-jittor")
    assert (environ["nvcc_path"], environ["use_mkl"]) == ("", "0")
    own = {"JITTOR_HOME": str(tmp_path), "nvcc_path": "/cuda/bin/nvcc", "use_mkl": "1"}
    assert prepare(dict(own)) == tmp_path
    environ = dict(own)
    prepare(environ)
    assert environ == own


def system(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """Headers and library as a distribution lays them."""
    headers, library = folder / "include", folder / "libdnnl.so.2"
    (headers / "oneapi" / "dnnl").mkdir(parents=True)
    for name in ("dnnl.h", "dnnl.hpp"):
        (headers / name).touch()
    library.touch()
    return headers, (folder / "elsewhere.so", library)


def test_onednn_is_linked_where_jittor_looks_so_that_nothing_is_downloaded(tmp_path: Path):
    headers, libraries = system(tmp_path / "usr")
    home = tmp_path / "home"
    for _ in range(2):  # a second time changes nothing
        assert lay_out_onednn(home, headers, libraries)
    assert has_onednn(home)
    assert prepare(environ := {"JITTOR_HOME": str(home)}) == home
    assert environ["use_mkl"] == "1"
    place = home / ".cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
    assert sorted(path.name for path in (place / "include").iterdir()) == [
        "dnnl.h", "dnnl.hpp", "oneapi",
    ]  # fmt: skip
    assert (place / "lib/libmkldnn.so").resolve() == libraries[1]


def test_without_onednn_nothing_is_laid_out(tmp_path: Path):
    assert not lay_out_onednn(tmp_path / "home", tmp_path, (tmp_path / "libdnnl.so.2",))
    assert not (tmp_path / "home").exists()
