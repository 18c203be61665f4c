"""What `dmanet predict` reads, by its options: windows of a cache, or of a raw recording."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.windows import typed_span
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from dmanet.data.samplers import WindowRange
    from pipeline.cache.reader import PillarCache

_OF_A_CACHE = ("split", "recording", "pictures", "workers")
_OF_A_RECORDING = ("encoding", "skip", "sensor", "follow", "stop_after")


def is_cache(source: str) -> bool:
    """Whether it is a folder or an address; a file is a recording."""
    return "://" in source or Path(source).is_dir()


def check_options(source: str, given: Mapping[str, Any]) -> None:
    """Check that what was given is asked of this kind of source.

    Args:
        source: a cache or a recording.
        given: options by name; None or False where one was not given.

    Raises:
        UsageError: an option is of the other kind.
    """
    others, kind = (
        (_OF_A_RECORDING, "a cache") if is_cache(source) else (_OF_A_CACHE, "a raw recording")
    )
    for name in others:
        if given.get(name) not in (None, False):
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{source}: is {kind}, which {option} is not for; leave it out.")
    if given.get("stop_after") is not None and not given.get("follow"):
        raise UsageError(
            "--stop-after needs --follow: a file that is not followed ends at its end."
        )


def cache_spans(
    cache: "PillarCache", split: str | None, recording: str | None, windows: str | None
) -> "list[WindowRange]":
    """The windows of a cache that the options choose.

    Raises:
        UsageError: they choose none, or exclude each other.
    """
    from dmanet.data.fitting import recordings_of
    from dmanet.data.samplers import WindowRange

    if recording is None:
        if windows is not None:
            raise UsageError("--windows needs --recording; name the recording they are of.")
        return [WindowRange(r.id, 0, len(r)) for r in recordings_of(cache, split or "test")]
    if split is not None:
        raise UsageError("--split and --recording exclude each other; give one of them.")
    length = len(cache.recording(recording))
    first, last = typed_span(windows or f"0:{length}") or (0, 0)
    if not first < last <= length:
        raise UsageError(
            f"--windows {windows}: give a range within 0:{length}, such as 0:{min(10, length)}."
        )
    return [WindowRange(recording, first, last)]


def raw_span(windows: str | None) -> tuple[int, int | None]:
    """First window of a recording, and the first behind the last; None for its end.

    Raises:
        UsageError: the option is no range.
    """
    if windows is None:
        return 0, None
    first, last = typed_span(windows) or (0, 0)
    if not first < last:
        raise UsageError(f"--windows {windows}: give a range of windows, such as 0:40.")
    return first, last
