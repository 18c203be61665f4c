"""Pictures of a few windows of a split, the same ones each time a network is scored on it."""

from collections.abc import Sequence

from PIL import Image

from dmanet.detection.found import Detections, Labels
from dmanet.evaluation.evaluate import sensor_labels
from dmanet.evaluation.streaming import DetectedWindows
from dmanet.reporting.frame_cells import cells_of
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.pictures.cells import WindowCells
from pipeline.pictures.window import draw_window

MOST_PICTURES = 4
_WIDTH = 640  # pixels


class WindowTaker:
    """Keeps what was found in a few windows, to be drawn once the score to draw from is known."""

    def __init__(
        self, cache: PillarCache, recordings: Sequence[CachedRecording], classes: tuple[int, ...]
    ) -> None:
        """Choose windows with boxes of the ``classes``, spread over the recordings; reads labels."""
        self._cache = cache
        self._names = [cache.settings.class_names[number] for number in classes]
        labelled = [
            (recording.id, window)
            for recording in recordings
            for window, boxes in enumerate(sensor_labels(recording, classes))
            if len(boxes)
        ]
        count = min(MOST_PICTURES, len(labelled))
        self.chosen = tuple(
            labelled[(2 * k + 1) * len(labelled) // (2 * count)] for k in range(count)
        )
        self._taken: dict[tuple[str, int], tuple[WindowCells, Detections, Labels]] = {}

    def take(self, windows: DetectedWindows) -> None:
        """Keep the chosen ones among some windows."""
        for k, frame in enumerate(windows.frames):
            key = (windows.windows.recording, windows.windows.start + k)
            if key in self.chosen:
                sensor = self._cache.recording(key[0]).sensor
                cells = cells_of(windows, frame, self._cache.settings.grid, sensor)
                self._taken[key] = (cells, windows.detections[k], windows.labels[k])

    def draw(self, score: float) -> dict[str, Image.Image]:
        """The pictures by a name that is the same each time, detections from ``score`` on.

        What was kept is forgotten.
        """
        pictures = {}
        for key in self.chosen:
            if key not in self._taken:
                continue
            cells, found, labels = self._taken[key]
            kept = found.scores >= score
            pictures[f"{key[0]} window {key[1]:05d}"] = draw_window(
                cells,
                self._names,
                Detections(found.boxes[kept], found.scores[kept], found.classes[kept]),
                labels,
                caption=f"{key[0]} window {key[1]}",
                width=_WIDTH,
            )
        self._taken.clear()
        return pictures
