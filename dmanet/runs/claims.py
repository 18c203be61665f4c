"""What a file of a network says it holds, read without torch: enough to tell early whether it fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmanet.recipes import RunSettings
from dmanet.runs.safetensors_header import Header, read_header, starts_like_safetensors
from dmanet.runs.stored_classes import names_of
from dmanet.runs.torch_archive import opened_archive
from dmanet.settings import ModelSettings, load_model_settings
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CheckpointError, SettingsError
from pipeline.files.documents import MalformedError, parse_json
from pipeline.settings import load_settings

CHECKPOINT_FORMAT = "dmanet-checkpoint"
CHECKPOINT_VERSION = 4  # those before do not remember the cache's settings
CHECKPOINT_VERSIONS = (2, 3, CHECKPOINT_VERSION)
#: The version before had no digest; its records' CRC-32 are all that tells of damage.
FIRST_WITH_DIGEST = 3
WEIGHTS_FORMAT = "dmanet-weights"
WEIGHTS_VERSION = 3  # likewise: 1 has no digest, and those before 3 no settings of a cache
WEIGHTS_VERSIONS = (1, 2, WEIGHTS_VERSION)


@dataclass(frozen=True)
class Claims:
    """A network as its file describes it.

    Attributes:
        settings: the architecture.
        classes: the class name of each output; None where that is not known.
        cache_settings: of the cache it was trained on; None where the file does not remember them.
        fingerprint: of the same, where the file is a checkpoint.
    """

    settings: ModelSettings
    classes: tuple[str, ...] | None
    cache_settings: CacheSettings | None = None
    fingerprint: str | None = None


def read_claims(path: Path) -> Claims:
    """What a checkpoint of a run, or a file of weights, says of its network.

    Its numbers are not read: loading it may still find it damaged.

    Raises:
        UsageError: there is no such file, or it is no regular one.
        CheckpointError: it is neither of the two, or damaged.
        OSError: it cannot be read.
    """
    if starts_like_safetensors(path):
        return claims_of_weights(read_header(path), path)
    with opened_archive(path) as archive:
        content = archive.content
    check_format(content, CHECKPOINT_FORMAT, CHECKPOINT_VERSIONS, path)
    settings = content.get("settings")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: is not a whole checkpoint (it lacks settings).")
    try:
        network = load_settings(RunSettings, settings, str(path), converted=False).model
    except SettingsError as error:
        raise CheckpointError(f"{error}; it is damaged, use another file.") from None
    fingerprint = content.get("cache")
    return Claims(
        network,
        _classes(content.get("classes"), path),
        cache_settings_of(content.get("cache_settings"), path),
        fingerprint if isinstance(fingerprint, str) else None,
    )


def cache_settings_of(stored: Any, path: Path | str) -> CacheSettings | None:
    """The settings of a cache that a file remembers; None where it remembers none.

    Raises:
        CheckpointError: what it holds are no such settings.
    """
    if stored is None:
        return None
    try:
        if not isinstance(stored, Mapping):
            raise SettingsError(f"{path}: its cache_settings are no object")
        return load_settings(CacheSettings, stored, str(path), converted=False)
    except SettingsError as error:
        raise CheckpointError(
            f"{str(error).rstrip('.')}; it is damaged, use another file."
        ) from None


def claims_of_weights(header: Header, path: Path) -> Claims:
    """The same of a file of weights, from its header.

    Raises:
        CheckpointError: the header is not one of ours.
    """
    metadata = header.metadata
    version = check_format(metadata, WEIGHTS_FORMAT, WEIGHTS_VERSIONS, path)
    wanted = ["settings", "classes", "digest", "cache_settings"][: version + 1]
    lacking = set(wanted) - metadata.keys()
    if lacking:
        raise CheckpointError(f"{path}: cannot be read as weights (it lacks {min(lacking)}).")
    try:
        settings = parse_json(metadata["settings"])
        if not isinstance(settings, dict):
            raise MalformedError("its settings are no object")
        classes = parse_json(metadata["classes"])
        network = load_model_settings(settings, str(path))
        remembered = parse_json(metadata["cache_settings"]) if "cache_settings" in wanted else None
    except (MalformedError, SettingsError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({error}).") from None
    return Claims(
        network,
        None if classes is None else _classes(classes, path),
        cache_settings_of(remembered, path),
    )


def check_format(content: Any, wanted: str, versions: tuple[int, ...], path: Path) -> int:
    """Check the ``format`` and ``version`` that a file of ours states.

    Returns:
        The version.

    Raises:
        CheckpointError: they are none of those ``wanted``.
    """
    if not isinstance(content, Mapping) or content.get("format") != wanted:
        raise CheckpointError(
            f"{path}: is not a checkpoint of this project; `dmanet import-weights` reads one of the "
            "released code."
        )
    stated = str(content.get("version"))
    for version in versions:
        if stated == str(version):
            return version
    raise CheckpointError(
        f"{path}: has version {stated[:40]}, this release reads "
        f"{', '.join(map(str, versions[:-1]))} and {versions[-1]}; "
        "use the release that wrote it."
    )


def _classes(found: Any, path: Path) -> tuple[str, ...]:
    try:
        return names_of(found)
    except ValueError:
        raise CheckpointError(f"{path}: has classes that are none; it is damaged.") from None
