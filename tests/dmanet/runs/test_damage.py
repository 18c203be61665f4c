"""Files of networks that were damaged, or made to do harm: one sentence, or the content as it was."""

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from dmanet.models.detector import DMANet
from dmanet.runs.checkpoint import load_checkpoint, save_checkpoint
from dmanet.runs.claims import read_claims
from dmanet.runs.digests import content_digest
from dmanet.runs.outcomes import Tally
from dmanet.runs.plain_files import load_plain
from dmanet.runs.plain_pickle import PlainPickleError, read_plain_pickle
from dmanet.runs.records import Checkpoint, Weights
from dmanet.runs.weights import load_weights, save_weights
from pipeline.errors import CheckpointError, PipelineError, UsageError
from tests.dmanet.caches import small_run


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    settings = small_run()
    model = DMANet(settings.model)
    return Checkpoint(
        settings=settings,
        model=model.state_dict(),
        optimizer=torch.optim.Adam(model.parameters()).state_dict(),
        scaler={},
        average=None,
        carried=None,
        epoch=0,
        position=1,
        step=1,
        tally=Tally(made=1),
        best_score=None,
        cache="abc",
        recordings={"train/a/b": "digest"},
        classes=("pedestrian", "car", "traffic sign"),
    )


def sentence(load, path: Path) -> str:
    with pytest.raises(PipelineError) as raised:
        load(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 1000
    return message


CONTENT = {
    "numbers": [1, -2, 2**40, 0.5, None, True, "text"],
    "tensors": OrderedDict(a=torch.arange(8.0).view(2, 4).T, b=torch.ones(3, dtype=torch.bfloat16)),
    "tuple": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ()),
}


def test_what_torch_saves_comes_back_as_torch_reads_it(tmp_path: Path):
    for protocol in (2, 3, 4, 5):
        torch.save(CONTENT, tmp_path / "file.pt", pickle_protocol=protocol)
        found = load_plain(tmp_path / "file.pt")
        assert content_digest(found) == content_digest(CONTENT)
        assert found["tensors"]["a"].stride() == (1, 4)
    shared = torch.zeros(6)
    torch.save([shared[:2], shared[2:]], tmp_path / "file.pt")
    first, second = load_plain(tmp_path / "file.pt")
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def test_a_flipped_bit_is_found_wherever_it_changes_the_content(tmp_path: Path):
    path = tmp_path / "file.pt"
    torch.save(CONTENT, path)
    data, wanted = path.read_bytes(), content_digest(CONTENT)
    choice, refused = random.Random(0), 0
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << choice.randrange(8)
        path.write_bytes(flipped)
        try:
            found = load_plain(path)
        except CheckpointError:
            refused += 1
        else:
            assert content_digest(found) == wanted, place
    assert refused > 300


@pytest.mark.parametrize("name", ["last.pt", "weights.safetensors"])
def test_a_flipped_bit_of_a_network_is_one_sentence(tmp_path: Path, checkpoint, name):
    path = tmp_path / name
    save, load = (
        (save_checkpoint, load_checkpoint) if name == "last.pt" else (save_weights, load_weights)
    )
    what = checkpoint if name == "last.pt" else checkpoint.weights()
    save(path, what)
    data, wanted = path.read_bytes(), load_weights(path).fingerprint()
    choice, refused = random.Random(1), 0
    header = [*range(0, 2000, 50)]
    for place in header + [choice.randrange(len(data)) for _ in range(40)]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << choice.randrange(8)
        path.write_bytes(flipped)
        try:
            found = load(path)
        except CheckpointError:
            refused += 1
        else:
            weights = found.weights() if name == "last.pt" else found
            assert weights.fingerprint() == wanted, place
            if name == "last.pt":
                assert content_digest(found.content()) == content_digest(checkpoint.content())
    assert refused > 20


def test_the_digest_changes_with_what_a_record_holds(tmp_path: Path, checkpoint):
    """A record that was exchanged together with its CRC-32 is found by the digest alone."""
    save_checkpoint(tmp_path / "last.pt", checkpoint)
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    content["model"]["class_head.output.bias"][0] += 1
    torch.save(content, tmp_path / "last.pt")
    assert "does not match its digest" in sentence(load_checkpoint, tmp_path / "last.pt")
    del content["digest"]
    torch.save(content, tmp_path / "last.pt")
    assert "does not match its digest" in sentence(load_checkpoint, tmp_path / "last.pt")


