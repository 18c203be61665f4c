"""What runs came to, read from the files in their folders and from results of `dmanet evaluate`.

A run's evaluations are the files ``evaluation*.json`` in its folder, and others that are named; these
find their run by the fingerprint of its weights. :mod:`dmanet.reporting.tables` prints them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dmanet.evaluation.protocols import ProtocolResult
from dmanet.evaluation.result_files import read_result
from dmanet.models.size import parameter_count
from dmanet.recipes import RunSettings, resolve_settings
from dmanet.runs.checkpoint import load_checkpoint
from dmanet.runs.log_lines import (
    EPOCHS_NAME,
    METRICS_NAME,
    EpochLine,
    L,
    StepLine,
    read_lines,
)
from dmanet.runs.run_files import BEST_NAME, LAST_NAME, PREVIOUS_NAME, SETTINGS_NAME
from dmanet.runs.weights import load_weights
from pipeline.cache.reader import PillarCache
from pipeline.errors import DataError, UsageError
from pipeline.settings import Settings

EVALUATION_NAME = "evaluation.json"
_EVALUATIONS = "evaluation*.json"
_FINGERPRINT = 16  # digits of a cache's fingerprint that a result holds


@dataclass(frozen=True)
class Evaluation:
    """One result of `dmanet evaluate`.

    Attributes:
        file: where it was read.
        result: the protocol, its conditions and the rows.
        checkpoint: name of the run's checkpoint that was scored; None where the run's folder no
            longer holds it.
    """

    file: Path
    result: ProtocolResult
    checkpoint: str | None

    @property
    def weights(self) -> str:
        """Fingerprint of what was scored."""
        return str(self.result.conditions["weights"])

    @property
    def split(self) -> str:
        """The recordings it was scored on."""
        return str(self.result.conditions["split"])

    @property
    def cache(self) -> str:
        """Fingerprint of the settings of the cache that it was scored on, sixteen digits."""
        return str(self.result.conditions["cache"])


@dataclass(frozen=True)
class RunResult:
    """One run.

    Attributes:
        folder: of the run.
        settings: all of them, as resolved.
        cache: fingerprint of the settings of the cache it was trained on, sixteen digits.
        recordings: digests of the recordings that it reads, by id.
        parameters: trained numbers of the network.
        epochs: that are finished; ``settings.training.epochs`` are planned.
        steps: that were made.
        bad_steps: skipped because a loss or gradient was not a number.
        overflows: skipped to lower the loss scale.
        last_loss: mean loss of the last finished epoch; None without one, or where it is no number.
        evaluations: of its checkpoints, by file name.
    """

    folder: Path
    settings: RunSettings
    cache: str
    recordings: Mapping[str, str]
    parameters: int
    epochs: int
    steps: int
    bad_steps: int
    overflows: int
    last_loss: float | None
    evaluations: tuple[Evaluation, ...]


def read_runs(folders: Sequence[Path], evaluations: Iterable[Path] = ()) -> list[RunResult]:
    """The runs in some folders.

    Args:
        folders: of the runs.
        evaluations: further files of results, each of a checkpoint of one of the runs.

    Returns:
        The runs, in the order of ``folders``.

    Raises:
        UsageError: a folder holds no run, or a result is of none of the runs.
        DataError: a file is damaged, a checkpoint among them.
    """
    own = [{path.resolve(): path for path in sorted(f.glob(_EVALUATIONS))} for f in folders]
    known = {place for files in own for place in files}
    further = [_read_evaluation(file) for file in evaluations if file.resolve() not in known]
    runs, missing = [], {evaluation.file: evaluation for evaluation in further}
    for folder, files in zip(folders, own, strict=True):
        run = _read_run(folder)
        found = [_read_evaluation(file) for file in files.values()]
        if found or further:
            names = _checkpoint_names(folder, {e.weights for e in (*found, *further)})
            found = [replace(e, checkpoint=names.get(e.weights)) for e in found]
            for evaluation in further:
                if evaluation.weights in names:
                    found.append(replace(evaluation, checkpoint=names[evaluation.weights]))
                    missing.pop(evaluation.file, None)
        runs.append(replace(run, evaluations=tuple(found)))
    for evaluation in missing.values():
        raise UsageError(
            f"{evaluation.file}: is a result of the weights {evaluation.weights}, which no checkpoint "
            "of these runs holds; name their run too, or evaluate again."
        )
    return runs


def cache_presets(caches: Iterable[Path | str]) -> dict[str, str]:
    """Preset and grid of each cache by the fingerprint that runs and results hold."""
    presets = {}
    for path in caches:
        cache = PillarCache(path)
        width, height = cache.settings.grid
        presets[cache.attributes["fingerprint"][:_FINGERPRINT]] = (
            f"{cache.settings.preset} {width}x{height}"
        )
    return presets


def differing_settings(runs: Sequence[RunResult]) -> dict[str, list[Any]]:
    """The keys in which the settings of runs differ, each with its value in every run."""
    flat = [dict(flat_settings(run.settings)) for run in runs]
    return {
        key: [values[key] for values in flat]
        for key in (flat[0] if flat else ())
        if any(values[key] != flat[0][key] for values in flat)
    }


def _read_run(folder: Path) -> RunResult:
    settings_file = folder / SETTINGS_NAME
    if not settings_file.exists():
        raise UsageError(
            f"{folder}: is no folder of a run (it has no {SETTINGS_NAME}); give what `dmanet train` "
            "had as --run-dir."
        )
    settings = resolve_settings(config=settings_file)
    steps = bad_steps = overflows = 0
    for step in _logged(folder / METRICS_NAME, StepLine):
        bad_steps, overflows = step.bad_steps, step.overflows
        steps += step.outcome == "made"
    epochs, last_loss = 0, None
    for epoch in _logged(folder / EPOCHS_NAME, EpochLine):
        last_loss = epoch.loss
        epochs += 1
    last = load_checkpoint(folder / LAST_NAME)
    return RunResult(
        folder=folder,
        settings=settings,
        cache=last.cache[:_FINGERPRINT],
        recordings=last.recordings,
        parameters=parameter_count(settings.model),
        epochs=epochs,
        steps=steps,
        bad_steps=bad_steps,
        overflows=overflows,
        last_loss=last_loss,
        evaluations=(),
    )


def _read_evaluation(file: Path) -> Evaluation:
    result = read_result(file)
    named = {key for key, value in result.conditions.items() if isinstance(value, str)}
    if lacking := {"split", "weights", "cache"} - named:
        what = ", ".join(sorted(lacking))
        raise DataError(f"{file}: lacks {what}; evaluate again with `dmanet evaluate --json`.")
    return Evaluation(file, result, checkpoint=None)


def _checkpoint_names(folder: Path, wanted: set[str]) -> dict[str, str]:
    """The name of the checkpoint in a run's folder that holds each of the ``wanted`` fingerprints.

    Where several hold the same weights, ``last.pt`` comes first and ``previous.pt`` last. Those that
    no checkpoint holds are missing.
    """
    kept = sorted(path.name for path in folder.glob("step-*.pt"))
    names: dict[str, str] = {}
    for name in (LAST_NAME, BEST_NAME, *kept, PREVIOUS_NAME):
        if (folder / name).is_file() and wanted - names.keys():
            fingerprint = load_weights(folder / name).fingerprint()
            if fingerprint in wanted:
                names.setdefault(fingerprint, name)
    return names


def _logged(file: Path, kind: type[L]) -> Iterator[L]:
    try:
        for _, line in read_lines(file, kind):
            yield line
    except FileNotFoundError:
        raise DataError(
            f"{file}: cannot be read, there is no such file; `dmanet train --resume` writes the log on, "
            "but what is lost stays lost."
        ) from None


def flat_settings(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, groups' keys behind the group's name and a dot."""
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        if isinstance(value, Settings):
            yield from flat_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
