"""`docs/evaluation.md` names what a result holds, and its output is what the program prints."""

from dataclasses import fields
from pathlib import Path

from dmanet.evaluation.details import Details, Resampling
from dmanet.evaluation.error_kinds import KINDS
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.protocols import PROTOCOLS
from dmanet.evaluation.sizes import SIZE_RANGES
from dmanet.reporting.details_text import details_text
from tests.dmanet.evaluation.box_scenes import scenes
from tests.dmanet.evaluation.test_bootstrap import result_of

PAGE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()


def test_every_detail_protocol_kind_and_size_is_named():
    for name in (field.name for field in fields(Details)):
        assert f"`{name}`" in PAGE
    for name in PROTOCOLS:
        assert f"`{name}`" in PAGE
    for kind in KINDS:
        assert f"\n| {kind} |" in PAGE
    for size in SIZE_RANGES[1:]:
        assert f"\n  {size.name} " in PAGE


def test_the_example_has_the_headings_that_are_printed():
    result = result_of(scenes(6, recordings=12), "release", Examination(Resampling()))
    for line in details_text(result).splitlines():
        if not line.startswith(" ") and "Recordings:" not in line and "Calibration:" not in line:
            heading = line.split(" at score")[0]
            assert heading in PAGE, heading
