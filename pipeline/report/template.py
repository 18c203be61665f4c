"""The page every report shares: one HTML file that opens without a network and needs no script."""

from collections.abc import Sequence
from importlib.resources import files

import jinja2
from markupsafe import Markup

from pipeline.report.elements import KeyFigure, Section


def render_page(
    title: str,
    lead: str,
    key_figures: Sequence[KeyFigure],
    findings: Sequence[str],
    sections: Sequence[Section],
    *,
    findings_title: str,
) -> str:
    """A page's HTML; the same arguments give the same text.

    Args:
        title: heading and title.
        lead: a sentence under it.
        key_figures: the numbers to see first.
        findings: sentences to read before anything else.
        sections: in their order; their figures' SVG is taken as it is, all else is escaped.
        findings_title: what stands over the findings.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files("pipeline.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        lead=lead,
        key_figures=key_figures,
        findings=findings,
        findings_title=findings_title,
        sections=sections,
        markup=Markup,  # for the figures' SVG, which is ours
    )
