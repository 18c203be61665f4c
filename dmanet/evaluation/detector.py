"""A trained network ready to detect in the windows of a cache, and to be scored on it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmanet.data.batches import collate
from dmanet.data.samplers import Sample, WindowRange
from dmanet.detection.found import in_sensor_pixels
from dmanet.device import choose_device, choose_precision, place
from dmanet.evaluation.evaluate import classes_of, evaluate
from dmanet.evaluation.protocols import ProtocolResult
from dmanet.evaluation.streaming import StreamSettings, detect_in_batch
from dmanet.models.detector import State
from dmanet.runs.records import Weights
from dmanet.runs.weights import load_weights
from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.reader import PillarCache
from pipeline.errors import CacheError


@dataclass(frozen=True)
class FoundBoxes:
    """What was found in one window, class by class and by descending score.

    Attributes:
        t: begin of the window, µs on the recording's clock.
        boxes: float64 ``[n, 4]``, x1, y1, x2, y2 in sensor pixels.
        scores: float32 ``[n]``, 0…1.
        class_names: n names of the release's classes.
    """

    t: int
    boxes: np.ndarray
    scores: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def __str__(self) -> str:
        lines = [f"{len(self)} boxes at {self.t / 1e6:.2f} s"]
        for name, score, box in zip(self.class_names, self.scores, self.boxes, strict=True):
            x1, y1, x2, y2 = box
            lines.append(f"{name} {score:.2f}: x {x1:.0f}…{x2:.0f}, y {y1:.0f}…{y2:.0f}")
        return "\n".join(lines)


class Detector:
    """A network on a device, for the windows of one cache.

    Attributes:
        weights: of the network.
        cache: whose windows it takes.
        device: where it runs.
        precision: of convolutions and matrix products, ``fp32``, ``bf16`` or ``fp16``.
        class_names: of the network's outputs.
    """

    def __init__(
        self,
        weights: Weights,
        cache: PillarCache,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """Build the network.

        Args:
            weights: of the network.
            cache: whose windows it is to take.
            device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for the GPU where there is one.
            precision: ``fp32``, ``bf16``, or ``auto`` for bf16 where the device computes in it.

        Raises:
            UsageError: the device is not there, or the precision is unknown.
            CacheError: the cache's settings are not those of the network, or it lacks some of its
                classes.
            CheckpointError: the weights do not fit their own settings.
        """
        self.weights = weights
        self.cache = cache
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        names = cache.settings.class_names
        self.class_names = tuple(names[number] for number in classes_of(weights, cache))
        self._model = place(weights.build(), self.device).eval()

    def detect(
        self,
        windows: PackedWindows,
        state: State | None = None,
        score_threshold: float = 0.3,
        nms_iou: float = 0.5,
    ) -> tuple[list[FoundBoxes], State]:
        """Detect in consecutive windows, with the memory of those before them.

        Args:
            windows: what :meth:`~pipeline.cache.reader.CachedRecording.read` gives.
            state: what this method returned for the windows just before these; None to begin anew.
                Where ``windows`` themselves say that a gap lies before one, nothing is remembered.
            score_threshold: what a score must exceed, 0…1.
            nms_iou: overlap above which the weaker of two boxes of a class is dropped.

        Returns:
            What was found in each window, and the state after the last.

        Raises:
            CacheError: the windows are of a cache with other settings.
            DataError: an output of the network is not a number.
        """
        sensor = windows.encoding.sensor
        if windows.encoding != self.cache.settings.encoding(sensor):
            raise CacheError(
                f"{windows.recording}: its windows are of a cache with other settings than "
                f"{self.cache.location}; make a detector for that cache."
            )
        span = WindowRange(windows.recording, windows.first, windows.first + len(windows))
        sample = Sample((span,), (0,), continues=state is not None, counted=len(windows))
        batch = collate([windows], [sample]).to(self.device)
        _, _, detections, state = detect_in_batch(
            self._model, batch, state, self.precision, score_threshold, nms_iou
        )
        return [
            FoundBoxes(
                t=int(t),
                boxes=in_sensor_pixels(found.boxes, self.weights.settings.grid_size, sensor),
                scores=found.scores,
                class_names=tuple(self.class_names[number] for number in found.classes),
            )
            for t, found in zip(windows.t_start, detections, strict=True)
        ], state

    def score(self, protocol: str, split: str) -> ProtocolResult:
        """The network's score on a split of the cache; ``print`` shows it as a table.

        Args:
            protocol: one of :data:`dmanet.evaluation.protocols.PROTOCOLS`, by name.
            split: ``train``, ``val`` or ``test``.

        Raises:
            UsageError: the protocol is unknown, or the cache has no such split.
            CacheError: what is stored cannot be read.
            DataError: an output of the network is not a number.
        """
        stream = StreamSettings(self.device, self.precision)
        return evaluate(self.weights, self.cache, protocol, split, stream)


def load_detector(
    path: str | Path, cache: PillarCache, device: str = "auto", precision: str = "auto"
) -> Detector:
    """The network of a checkpoint or a file of weights, ready for the windows of a cache.

    Args:
        path: of what `dmanet train` or `dmanet import-weights` wrote. Of averaged weights where
            training kept some.
        cache: whose windows it is to take.
        device: as for :class:`Detector`.
        precision: as for :class:`Detector`.

    Raises:
        UsageError: there is no such file, or the device is not there.
        CheckpointError: the file is damaged, or is something else.
        CacheError: the network does not fit the cache.
    """
    return Detector(load_weights(Path(path)), cache, device, precision)
