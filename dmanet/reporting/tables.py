"""Results of runs as Markdown tables and as plain values for JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dmanet.evaluation.protocols import ClassRow
from dmanet.reporting.results import EVALUATION_NAME, Evaluation, RunResult, differing_settings
from dmanet.runs.run_files import BEST_NAME, LAST_NAME

_ABSENT = "–"
NO_EVALUATION = "no evaluation"


def results_table(runs: Sequence[RunResult], presets: Mapping[str, str]) -> str:
    """A line for each evaluation of each run, and one for a run without any; Markdown.

    Args:
        runs: in the order of their lines.
        presets: what to call a cache, by its fingerprint; others go by eight digits of it.
    """
    differing = differing_settings(runs)
    names = _run_names(runs)
    headers = ["run", *(f"`{key}`" for key in differing), "cache", "parameters", "epochs"]
    headers += ["steps", "bad steps", "loss, last epoch", "checkpoint", "protocol", "split"]
    headers += ["windows", "labels", "P", "R", "mAP@0.5", "mAP@0.5:0.95"]
    lines = []
    for place, run in enumerate(runs):
        about_run = [names[place], *(_text(values[place]) for values in differing.values())]
        facts = [str(run.parameters), f"{run.epochs} of {run.settings.training.epochs}"]
        facts += [str(run.steps), str(run.bad_steps), _figure(run.last_loss)]
        for evaluation in run.evaluations:
            cache = _cache(run.cache, presets)
            if evaluation.cache != run.cache:
                cache += f", scored on {_cache(evaluation.cache, presets)}"
            lines.append([*about_run, cache, *facts, *_scores(evaluation)])
        if not run.evaluations:
            absent = [_ABSENT, NO_EVALUATION, *[_ABSENT] * 7]
            lines.append([*about_run, _cache(run.cache, presets), *facts, *absent])
    return markdown(headers, lines)


def class_table(runs: Sequence[RunResult]) -> str:
    """mAP@0.5 and mAP@0.5:0.95 of every class, a line for each evaluation; Markdown."""
    names = _run_names(runs)
    scored = [(names[k], e) for k, run in enumerate(runs) for e in run.evaluations]
    classes = list(dict.fromkeys(row.name for _, e in scored for row in e.result.rows))
    lines = []
    for name, evaluation in scored:
        rows = {row.name: row for row in evaluation.result.rows}
        cells = [_pair(rows.get(label)) for label in classes]
        lines.append([name, evaluation.result.protocol.name, evaluation.split, *cells])
    return markdown(["run", "protocol", "split", *classes], lines)


def what_to_evaluate(runs: Sequence[RunResult]) -> str:
    """A sentence for each run without an evaluation: how to make one; empty where all have one."""
    sentences = []
    for folder in (run.folder for run in runs if not run.evaluations):
        name = BEST_NAME if (folder / BEST_NAME).is_file() else LAST_NAME
        sentences.append(
            f"{folder} has no evaluation; `dmanet evaluate CACHE --checkpoint {folder / name} "
            f"--json {folder / EVALUATION_NAME}` makes one."
        )
    return "\n".join(sentences)


def plain_results(runs: Sequence[RunResult], presets: Mapping[str, str]) -> dict[str, Any]:
    """Everything as plain JSON values: all settings, and each evaluation with its conditions."""
    return {
        "differing": list(differing_settings(runs)),
        "runs": [
            {
                "run": str(run.folder),
                "settings": run.settings.model_dump(mode="json"),
                "cache": {"fingerprint": run.cache, "preset": presets.get(run.cache)},
                "parameters": run.parameters,
                "epochs": run.epochs,
                "steps": run.steps,
                "bad_steps": run.bad_steps,
                "overflows": run.overflows,
                "last_loss": run.last_loss,
                "evaluations": [dict(_plain_evaluation(e)) for e in run.evaluations],
            }
            for run in runs
        ],
    }


def markdown(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose columns stand under each other also as plain text."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (headers, *lines)]
    widths = [max(3, *(len(line[k]) for line in cells)) for k in range(len(headers))]
    padded = [[cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in cells]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _scores(evaluation: Evaluation) -> list[str]:
    (overall,) = [row for row in evaluation.result.rows if row.name == "all"]
    figures = (overall.precision, overall.recall, overall.map50, overall.map50_95)
    return [
        evaluation.checkpoint or "no longer there",
        evaluation.result.protocol.name,
        evaluation.split,
        str(overall.windows),
        str(overall.labels),
        *(_figure(value) for value in figures),
    ]


def _plain_evaluation(evaluation: Evaluation) -> Iterator[tuple[str, Any]]:
    yield "file", str(evaluation.file)
    yield "checkpoint", evaluation.checkpoint
    yield "protocol", asdict(evaluation.result.protocol)
    yield "conditions", dict(evaluation.result.conditions)
    yield "rows", [asdict(row) for row in evaluation.result.rows]
    yield "summary", dict(evaluation.result.summary)


def _run_names(runs: Sequence[RunResult]) -> list[str]:
    """Folder names alone, where they tell the runs apart."""
    names = [run.folder.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]


def _cache(fingerprint: str, presets: Mapping[str, str]) -> str:
    return presets.get(fingerprint, fingerprint[:8])


def _pair(row: ClassRow | None) -> str:
    if row is None or row.map50 is None:
        return _ABSENT
    return f"{_figure(row.map50)} / {_figure(row.map50_95)}"


def _figure(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.3f}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "()"
    return str(value).lower() if isinstance(value, bool) else str(value)
