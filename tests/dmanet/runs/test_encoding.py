"""By which settings recordings become a network's input, and what is said where nobody knows."""

from dataclasses import replace
from pathlib import Path

import pytest

from dmanet.runs.claims import Claims
from dmanet.runs.encoding import check_encoding, encoding_of
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CheckpointError, UsageError
from tests.dmanet.caches import small_run

FILE = Path("last.pt")


@pytest.fixture
def claims(cache) -> Claims:
    fingerprint = cache.attributes["fingerprint"]
    return Claims(small_run().model, ("car",), cache.settings, fingerprint)


def test_what_the_file_remembers_is_taken(cache, claims):
    assert encoding_of(claims, FILE, None) == cache.settings
    assert encoding_of(claims, FILE, cache) == cache.settings


def test_an_earlier_file_takes_the_cache_of_its_fingerprint_alone(cache, paper_cache, claims):
    earlier = replace(claims, cache_settings=None)
    with pytest.raises(UsageError, match=r"last\.pt: does not remember .*--encoding CACHE"):
        encoding_of(earlier, FILE, None)
    assert encoding_of(earlier, FILE, cache) == cache.settings
    with pytest.raises(CheckpointError, match="a cache of other settings than"):
        encoding_of(earlier, FILE, paper_cache)


def test_imported_weights_take_any_cache(paper_cache, claims):
    imported = replace(claims, cache_settings=None, fingerprint=None)
    assert encoding_of(imported, FILE, paper_cache) == paper_cache.settings


def test_a_cache_of_other_pillars_is_refused_by_the_settings_that_differ(
    cache, paper_cache, claims
):
    with pytest.raises(
        CheckpointError, match=r"preset = release and time_cells = 1, and .* has paper"
    ):
        encoding_of(claims, FILE, paper_cache)
    check_encoding(claims, FILE, cache)


def test_label_rules_are_no_matter_of_the_input(cache, claims):
    same_pillars = CacheSettings(**{**dict(cache.settings), "min_side": 3.0})
    check_encoding(replace(claims, cache_settings=same_pillars), FILE, cache)
