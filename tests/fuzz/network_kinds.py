"""Cases on checkpoints, weights, settings files, runs and results."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

from tests.fuzz import byte_mutations, json_mutations
from tests.fuzz.cache_kinds import spoil_tables
from tests.fuzz.hostile import SETTINGS
from tests.fuzz.sandbox import Case

_YAML = (
    *(
        "a: &x 1\nb: *x",
        "!!python/object/apply:os.mkdir [executed]",
        "training: {epochs: 2020-01-01}",
    ),
    *(
        "model: !!int abc",
        "[" * 3000,
        "a: 1\na: 2",
        "model: [1]",
        "- 1",
        "1",
        "",
        "\t",
        "\ufeffmodel: {}",
    ),
    *(
        "model: {depth: 18",
        "training:\n  epochs: .nan",
        "? x\n: 1",
        "a: " + "x" * 2_000_000,
        "x: !x y",
    ),
    *(
        "model: {anchors: {levels: [3, 4, 5, 6, 7, 8, 9]}}",
        "training: {classes: [x]}",
        "<<: {a: 1}",
    ),
)


def checkpoint_bytes(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A checkpoint of other bytes, or another of weights: what is exported is what was in it."""
    name = rng.choice(("run/last.pt", "weights.safetensors", "released.pth"))
    path = folder / Path(name).name
    path.write_bytes(byte_mutations.mutate((fixtures / name).read_bytes(), rng))
    return _export(path, fixtures, folder)


