"""A run as one HTML page that opens without a network and needs no script."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dmanet.evaluation.bootstrap import FEW_RECORDINGS
from dmanet.reporting.embedded_pictures import embedded, picture_files, worst_window_figures
from dmanet.reporting.results import Evaluation
from dmanet.reporting.run_sections import (
    figure,
    origin_section,
    resumed_at,
    settings_section,
    skipped_section,
    training_section,
)
from dmanet.reporting.run_source import RunSource
from dmanet.reporting.score_sections import (
    error_section,
    recording_section,
    score_section,
    size_section,
    with_interval,
)
from dmanet.reporting.tables import what_to_evaluate
from dmanet.runs.run_files import PICTURES_NAME
from pipeline.report.elements import Figure, Gallery, KeyFigure, Section, Table
from pipeline.report.template import render_page
from pipeline.text import counted, grouped, listed, share, short

WORST_NAME = "worst"


def render_run(source: RunSource, worst: Path | None) -> str:
    """The page's HTML.

    Args:
        source: of the run.
        worst: folder of the pictures that `dmanet evaluate --pictures` wrote; None takes ``worst`` of
            the run's folder, where there is one.

    Raises:
        DataError: a picture is none.
    """
    sections = [
        training_section(source),
        _evaluations_section(source),
        *_score_sections(source.shown),
        _pictures_section(source, worst or source.run.folder / WORST_NAME),
        skipped_section(source),
        settings_section(source),
        origin_section(source),
    ]
    return render_page(
        f"Run: {source.run.folder.resolve().name}",
        _lead(source),
        list(_key_figures(source)),
        list(_findings(source)),
        [section for section in sections if section is not None],
        findings_title="Worth knowing about this run",
    )


def _lead(source: RunSource) -> str:
    model, training = source.run.settings.model, source.run.settings.training
    height, width = model.grid_size
    return (
        f"DMANet of depth {model.depth} on a grid of {width} × {height} cells for "
        f"{counted(model.num_classes, 'class', 'classes')}, trained with {training.optimizer} in "
        f"samples of {counted(training.steps, 'window')}, {training.batch_size} at a time."
    )


def _key_figures(source: RunSource) -> Iterator[KeyFigure]:
    run, shown = source.run, source.shown
    if shown is not None:
        (overall,) = [row for row in shown.result.rows if row.name == "all"]
        details = shown.result.details
        of = details.intervals.of if details and details.intervals else {}
        where = f"{shown.split}, protocol {shown.result.protocol.name}"
        for key, title in (("map50_95", "mAP@0.5:0.95"), ("map50", "mAP@0.5")):
            interval = of.get(f"all.{key}")
            told = with_interval(getattr(overall, key), interval).partition(" ")[2]
            yield KeyFigure(
                figure(getattr(overall, key)), title, f"{told} {where}" if told else where
            )
    scored = [epoch for epoch in source.epochs if epoch.score is not None]
    if scored:
        best = max(scored, key=lambda epoch: epoch.score or 0.0)
        yield KeyFigure(
            figure(best.score), "best score in training", f"epoch {best.epoch + 1}: {best.score_of}"
        )
    planned = run.settings.training.epochs
    yield KeyFigure(
        f"{run.epochs} of {planned}", "epochs", f"last mean loss {figure(run.last_loss)}"
    )
    skipped = run.bad_steps + run.overflows
    yield KeyFigure(
        grouped(run.steps),
        "steps made",
        f"{grouped(skipped)} skipped ({share(skipped, skipped + run.steps)})",
    )
    yield KeyFigure(short(run.parameters), "parameters", f"{grouped(run.parameters)} exactly")
    speeds = sorted(step.windows_per_s for step in source.steps if step.windows_per_s)
    if speeds:
        yield KeyFigure(short(speeds[len(speeds) // 2]), "windows / s", "median of the steps")
    memory = [step.memory_gb for step in source.steps if step.memory_gb is not None]
    if memory:
        yield KeyFigure(f"{max(memory):.2f} GB", "peak memory", "of the device, or the process")


def _findings(source: RunSource) -> Iterator[str]:
    run, planned = source.run, source.run.settings.training.epochs
    if run.epochs < planned:
        yield f"The run is not finished: {run.epochs} of {counted(planned, 'epoch')} are over."
    if resumed := resumed_at(source):
        yield f"It went on {counted(len(resumed), 'time')} after it was stopped or killed."
    if run.bad_steps:
        yield (
            f"{counted(run.bad_steps, 'step')} changed nothing, because a loss or gradient was not a "
            "number; they are listed under Skipped steps."
        )
    made = [step for step in source.steps if step.outcome == "made"]
    lost = sum(step.loss is None for step in made)
    if lost:
        yield f"{counted(lost, 'step')} made have no loss in the log."
    if source.epochs and not any(epoch.score is not None for epoch in source.epochs):
        yield f"No epoch was scored: the score is {source.epochs[-1].score_of or 'not logged'}."
    if source.shown is None:
        yield what_to_evaluate([run])
        return
    shown = source.shown
    if shown.checkpoint is None:
        yield (
            f"The scores of {shown.file.name} are of weights that the folder no longer holds: the run "
            "went on since, or its checkpoints were taken away."
        )
    if shown.cache != run.cache:
        yield "The scores are from a cache of other settings than the one it was trained on."
    if shown.result.details is None:
        yield (
            f"{shown.file.name} has no details, it is of an earlier version: evaluate again for "
            "intervals, errors and curves."
        )
    elif len(shown.result.details.recordings) < FEW_RECORDINGS:
        count = len(shown.result.details.recordings)
        yield (
            f"The scores are of {counted(count, 'recording')}: with fewer than {FEW_RECORDINGS} they "
            "and their intervals say little about others."
        )
    unlabelled = [row.name for row in shown.result.rows if not row.labels and row.name != "all"]
    if unlabelled:
        yield f"Without a label in what was scored: {listed(unlabelled)}."


def _evaluations_section(source: RunSource) -> Section | None:
    if len(source.run.evaluations) < 2:
        return None
    section = Section("evaluations", "Evaluations")
    rows = []
    for one in source.run.evaluations:
        (overall,) = [row for row in one.result.rows if row.name == "all"]
        rows.append(
            (
                one.file.name,
                one.checkpoint or "no longer there",
                one.result.protocol.name,
                one.split,
                grouped(overall.labels),
                figure(overall.map50),
                figure(overall.map50_95),
            )
        )
    shown = source.shown.file.name if source.shown else ""
    section.tables.append(
        Table(
            f"All evaluations of this run; what follows is of {shown}.",
            ("file", "checkpoint", "protocol", "split", "labels", "mAP@0.5", "mAP@0.5:0.95"),
            rows,
            text=4,
        )
    )
    return section


def _score_sections(shown: Evaluation | None) -> list[Section]:
    if shown is None:
        return []
    details = shown.result.details
    if details is None:
        return [score_section(shown.result)]
    return [
        score_section(shown.result),
        error_section(details),
        size_section(details),
        recording_section(details),
    ]


def _pictures_section(source: RunSource, worst: Path) -> Section | None:
    galleries = []
    details = source.shown.result.details if source.shown else None
    figures: Sequence[Figure] = worst_window_figures(
        picture_files(worst), details.worst if details else ()
    )
    key = "Labels are dashed and white, detections in the colour of their class with their score."
    if figures:
        galleries.append(
            Gallery("The worst windows of the evaluation", key, list(figures), wide=True)
        )
    validation = picture_files(source.run.folder / PICTURES_NAME)
    if validation:
        told = [embedded(file) for file in validation]
        galleries.append(Gallery("Windows of val at the last validation", key, told, wide=True))
    return Section("pictures", "Pictures", galleries=galleries) if galleries else None
