import shutil
from dataclasses import replace

import pytest

from pipeline.errors import ManifestError, UsageError
from pipeline.selection import tree
from pipeline.selection.scan import scan_release
from pipeline.selection.tree import assemble_tree
from tests.pipeline.sound_recordings import write_recording


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "release"
    write_recording(root, "train/trainfilelist00/a", count=15)
    write_recording(root, "test/testfilelist00/b", count=5)
    return root


class Killed(BaseException):
    """What ends a copy at once, so that nothing is tidied."""


def killed_after(files, manifest, dest, mode="copy"):
    def stop(done, of):
        if done == files:
            raise Killed

    with pytest.raises(Killed):
        assemble_tree(manifest, dest, mode, progress=stop)


def content(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.npz")}


def test_a_stopped_copy_goes_on_and_keeps_what_is_whole(release, tmp_path, monkeypatch):
    manifest, dest = scan_release(release), tmp_path / "copy"
    killed_after(3, manifest, dest)
    assert not dest.exists()
    half = tmp_path / ".copy.unfinished"
    (half / "test/testfilelist00/events").mkdir(parents=True, exist_ok=True)
    (half / "test/testfilelist00/events/b").mkdir(exist_ok=True)
    (half / "test/testfilelist00/events/b/ev001.npz.part").write_bytes(b"begun")
    copied = []
    real = shutil.copyfile
    monkeypatch.setattr(
        tree.shutil, "copyfile", lambda source, to: (copied.append(source), real(source, to))
    )
    total = assemble_tree(manifest, dest, "copy")
    assert len(copied) == total - 3
    assert content(dest) == content(release)
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith((".part", ".unfinished"))]


def test_what_a_stopped_copy_left_damaged_is_copied_again(release, tmp_path):
    manifest, dest = scan_release(release), tmp_path / "copy"
    killed_after(3, manifest, dest)
    damaged = sorted((tmp_path / ".copy.unfinished").rglob("*.npz"))[0]
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    assemble_tree(manifest, dest, "copy")
    assert content(dest) == content(release)


@pytest.mark.parametrize(("first", "then"), [("copy", "link"), ("link", "copy"), ("link", "link")])
def test_the_other_way_may_go_on_too(release, tmp_path, first, then):
    manifest, dest = scan_release(release), tmp_path / "tree"
    killed_after(2, manifest, dest, first)
    assemble_tree(manifest, dest, then)
    assert content(dest) == content(release)
    assert all(path.is_symlink() == (then == "link") for path in dest.rglob("*.npz"))


def test_what_was_left_of_another_choice_is_refused_and_kept(release, tmp_path):
    manifest, dest = scan_release(release), tmp_path / "copy"
    killed_after(len(content(release)), manifest, dest)
    one = replace(manifest, recordings=manifest.recordings[1:])
    with pytest.raises(UsageError, match=r"\.copy\.unfinished: was left unfinished with train/"):
        assemble_tree(one, dest, "copy")
    assert content(tmp_path / ".copy.unfinished") == content(release)


def test_a_source_whose_content_is_another_is_named_and_not_copied(release, tmp_path):
    manifest = scan_release(release)
    wrong = sorted(release.rglob("ev001.npz"))[0]
    data = bytearray(wrong.read_bytes())
    data[-1] ^= 1
    wrong.write_bytes(data)
    with pytest.raises(ManifestError, match=str(wrong)):
        assemble_tree(manifest, tmp_path / "copy", "copy")
    assert not (tmp_path / "copy").exists()
    assert not list((tmp_path / ".copy.unfinished").rglob("*.part"))


def test_a_disk_without_room_is_told_before_anything_is_copied(release, tmp_path, monkeypatch):
    manifest = scan_release(release)
    needed = manifest.totals.bytes
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(tree.shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(UsageError, match="the copy needs"):
        assemble_tree(manifest, tmp_path / "copy", "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
    monkeypatch.setattr(tree.shutil, "disk_usage", lambda path: usage._replace(free=needed))
    killed_after(2, manifest, tmp_path / "copy")
    left = needed - sum(map(len, content(tmp_path / ".copy.unfinished").values()))
    monkeypatch.setattr(tree.shutil, "disk_usage", lambda path: usage._replace(free=left))
    assemble_tree(manifest, tmp_path / "copy", "copy")  # what is there needs no room


def test_two_processes_do_not_make_one_tree(release, tmp_path):
    manifest, dest = scan_release(release), tmp_path / "copy"

    def second(done, of):
        if done == 1:
            with pytest.raises(UsageError, match="another process is making this tree"):
                assemble_tree(manifest, dest, "copy")

    assemble_tree(manifest, dest, "copy", progress=second)
    assert content(dest) == content(release)