WRONG = {
    "tally": {"made": 1},
    "epoch": -1,
    "position": 1.5,
    "step": True,
    "recordings": {"train/a/b": 7},
    "classes": (99,),
    "optimizer": {"state": {}, "param_groups": []},
    "scaler": {"scale": "1"},
    "average": {"updates": 1},
    "carried": [{"hidden": 1, "cell": 2, "feature": 3}],
    "model": {"a": [1]},
    "settings": {"model": {"num_classes": 10**9}},
    "best_score": float("nan"),
    "cache": None,
    "surplus": 1,
}  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_a_field_of_another_type_is_one_sentence(tmp_path: Path, checkpoint, key):
    fields = {**checkpoint.content(), key: WRONG[key]}
    header = {"format": "dmanet-checkpoint", "version": 3, "digest": content_digest(fields)}
    torch.save(header | fields, tmp_path / "last.pt")
    message = sentence(load_checkpoint, tmp_path / "last.pt")
    assert key in message or "num_classes" in message


@pytest.mark.parametrize("key", ["optimizer", "classes", "recordings"])
def test_a_missing_field_is_one_sentence(tmp_path: Path, checkpoint, key):
    fields = {name: value for name, value in checkpoint.content().items() if name != key}
    header = {"format": "dmanet-checkpoint", "version": 3, "digest": content_digest(fields)}
    torch.save(header | fields, tmp_path / "last.pt")
    assert key in sentence(load_checkpoint, tmp_path / "last.pt")


@pytest.mark.parametrize("change", ["nan", "dtype"])
def test_numbers_that_no_network_has_are_found_before_one_is_built(checkpoint, change, monkeypatch):
    tensors = dict(checkpoint.model)
    name = "backbone.stem_conv.weight"
    tensors[name] = tensors[name] * float("nan") if change == "nan" else tensors[name].double()
    with pytest.raises(CheckpointError, match=f"'{name}' h.*(not finite|float64 instead of)"):
        replace(checkpoint.weights(), tensors=tensors).build()


def archive(path: Path, index: bytes, records: dict[str, bytes] = {}, **options) -> Path:  # noqa: B006
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("archive/data.pkl", index)
        for name, data in records.items():
            file.writestr(f"archive/{name}", data)
    return path


