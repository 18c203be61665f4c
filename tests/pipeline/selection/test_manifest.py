import contextlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError, UsageError
from pipeline.release.shards import walk_release
from pipeline.selection.manifest import Manifest, read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from tests.pipeline.sound_recordings import write_recording

A = "train/trainfilelist00/a"
B = "test/testfilelist01/b"


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "release"
    write_recording(root, A)
    write_recording(root, B, shards=1, class_id=0)
    return root


@pytest.fixture
def written(release, tmp_path):
    path = tmp_path / "manifests" / "all.json"
    write_manifest(scan_release(release), path)
    return path


def edit(path: Path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_reads_back_what_was_written(release, written):
    manifest = scan_release(release)
    assert read_manifest(written) == manifest
    assert read_manifest(written).digest == manifest.digest


def test_bytes_do_not_depend_on_the_run(release, written, tmp_path):
    again = written.with_name("again.json")
    write_manifest(scan_release(release, workers=2), again)
    assert again.read_bytes() == written.read_bytes()
    assert not list(written.parent.glob(".*"))


def test_root_is_relative_so_that_both_may_move_together(release, written, tmp_path):
    assert str(tmp_path) not in written.read_text()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(release, moved / "release")
    shutil.move(written.parent, moved / "manifests")
    manifest = read_manifest(moved / "manifests" / "all.json")
    assert manifest.root == moved / "release"
    assert manifest.recording_files() == walk_release(moved / "release")


def test_digest_is_of_the_content_and_not_of_the_place(release):
    manifest = scan_release(release)
    assert replace(manifest, root=Path("/elsewhere")).digest == manifest.digest
    assert replace(manifest, recordings=manifest.recordings[:1]).digest != manifest.digest


def test_recording_files_take_another_root(release, written, tmp_path):
    shutil.copytree(release, tmp_path / "copy")
    files = read_manifest(written).recording_files(tmp_path / "copy")
    assert files == walk_release(tmp_path / "copy")


@pytest.mark.parametrize("kind", ["events/b/ev001.npz", "labels/b/lb001.npz"])
def test_a_listed_file_that_is_gone_is_named(release, written, kind):
    (release / "test/testfilelist01" / kind).unlink()
    with pytest.raises(ManifestError, match=f"{os.path.basename(kind)}: listed .* missing"):
        read_manifest(written).recording_files()


def test_a_listed_file_of_another_size_is_named(release, written):
    with (release / "test/testfilelist01/labels/b/lb001.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ManifestError, match=r"lb001\.npz: has \d+ bytes where"):
        read_manifest(written).recording_files()


def test_a_file_the_release_never_had_is_none(release, tmp_path):
    (release / "test/testfilelist01/labels/b/lb001.npz").unlink()
    (_, b) = scan_release(release).recording_files()
    assert b.shards[0].labels is None
    assert b.shards[0].events is not None


def test_totals_are_sums_over_recordings(release):
    totals = scan_release(release).totals
    assert (totals.recordings, totals.shards, totals.windows, totals.events) == (2, 3, 30, 1200)
    assert totals.bytes == sum(path.stat().st_size for path in release.rglob("*.npz"))
    assert totals.kept["car"] == 20
    assert totals.kept["pedestrian"] == 10


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"format": "other"}', "\xff"])
def test_another_file_is_not_a_manifest(tmp_path, text):
    path = tmp_path / "m.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ManifestError, match=r"m\.json: not a manifest") as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.json: cannot be read"):
        read_manifest(tmp_path / "none.json")


def test_another_version_is_refused(written):
    edit(written, lambda m: m.update(version=2))
    with pytest.raises(ManifestError, match="manifest version 2"):
        read_manifest(written)


def _first(manifest):
    return manifest["recordings"][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(surplus=1), "surplus"),
        (lambda m: m.pop("root"), "root"),
        (lambda m: _first(m).update(bytes="many"), r"recordings\.0\.bytes"),
        (lambda m: _first(m).update(bytes=1), "bytes of"),
        (lambda m: _first(m).update(windows=1), "windows of"),
        (lambda m: _first(m)["shards"][0].pop(), r"recordings\.0\.shards\.0"),
        (lambda m: _first(m)["shards"].reverse(), "order"),
        (lambda m: _first(m)["defects"].update({"no-such-fault": 1}), "defects"),
        (lambda m: _first(m)["kept"].pop("car"), "label counts"),
        (lambda m: m["recordings"].append(_first(m)), "repeated"),
        (lambda m: _first(m).update(id="train/../b"), "split/filelist/name"),
        (lambda m: _first(m).update(id="train/a/.."), "split/filelist/name"),
        (lambda m: _first(m).update(id="other/a/b"), "split/filelist/name"),
        (lambda m: m["totals"].update(windows=7), "totals"),
        (lambda m: m["shard_columns"].reverse(), "shard_columns"),
    ],
)
def test_a_malformed_manifest_is_one_sentence_that_says_where(written, change, says):
    edit(written, change)
    with pytest.raises(ManifestError, match=says) as caught:
        read_manifest(written)
    assert str(caught.value).startswith(f"{written}: ")
    assert "\n" not in str(caught.value)


