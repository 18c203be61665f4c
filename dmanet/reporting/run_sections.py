"""The sections of a run's page that its training fills."""

from collections.abc import Iterator
from typing import Any

from dmanet.reporting.results import flat_settings
from dmanet.reporting.run_charts import over_steps, scores_of_epochs
from dmanet.reporting.run_source import LoggedStep, RunSource
from dmanet.runs.digests import content_digest
from pipeline.report.elements import Figure, Section, Table
from pipeline.text import counted, grouped, listed

_MOST_SKIPPED = 50  # lines of the table
_ABSENT = "–"


def training_section(source: RunSource) -> Section:
    """Curves over the steps, and the epochs."""
    section = Section("training", "Training")
    if not source.steps:
        section.text.append("No step is made yet.")
        return section
    made = [step for step in source.steps if step.outcome == "made"]
    resumed = resumed_at(source)
    if resumed:
        section.text.append(
            f"The run went on at step {listed([grouped(step) for step in resumed])}, where a dotted "
            "line stands."
        )
    section.figures.extend(_curves(source, made, resumed))
    epochs = [
        (
            str(epoch.epoch + 1),
            grouped(epoch.step),
            figure(epoch.loss),
            figure(epoch.score),
            "yes" if epoch.best else "",
        )
        for epoch in source.epochs
    ]
    if epochs:
        section.tables.append(
            Table(
                f"Epochs. The score is {source.epochs[-1].score_of or 'not logged'}.",
                ("epoch", "steps so far", "mean loss", "score", "best so far"),
                epochs,
            )
        )
    return section


def _curves(
    source: RunSource, made: list[LoggedStep], resumed: tuple[int, ...]
) -> Iterator[Figure]:
    steps = [step.step for step in made]
    of = f"over {counted(len(steps), 'step')}"
    terms = {
        "loss": [step.loss for step in made],
        "classification": [step.classification for step in made],
        "regression": [step.regression for step in made],
    }
    terms = {name: values for name, values in terms.items() if any(v is not None for v in values)}
    yield Figure(
        over_steps(terms, steps, "loss", f"Loss and its terms {of}", resumed=resumed),
        "Loss",
        "What was minimised and its terms: means of neighbouring steps, within their range.",
    )
    scored = [epoch for epoch in source.epochs if epoch.score is not None]
    if scored:
        values = [epoch.score or 0.0 for epoch in scored]
        if min(values) >= 0:
            best = max(scored, key=lambda epoch: epoch.score or 0.0)
            yield Figure(
                scores_of_epochs(
                    [epoch.step for epoch in scored],
                    values,
                    [epoch.best for epoch in scored],
                    "score on val",
                    f"Score of {counted(len(scored), 'epoch')}, the best {figure(best.score)}",
                ),
                "Validation",
                f"{scored[-1].score_of}; the best, {figure(best.score)}, after epoch {best.epoch + 1}.",
            )
    for name, title, unit, caption, limit in (
        ("learning_rate", "Learning rate", "learning rate", "Of each step.", None),
        (
            "gradient_norm",
            "Gradient",
            "norm",
            "Norm of all gradients together, before it is cut to training.gradient_clip.",
            source.run.settings.training.gradient_clip,
        ),
        (
            "windows_per_s",
            "Speed",
            "windows / s",
            "Windows of 50 ms, with the wait for data.",
            None,
        ),
    ):
        values_of = [getattr(step, name) for step in made]
        if any(value is not None for value in values_of):
            yield Figure(
                over_steps(
                    {title.lower(): values_of},
                    steps,
                    unit,
                    f"{title} {of}",
                    limit=limit,
                    logarithmic=name == "gradient_norm",
                    resumed=resumed,
                ),
                title,
                caption,
            )


def resumed_at(source: RunSource) -> tuple[int, ...]:
    """Steps at which the run went on, ascending."""
    return tuple(sorted({session.step for session in source.sessions[1:]}))


def skipped_section(source: RunSource) -> Section | None:
    """Steps that changed nothing, each with what was lost and where; None without any."""
    skipped = [step for step in source.steps if step.outcome != "made"]
    if not skipped:
        return None
    section = Section("skipped", "Skipped steps")
    overflows = sum(step.outcome == "overflow" for step in skipped)
    section.text.append(
        f"{counted(len(skipped), 'step')} of {grouped(len(source.steps))} changed nothing: "
        f"{len(skipped) - overflows} whose loss or gradient was not a number, and {overflows} that "
        "lowered the loss scale of float16."
    )
    rows = [
        (
            grouped(step.step),
            _ABSENT if step.epoch is None else str(step.epoch + 1),
            step.outcome,
            *_lost(step),
        )
        for step in skipped[:_MOST_SKIPPED]
    ]
    shown = "" if len(skipped) <= _MOST_SKIPPED else f" The first {_MOST_SKIPPED} are listed."
    section.tables.append(
        Table(
            f"Where numbers were lost.{shown}",
            ("step", "epoch", "what", "loss terms", "gradient norms", "windows"),
            rows,
            text=6,
        )
    )
    return section


def _lost(step: LoggedStep) -> tuple[str, str, str]:
    if step.bad_step is None:
        return _ABSENT, _ABSENT, _ABSENT
    lost = step.bad_step
    return (
        _listed_numbers(lost.terms),
        _listed_numbers(lost.gradient_norms),
        ", ".join(lost.windows) or _ABSENT,
    )


def _listed_numbers(values: dict[str, float | str]) -> str:
    told = [f"{k} {v if isinstance(v, str) else format(v, '.3g')}" for k, v in values.items()]
    return ", ".join(told) or _ABSENT


def settings_section(source: RunSource) -> Section:
    """Every setting, as resolved."""
    section = Section("settings", "Settings")
    for name in type(source.run.settings).model_fields:
        group = getattr(source.run.settings, name)
        rows = [(key, _plain(value)) for key, value in flat_settings(group)]
        section.tables.append(Table(f"{name}.", ("key", "value"), rows, text=2))
    return section


def origin_section(source: RunSource) -> Section:
    """What the run was made from and on: data and machines."""
    run = source.run
    section = Section("origin", "Data and environment")
    splits = [key.split("/")[0] for key in run.recordings]
    by_split = [f"{splits.count(name)} {name}" for name in dict.fromkeys(splits)]
    rows = [
        ("cache settings", run.cache, "fingerprint that caches of the same settings share"),
        (
            "recordings",
            content_digest(run.recordings)[:16],
            f"digest over those of {counted(len(run.recordings), 'recording')} ({listed(by_split)})"
            if by_split
            else "none",
        ),
    ]
    for evaluation in run.evaluations:
        if evaluation.checkpoint is not None:
            rows.append((evaluation.checkpoint, evaluation.weights, "its weights, as evaluated"))
    section.tables.append(
        Table("Fingerprints of the data and of the weights.", ("what", "value", "of"), rows, text=3)
    )
    if not source.sessions:
        section.text.append("This run was made before runs kept what they were made on.")
        return section
    section.tables.append(
        Table(
            "Each time the program began.",
            ("began (UTC)", "step", "device", "precision", "threads", "processes", "software"),
            [
                (
                    one.began.removesuffix("+00:00").replace("T", " "),
                    grouped(one.step),
                    one.device,
                    one.precision,
                    str(one.threads),
                    str(one.processes),
                    f"Python {one.python}, torch {one.torch}, {one.system}",
                )
                for one in source.sessions
            ],
            text=7,
        )
    )
    return section


def figure(value: float | None) -> str:
    """A number in three decimals; a dash where there is none."""
    return _ABSENT if value is None else f"{value:.3f}"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value)) or _ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or _ABSENT
