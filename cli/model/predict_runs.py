"""The work of `dmanet predict`: what cannot be is told before torch is imported."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.model.options import stream_settings
from cli.model.predict_options import is_video
from cli.model.predict_sources import cache_spans, raw_span
from cli.progress import progress_bar
from cli.signals import StopRequest, stop_requests
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from dmanet.data.samplers import WindowRange
    from dmanet.evaluation.streaming import StreamSettings
    from dmanet.reporting.prediction_outputs import Found
    from dmanet.runs.claims import Claims
    from pipeline.cache.reader import PillarCache
    from pipeline.ingest.raw_recording import RawRecording


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        source: a cache or a recording.
        checkpoint: of the network.
        output: a video or a folder; None for none.
        save: file or folder of boxes; None for none.
        score: least score of a box.
        steps: windows at a time.
        device: as given.
        precision: as given.
        quiet: no progress bar.
    """

    source: str
    checkpoint: Path
    output: Path | None
    save: Path | None
    score: float
    steps: int
    device: str
    precision: str
    quiet: bool

    def stream(self, workers: int = 0) -> "StreamSettings":
        """How windows are run."""
        from dmanet.device import choose_device

        return stream_settings(choose_device(self.device), self.precision, self.steps, workers)


def predict_cache(
    request: Request,
    *,
    split: str | None,
    recording: str | None,
    windows: str | None,
    pictures: int,
    workers: int,
) -> None:
    """Detect in a cache's windows and write a folder, or a video and boxes."""
    from dmanet.data.fitting import check_fit
    from dmanet.runs.claims import read_claims
    from dmanet.runs.encoding import check_encoding
    from pipeline.cache.reader import PillarCache

    cache = PillarCache(request.source)
    spans = cache_spans(cache, split, recording, windows)
    claims = read_claims(request.checkpoint)
    check_fit(cache, claims.settings, f"that of {request.checkpoint}", claims.classes)
    check_encoding(claims, request.checkpoint, cache)
    output, save = request.output, request.save
    as_folder = output is not None and not is_video(output)
    _check_video(output)
    if as_folder and save is not None:
        raise UsageError(
            f"{output}: is a folder, which holds the boxes too; leave --save out, or give a video."
        )
    if len(spans) > 1 and ((output and not as_folder) or (save and save.suffix.lower() == ".npy")):
        raise UsageError(
            f"{output if output else save}: holds one recording, and {len(spans)} are chosen; choose "
            "one with --recording."
        )
    if as_folder and output is not None:
        _fill_folder(request, cache, spans, output, pictures, workers)
    else:
        _write_of_cache(request, cache, spans, claims, workers)


def _fill_folder(
    request: Request,
    cache: "PillarCache",
    spans: "list[WindowRange]",
    folder: Path,
    pictures: int,
    workers: int,
) -> None:
    from dmanet.reporting.prediction import PredictionSettings, predict
    from dmanet.runs.weights import load_weights

    settings = PredictionSettings(score_threshold=request.score, pictures=pictures)
    weights = load_weights(request.checkpoint)
    with progress_bar(sum(s.stop - s.start for s in spans), "window", request.quiet) as bar:
        stream = request.stream(workers)
        predictions = predict(weights, cache, spans, folder, stream, settings, bar.update)
    for made in predictions:
        click.echo(
            f"{made.box_file}: {made.boxes} boxes in {made.windows} windows, "
            f"{len(made.pictures)} pictures"
        )


def _write_of_cache(
    request: Request,
    cache: "PillarCache",
    spans: "list[WindowRange]",
    claims: "Claims",
    workers: int,
) -> None:
    from dmanet.reporting.found_windows import Threshold, found_in_cache
    from dmanet.reporting.prediction_outputs import Outputs, write_outputs
    from dmanet.runs.weights import load_weights

    weights, threshold = load_weights(request.checkpoint), Threshold(request.score)
    with progress_bar(sum(s.stop - s.start for s in spans), "window", request.quiet) as bar:
        found = write_outputs(
            found_in_cache(weights, cache, spans, request.stream(workers), threshold),
            Outputs(request.output, request.save),
            claims.classes or cache.settings.output_names,
            cache.settings.class_names,
            request.source,
            bar.update,
        )
    _tell(request, found)