def test_a_reader_finds_each_shard_on_one_line(written):
    lines = written.read_text().splitlines()
    assert (
        sum('"event_bytes"' not in line and line.strip().startswith("[1,") for line in lines) == 2
    )


def test_a_failed_write_leaves_the_old_manifest(release, written):
    before = written.read_bytes()
    broken = Manifest(root=release, recordings=(object(),))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        write_manifest(broken, written)
    assert written.read_bytes() == before


SHA = "0" * 63


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("root",), "a\0b"),
        (("root",), ""),
        (("recordings", 0, "sensor"), [0, 720]),
        (("recordings", 0, "sensor"), [1280, 1 << 15]),
        (("recordings", 0, "sensor"), [1280.0, 720]),
        (("recordings", 0, "events"), -1),
        (("recordings", 0, "events"), 1 << 63),
        (("recordings", 0, "events"), True),
        (("recordings", 0, "time_us"), [-1, 5]),
        (("recordings", 0, "time_us"), [0, 1 << 32]),
        (("recordings", 0, "time_us"), [6, 5]),
        (("recordings", 0, "labels", "car"), -1),
        (("recordings", 0, "kept", "car"), 1.5),
        (("recordings", 0, "defects"), {"time-gap": -1}),
        (("recordings", 0, "defect_places"), [["time-gap", 1, "e99"]]),
        (("recordings", 0, "defect_places"), [["time-gap", -1, None]]),
        (("recordings", 0, "digest"), "0" * 64),
        (("recordings", 0, "digest"), SHA),
        (("recordings", 0, "id"), "train/a/\ud800"),
        (("recordings", 0, "id"), "train/a/b\0"),
        (("recordings", 0, "shards", 0, 0), -1),
        (("recordings", 0, "shards", 0, 0), 10**9),
        (("recordings", 0, "shards", 0, 1), -1),
        (("recordings", 0, "shards", 0, 3), 11),
        (("recordings", 0, "shards", 0, 4), SHA),
        (("recordings", 0, "shards", 0, 5), SHA + "G"),
        (("subset",), {}),
        (("totals", "bytes"), 1 << 64),
        (("totals", "events"), None),
        (("created_with",), None),
        (("labels_only",), 0),
    ],
)
def test_a_value_that_cannot_be_is_one_sentence(written, place, value):
    def change(manifest):
        for step in place[:-1]:
            manifest = manifest[step]
        manifest[place[-1]] = value

    edit(written, change)
    with pytest.raises(ManifestError) as caught:
        read_manifest(written)
    assert str(caught.value).startswith(f"{written}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "change",
    [
        {"source_digest": SHA},
        {"source_bytes": -1},
        {"strategy": "best"},
        {"budget": 0},
        {"seed": -1},
        {"classes": []},
        {"classes": ["car", "car"]},
        {"classes": ["tram"]},
        {"more": 1},
    ],
)
def test_a_provenance_that_cannot_be_is_refused(written, release, change):
    sound = {
        "source_digest": SHA + "0", "source_recordings": 2, "source_bytes": 9, "strategy": "first",
        "budget": 9, "seed": 0, "classes": ["car"], "estimated": False,
    }  # fmt: skip
    edit(written, lambda m: m.update(subset=sound))
    assert read_manifest(written).subset is not None
    edit(written, lambda m: m["subset"].update(change))
    with pytest.raises(ManifestError, match="subset"):
        read_manifest(written)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"version": ' + "9" * 5000 + "}",
        '{"format": "dmanet-manifest", "a": ' + "[" * 9_000,
        '{"a": 1, "a": 2}',
        "NaN",
    ],
)
def test_a_deep_or_doubled_document_is_no_manifest(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ManifestError, match="not a manifest"):
        read_manifest(tmp_path / "m.json")


def test_a_pipe_is_not_waited_for_and_a_size_without_end_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a pipe"):
        read_manifest(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="is larger than"):
        read_manifest(tmp_path / "large")


def test_a_pipe_where_a_listed_file_was_is_refused(release, written):
    shard = release / "test/testfilelist01/labels/b/lb001.npz"
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(ManifestError, match=r"lb001\.npz: is a pipe"):
        read_manifest(written).recording_files()


def test_a_name_that_json_cannot_hold_is_refused_and_nothing_is_written(release, tmp_path):
    manifest = scan_release(release)
    odd = replace(manifest.recordings[0], id="test/testfilelist01/" + os.fsdecode(b"b\xff"))
    with pytest.raises(ManifestError, match="not UTF-8"):
        write_manifest(replace(manifest, recordings=(odd,)), tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()


@settings(max_examples=60)
@given(data=st.data())
def test_no_flipped_bytes_end_in_anything_but_a_sentence(tmp_path_factory, sound_bytes, data):
    damaged = bytearray(sound_bytes)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.json"
    path.write_bytes(damaged)
    with contextlib.suppress(ManifestError):
        read_manifest(path)


@pytest.fixture(scope="module")
def sound_bytes(tmp_path_factory):
    root = tmp_path_factory.mktemp("flipped") / "release"
    write_recording(root, A)
    write_manifest(scan_release(root), root.parent / "m.json")
    return (root.parent / "m.json").read_bytes()
