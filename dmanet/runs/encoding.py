"""By which settings recordings become a network's input: those of the cache it was trained on."""

from pathlib import Path
from typing import Any

from dmanet.runs.claims import Claims
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CheckpointError, UsageError
from pipeline.pillars.settings import PillarSettings

#: The option of a command that names a cache for its settings.
OPTION = "--encoding"


def encoding_of(claims: Claims, checkpoint: Path, cache: PillarCache | None) -> CacheSettings:
    """The settings that a network remembers, or those of a cache that was named.

    Args:
        claims: what the network's file says.
        checkpoint: the file.
        cache: one that the network was trained on; None where none was named.

    Raises:
        UsageError: the network remembers none, and no cache was named.
        CheckpointError: the network was trained on a cache of other settings than the one named.
    """
    if cache is None:
        if claims.cache_settings is None:
            raise UsageError(
                f"{checkpoint}: does not remember the settings of the cache it was trained on, as files "
                f"of earlier releases; name that cache with {OPTION} CACHE."
            )
        return claims.cache_settings
    check_encoding(claims, checkpoint, cache)
    if claims.cache_settings is None and claims.fingerprint not in (
        None,
        cache.attributes["fingerprint"],
    ):
        raise CheckpointError(
            f"{checkpoint}: was trained on a cache of other settings than {cache.location}; name the "
            f"one it was trained on with {OPTION}."
        )
    return cache.settings


def check_encoding(claims: Claims, checkpoint: Path, cache: PillarCache) -> None:
    """Check that a cache's windows became pillars as those the network was trained on, if it knows.

    Raises:
        CheckpointError: they did not, naming the settings in which they differ.
    """
    if claims.cache_settings is None:
        return
    trained, found = _pillars(claims.cache_settings), _pillars(cache.settings)
    differing = [key for key in trained if trained[key] != found[key]]
    if differing:
        told = " and ".join(f"{key} = {_shown(trained[key])}" for key in differing)
        other = " and ".join(_shown(found[key]) for key in differing)
        raise CheckpointError(
            f"{checkpoint}: was trained on pillars of {told}, and {cache.location} has {other}; give a "
            "cache of the same settings, or a network that was trained on such a cache."
        )


def _pillars(settings: CacheSettings) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in PillarSettings.model_fields}


def _shown(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