def predict_recording(
    request: Request,
    *,
    windows: str | None,
    encoding: str | None,
    skip_s: float,
    sensor: tuple[int, int] | None,
    follow: bool,
    stop_after_s: float | None,
) -> None:
    """Detect in a raw recording's windows and write a video and boxes."""
    from dmanet.data.fitting import check_settings_fit
    from dmanet.runs.claims import read_claims
    from dmanet.runs.encoding import encoding_of
    from pipeline.cache.reader import PillarCache
    from pipeline.ingest.raw_recording import open_raw
    from pipeline.ingest.reading import Growth

    if request.output is not None and not is_video(request.output):
        raise UsageError(
            f"{request.output}: a folder of pictures is made of a cache; give NAME.mp4, NAME.gif or "
            "NAME.webp for a recording, or --save for its boxes."
        )
    _check_video(request.output)
    first, last = raw_span(windows)
    claims = read_claims(request.checkpoint)
    cache = None if encoding is None else PillarCache(encoding)
    settings = encoding_of(claims, request.checkpoint, cache)
    where = encoding or f"the cache of {request.checkpoint}"
    check_settings_fit(
        settings, where, claims.settings, f"that of {request.checkpoint}", claims.classes
    )
    with _stop_requests(follow) as stop:

        def stopped() -> bool:
            return stop.signal_number is not None

        growth = Growth(stop_after_s, stopped) if follow else None
        recording = open_raw(Path(request.source), sensor, growth=growth)
        settings.encoding(recording.sensor)  # a sensor that they cannot take is told before torch

        from dmanet.reporting.found_windows import Threshold, found_in_recording
        from dmanet.reporting.prediction_outputs import Outputs, write_outputs
        from dmanet.runs.weights import load_weights
        from pipeline.voxelizing.live import live_windows

        weights = load_weights(request.checkpoint)
        chunks = live_windows(
            recording,
            settings,
            steps=request.steps,
            skip_us=round(skip_s * 1e6),
            first=first,
            last=last,
            stopped=stopped,
        )
        total = None if last is None else last - first
        with progress_bar(total, "window", request.quiet) as bar:
            found = write_outputs(
                found_in_recording(
                    weights, chunks, settings, request.stream(), Threshold(request.score)
                ),
                Outputs(request.output, request.save),
                claims.classes or settings.output_names,
                settings.class_names,
                request.source,
                _advance(bar, recording, total),
            )
    _tell(request, found)


def _check_video(output: Path | None) -> None:
    """A package that is missing is told before any work."""
    from pipeline.pictures.video import check_video
    from pipeline.release.shards import WINDOW_US

    if output is not None and is_video(output):
        check_video(output, 1e6 / WINDOW_US)


def _advance(bar: Any, recording: "RawRecording", total: int | None) -> Callable[[], None]:
    """Moves the bar by a window; how many there will be follows from how much of the file is read."""

    def move() -> None:
        share = recording.reading.share
        if total is None and share and recording.reading.growth is None:
            bar.total = max(bar.n + 1, round((bar.n + 1) / share))
        bar.update()

    return move


@contextlib.contextmanager
def _stop_requests(follow: bool) -> Iterator[StopRequest]:
    """Ctrl-C ends what is followed with its output whole; otherwise it ends the program."""
    if not follow:
        yield StopRequest()
        return
    with stop_requests() as request:
        yield request


def _tell(request: Request, found: "Found") -> None:
    for path in (request.output, request.save):
        if path is not None:
            click.echo(f"{path}: {found.boxes} boxes in {found.windows} windows")
