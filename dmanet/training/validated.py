"""What a validation found beside its score: curves, and pictures of a few windows, logged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dmanet.evaluation.details import Curve
from dmanet.evaluation.protocols import ProtocolResult
from dmanet.runs.curves import PrecisionRecall
from dmanet.runs.log import RunLog
from dmanet.runs.run_files import PICTURES_NAME
from pipeline.files.outputs import check_file_output
from pipeline.files.whole import written_whole


@dataclass(frozen=True)
class Validated:
    """A validation.

    Attributes:
        score: of the network; None where no class that it knows has a label.
        result: everything behind it.
        pictures: of the same few windows each time, by name; in the main process alone.
    """

    score: float | None
    result: ProtocolResult
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)


def write_validation(log: RunLog, run_dir: Path, step: int, validated: Validated) -> None:
    """Log curves and pictures at ``step``; the pictures also stand in the run's folder.

    Raises:
        UsageError: something else than a regular file has the name of a picture.
        OSError: they cannot be written.
    """
    details = validated.result.details
    labels = {row.name: row.labels for row in validated.result.rows}
    for curve in details.curves.classes if details else ():
        if labels[curve.name]:
            counts = _counts(curve, labels[curve.name])
            log.write_precision_recall(step, f"val/precision and recall/{curve.name}", counts)
    files = {}
    for name, picture in validated.pictures.items():
        path = run_dir / PICTURES_NAME / f"{name.replace('/', '_').replace(' ', '_')}.png"
        path.parent.mkdir(exist_ok=True)
        check_file_output(path)
        told = PngInfo()
        told.add_itxt("Description", f"{name} after step {step}")
        with written_whole(path) as unfinished:
            picture.save(unfinished, "PNG", pnginfo=told)
        files[f"windows/{name}"] = path
    log.write_pictures(step, files)


def _counts(curve: Curve, labels: int) -> PrecisionRecall:
    """The counts behind a curve's shares."""
    precision, recall = (np.array(v, float) for v in (curve.precision, curve.recall))
    right = np.round(np.nan_to_num(recall) * labels)
    # Of no right detection the share 0 does not say how many were wrong: one stands for them.
    wrong = np.where(precision > 0, np.round(right * (1 / np.fmax(precision, 1e-9) - 1)), 1.0)
    return PrecisionRecall(
        labels, tuple(right), tuple(np.where(np.isnan(precision), 0, wrong).tolist())
    )