def checkpoint_structure(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A checkpoint, whole as a file, of another content."""
    import torch

    path = folder / "last.pt"
    content = torch.load(fixtures / "run/last.pt", weights_only=True)
    _spoil(content, rng)
    if rng.random() < 0.5:
        content = _with_its_digest(content)
    torch.save(content, path)
    if rng.random() < 0.5:
        return _export(path, fixtures, folder)
    return _resume(fixtures, folder, path)


def weights_structure(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A file of weights whose header says something else."""
    data = (fixtures / "weights.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json_mutations.mutate(json.loads(data[8 : 8 + length]), rng)
    text = header.encode("utf-8", "replace")
    size = len(text) if rng.random() < 0.9 else rng.choice((0, 1, 1 << 40, (1 << 63) - 1))
    path = folder / "weights.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + text + data[8 + length :])
    return _export(path, fixtures, folder)


def run_settings(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A settings file; whatever it says, the network does not fit this cache."""
    path = folder / "settings.yaml"
    sound = (fixtures / "run/settings.yaml").read_bytes()
    kind = rng.choice(("bytes", "json", "yaml"))
    if kind == "bytes":
        path.write_bytes(byte_mutations.mutate(sound, rng))
    elif kind == "json":
        import yaml

        text = json_mutations.mutate(yaml.safe_load(sound), rng)
        path.write_text(text, encoding="utf-8", errors="replace")
    else:
        path.write_text(rng.choice(_YAML), encoding="utf-8")
    arguments = [
        "train",
        str(fixtures / "cache"),
        "--run-dir",
        str(folder / "run"),
        "--config",
        str(path),
    ]
    if rng.random() < 0.2:
        arguments += ["--set", rng.choice(SETTINGS)]
    return Case("dmanet", arguments, [path.name, "--set", "cache"], _never_taken)


def run_folder(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A run's folder with a spoiled file in it, read by ``results`` or resumed."""
    run = folder / "run"
    shutil.copytree(fixtures / "run", run)
    file = rng.choice(
        sorted(path for path in run.iterdir() if path.is_file() and path.suffix != ".pt")
    )
    if file.suffix == ".jsonl" and rng.random() < 0.6:
        lines = file.read_text().splitlines()
        place = rng.randrange(len(lines))
        lines[place] = json_mutations.mutate(json.loads(lines[place]), rng)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    else:
        file.write_bytes(byte_mutations.mutate(file.read_bytes(), rng))
    if rng.random() < 0.7:
        return Case("dmanet", ["results", str(run)], [file.name, "run"])
    return _resume(fixtures, folder, None)


def result_file(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A result of ``evaluate`` of another content."""
    path = folder / "result.json"
    sound = (fixtures / "result.json").read_bytes()
    if rng.random() < 0.3:
        path.write_bytes(byte_mutations.mutate(sound, rng))
    else:
        text = json_mutations.mutate(json.loads(sound), rng)
        path.write_text(text, encoding="utf-8", errors="replace")
    arguments = ["results", str(fixtures / "run"), "--evaluation", str(path)]
    return Case("dmanet", arguments, [path.name])


def network_on_tables(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A network on a cache whose arrays hold other values under digests that fit."""
    cache = folder / "cache"
    shutil.copytree(fixtures / "tiny", cache)
    spoil_tables(cache, rng)
    checkpoint = str(fixtures / "run/last.pt")
    arguments = rng.choice(
        (
            ["evaluate", str(cache), "--checkpoint", checkpoint, "--quiet"],
            [
                "predict",
                str(cache),
                "--checkpoint",
                checkpoint,
                "-o",
                str(folder / "out"),
                "--quiet",
            ],
        )
    )
    return Case("dmanet", arguments, ["cache"])


def _spoil(content: dict[str, Any], rng: random.Random) -> None:
    import torch

    odd = (
        *(
            None,
            -1,
            1 << 70,
            float("nan"),
            "x",
            [],
            {},
            torch.zeros(3),
            torch.zeros(1).expand(1 << 40),
        ),
        *(torch.zeros(2, dtype=torch.int64), torch.full((8,), float("nan")), True, 0.5, b"x"),
    )
    place: Any = content
    for _ in range(rng.choice((1, 2, 2, 3))):
        deeper = [key for key, value in place.items() if isinstance(value, dict) and value]
        if not deeper:
            break
        place = place[rng.choice(deeper)]
    key = rng.choice(list(place))
    kind = rng.choice(("value", "value", "gone", "more", "tensor"))
    if kind == "gone":
        del place[key]
    elif kind == "more":
        place["more"] = rng.choice(odd)
    elif (
        kind == "tensor" and isinstance(place[key], torch.Tensor) and place[key].is_floating_point()
    ):
        place[key] = rng.choice(
            (
                place[key].double(),
                place[key] * float("nan"),
                place[key].reshape(-1),
                place[key].reshape(-1)[:0],
            )
        )
    else:
        place[key] = rng.choice(odd)


def _with_its_digest(content: dict[str, Any]) -> dict[str, Any]:
    """The digest as it would be made; of what cannot have one, the old one."""
    from dmanet.runs.digests import content_digest

    held = {k: v for k, v in content.items() if k not in ("format", "version", "digest")}
    try:
        return content | {"digest": content_digest(held)}
    except (TypeError, RuntimeError):
        return content


def _export(path: Path, fixtures: Path, folder: Path) -> Case:
    import torch

    out = folder / "out.pth"
    if path.suffix == ".pth":
        words = ["import-weights", str(path), str(out), "--preset", "tiny", "--set", "stem_width=8"]
        words += ["--set", "feature_size=8"]
    else:
        words = ["export-weights", str(path), str(out)]

    def same_weights(code: int) -> list[str]:
        if code != 0:
            return ["refused, and something is there"] if out.exists() else []
        if path.suffix == ".pth":
            return []  # the released code's files have no digest: what is finite and fits is taken
        made = torch.load(out, weights_only=True)
        sound = torch.load(fixtures / "released.pth", weights_only=True)
        same = _flat(made).keys() == _flat(sound).keys() and all(
            torch.equal(tensor, _flat(sound)[name]) for name, tensor in _flat(made).items()
        )
        return [] if same else ["other weights than were saved"]

    return Case("dmanet", words, [path.name], same_weights)


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {name: content} if hasattr(content, "shape") else {}
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _flat(value, f"{name}.{key}")
    return found


def _resume(fixtures: Path, folder: Path, last: Path | None) -> Case:
    run = folder / "run"
    if not run.exists():
        shutil.copytree(fixtures / "run", run)
    if last is not None:
        last.rename(run / "last.pt")
    arguments = ["train", str(fixtures / "tiny"), "--run-dir", str(run), "--resume", "--quiet"]
    return Case("dmanet", [*arguments, "--device", "cpu"], ["run"])


def _never_taken(code: int) -> list[str]:
    return ["settings that do not fit the cache are taken"] if code == 0 else []
