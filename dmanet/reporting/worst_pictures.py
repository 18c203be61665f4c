"""The worst windows of a result as pictures: events, labels, and what was found."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dmanet.data.samplers import WindowRange
from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.details import WorstWindow
from dmanet.evaluation.evaluate import classes_of
from dmanet.evaluation.protocols import Protocol
from dmanet.evaluation.streaming import StreamSettings, stream_detections
from dmanet.reporting.frame_cells import cells_of
from dmanet.runs.records import Weights
from pipeline.cache.reader import PillarCache
from pipeline.files.whole import folder_written_whole
from pipeline.pictures.cells import WindowCells
from pipeline.pictures.window import draw_window


def draw_worst_windows(
    weights: Weights,
    cache: PillarCache,
    worst: Sequence[WorstWindow],
    score: float,
    protocol: Protocol,
    stream: StreamSettings,
    out: Path,
) -> list[Path]:
    """Write a picture of each window, the worst first by name, whole or not at all.

    Their recordings are detected in again up to the last such window, since what a network finds depends
    on the windows before.

    Args:
        weights: of the network that was scored.
        cache: where windows are read.
        worst: the windows.
        score: the least that is drawn.
        protocol: how detections were found.
        stream: how recordings are run.
        out: the folder to make.

    Returns:
        The pictures, the worst first.

    Raises:
        UsageError: ``out`` exists and is not an empty folder.
    """
    classes = classes_of(weights, cache)
    names_of_classes = [cache.settings.class_names[number] for number in classes]
    places = {(one.recording, one.window): place for place, one in enumerate(worst)}
    last = {one.recording: 0 for one in worst}
    for one in worst:
        last[one.recording] = max(last[one.recording], one.window + 1)
    names: dict[int, str] = {}
    with folder_written_whole(out) as unfinished:
        for windows in stream_detections(
            weights.build(),
            cache,
            [WindowRange(recording, 0, stop) for recording, stop in last.items()],
            stream,
            classes=classes,
            score_threshold=protocol.score_threshold,
            nms_iou=protocol.nms_iou,
            max_detections=protocol.max_detections,
        ):
            for k in range(len(windows.detections)):
                key = (windows.windows.recording, windows.windows.start + k)
                if key not in places:
                    continue
                place = places[key]
                names[place] = worst_picture_name(place, worst[place])
                recording, grid = cache.recording(key[0]), cache.settings.grid
                picture = _picture(
                    cells_of(windows, windows.frames[k], grid, recording.sensor),
                    worst[place],
                    names_of_classes,
                    windows.detections[k],
                    windows.labels[k],
                    score,
                )
                picture.save(unfinished / names[place])
    return [out / names[place] for place in sorted(names)]


def worst_picture_name(place: int, one: WorstWindow) -> str:
    """The file of a window's picture; ``place`` from 0, the worst."""
    return f"worst_{place + 1:02d}_{one.recording.replace('/', '_')}_window_{one.window:05d}.png"


def _picture(
    cells: WindowCells,
    one: WorstWindow,
    class_names: Sequence[str],
    found: Detections,
    labels: Labels,
    score: float,
) -> Image.Image:
    """A window with its labels and the detections that reach the score."""
    kept = found.scores >= score
    return draw_window(
        cells,
        class_names,
        Detections(found.boxes[kept], found.scores[kept], found.classes[kept]),
        labels,
        caption=f"{one.missed} missed, {one.wrong} wrong: {one.recording} window {one.window}",
    )