def tensor_pickle(numbers: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A pickle of one tensor that says what is given of its storage, shape and stride."""

    def packed(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
        + packed("0")
        + packed("cpu")
        + packed(numbers)
        + b"tQ"
        + packed(0)
        + packed(shape)
        + packed(stride)
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )


def test_the_made_up_pickle_of_a_tensor_is_one(tmp_path: Path):
    records = {"data/0": bytes(16), "version": b"3\n", "byteorder": b"little"}
    path = archive(tmp_path / "f.pt", tensor_pickle(4, (2, 2), (2, 1)), records)
    assert torch.equal(load_plain(path), torch.zeros(2, 2))
    assert torch.equal(torch.load(path, weights_only=True), torch.zeros(2, 2))


@pytest.mark.parametrize(
    ("numbers", "shape", "stride"),
    [
        (10**12, (10**12,), (1,)),
        (10**12, (4,), (1,)),
        (4, (10**12,), (0,)),
        (4, (4,), (10**9,)),
        (4, (-1,), (1,)),
        (4, (2, 2), (1,)),
        (4, (1,) * 40, (1,) * 40),
        (4, (0, 2**62), (1, 1)),
        (5, (4,), (1,)),
        (3, (3,), (1,)),
    ],
)  # fmt: skip
def test_a_tensor_that_claims_what_is_not_there_is_refused(tmp_path: Path, numbers, shape, stride):
    path = archive(tmp_path / "f.pt", tensor_pickle(numbers, shape, stride), {"data/0": bytes(16)})
    sentence(load_plain, path)


def nested(times: int) -> bytes:
    """A list of two of a list of two …: a few bytes that stand for 2**times values."""
    return b"\x80\x02]q\0" + b"".join(b"](h%ch%ceq%c" % (k, k, k + 1) for k in range(times)) + b"."


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"\x80\x02.",
        b"\x80\x02}",
        b"\x80\x02h\x05.",
        b"\x80\x02]q\0h\0a.",  # a list in itself
        nested(200),
        nested(24),
        b"\x80\x02c__builtin__\nbytearray\n\x8a\x06\0\0\0\0\0\x10\x85R.",
        b"\x80\x02ctorch\nFloatTensor\n\x8a\x05\0\0\0\0\x10\x85R.",
        b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02K\x01K\x02K\x03s.",
        b"\x80\x02(((.",
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x02Nr\xff\xff\xff\xffccollections\nOrderedDict\n.",
        b"\x80\x02X\xff\xff\xff\xffa.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        b"\x80\x02ccollections\nOrderedDict\nK\x05\x85R.",
        b"N" * 5_000_000 + b".",
    ],
    ids=range(19),
)
def test_an_index_of_anything_but_plain_values_is_refused(tmp_path: Path, index):
    if index.startswith(b"\x80\x04"):  # a frame that claims more than there is holds plain values
        assert read_plain_pickle(index) is None
        return
    with pytest.raises(PlainPickleError):
        read_plain_pickle(index)
    sentence(load_checkpoint, archive(tmp_path / "f.pt", index))


def test_archives_that_lie_are_refused(tmp_path: Path):
    path = tmp_path / "f.pt"
    index = pickle.dumps({"a": 1}, 2)
    assert "compressed" in sentence(
        load_plain, archive(path, index, compression=zipfile.ZIP_DEFLATED)
    )
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(path, pickle.dumps(1, 2), {"data.pkl": pickle.dumps(2, 2)})
    assert "two records" in sentence(load_plain, path)
    archive(path, pickle.dumps(1, 2), {"byteorder": b"big"})
    assert "little-endian" in sentence(load_plain, path)
    data = bytearray(archive(path, pickle.dumps(1, 2)).read_bytes())
    size = data.rindex(b"PK\x01\x02") + 20  # of the record, in the central directory
    data[size : size + 8] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(data)
    assert "longer than the file" in sentence(load_plain, path)


@pytest.mark.parametrize("load", [load_checkpoint, load_weights, read_claims])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, load):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(UsageError, match=f"is {kind}"):
            load(path)


HEADERS = [
    b"{",
    b"[]",
    b"[" * 100_000,
    b'{"__metadata__": {"format": 1}}',
    b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}',
    b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}',
    b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1}}',
    b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}',
    b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}',
    b'{"__metadata__": {"format": "dmanet-weights", "version": "2", "settings": "{}"}}',
    b'{"__metadata__": {"format": "dmanet-weights", "version": "1", "settings": "3", "classes": "1"}}',
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_header_that_lies_is_one_sentence(tmp_path: Path, header):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    for load in (load_weights, read_claims):
        sentence(load, path)
    path.write_bytes(struct.pack("<Q", 2**63) + header)
    sentence(load_weights, path)


def test_weights_without_a_digest_are_those_of_the_version_before(tmp_path: Path, checkpoint):
    weights: Weights = checkpoint.weights()
    metadata = {
        "format": "dmanet-weights",
        "version": "1",
        "settings": weights.settings.model_dump_json(),
        "classes": json.dumps(weights.classes),
    }
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(weights.tensors, metadata))
    assert load_weights(path).fingerprint() == weights.fingerprint()
    path.write_bytes(save(weights.tensors, {**metadata, "version": "2"}))
    assert "lacks digest" in sentence(load_weights, path)


def test_claims_are_what_loading_finds(tmp_path: Path, checkpoint):
    save_checkpoint(tmp_path / "last.pt", checkpoint)
    save_weights(tmp_path / "w.safetensors", checkpoint.weights())
    for name in ("last.pt", "w.safetensors"):
        claims, weights = read_claims(tmp_path / name), load_weights(tmp_path / name)
        assert (claims.settings, claims.classes) == (weights.settings, weights.classes)
    buffer = io.BytesIO()
    torch.save({"state_dict": {}}, buffer)
    (tmp_path / "other.pt").write_bytes(buffer.getvalue())
    assert "import-weights" in sentence(read_claims, tmp_path / "other.pt")
