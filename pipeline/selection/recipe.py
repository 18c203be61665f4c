"""Recipes: how a subset is chosen, as a small YAML file that people exchange.

Two people with the same release and the same recipe get the same subset. A recipe may state the
digests of the manifest it was written for and of what it chooses; then a difference is told, not kept.
`data_manifests/README.md` documents every key.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.errors import DataError, SettingsError, UsageError
from pipeline.files.documents import LARGEST_SETTINGS, MalformedError, parse_yaml
from pipeline.files.inputs import read_regular
from pipeline.selection.manifest import Manifest
from pipeline.selection.request import checked_target, split_sizes
from pipeline.selection.strategy import Strategy
from pipeline.selection.subset import Subset, choose_subset, parse_size
from pipeline.settings import StrictSettings, load_settings

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Patterns = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=1000)
]


class Recipe(StrictSettings):
    """What a recipe file says.

    Attributes:
        format: Always ``dmanet-subset``.
        version: Of this schema.
        strategy: A :class:`pipeline.selection.strategy.Strategy`'s name.
        seed: Of the draw.
        budget: Bytes at most, such as ``40GB``, in all or by split.
        target: For ``target``, shares by class name.
        classes: Names of the classes to choose for.
        exclude_classes: Names of classes to choose without.
        include: Patterns of the ids to choose from.
        exclude: Patterns of ids to choose without.
        source_digest: Digest of the manifest that the recipe is for.
        recordings_digest: What :func:`recordings_digest` gives for the choice.
    """

    format: Literal["dmanet-subset"]
    version: Literal[1]
    strategy: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    budget: str | dict[str, str]
    target: dict[str, float] | None = None
    classes: list[str] | None = None
    exclude_classes: list[str] | None = None
    include: _Patterns | None = None
    exclude: _Patterns | None = None
    source_digest: _Digest | None = None
    recordings_digest: _Digest | None = None


def read_recipe(path: Path) -> Recipe:
    """Read the recipe at ``path``.

    Raises:
        UsageError: It is no regular file, or too large for a recipe.
        SettingsError: It is no YAML, lacks a key or has one that is not known, or a value is wrong.
        OSError: It cannot be read.
    """
    try:
        content = parse_yaml(read_regular(path, LARGEST_SETTINGS).decode())
    except (MalformedError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not a recipe, {error}.") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: is not a recipe, it has no keys with values.")
    recipe = load_settings(Recipe, content, str(path))
    if recipe.strategy not in list(Strategy):
        raise SettingsError(
            f"{path}: strategy: '{recipe.strategy}' is none of {', '.join(Strategy)}."
        )
    try:
        _budget(recipe.budget)
        if recipe.target is not None:
            checked_target(recipe.target)
    except UsageError as error:
        raise SettingsError(f"{path}: {error}") from None
    return recipe


def choose_by_recipe(manifest: Manifest, recipe: Recipe, **more: Any) -> Subset:
    """The subset that a recipe gives.

    Args:
        manifest: The recordings to choose from.
        recipe: How.
        more: Further arguments of :func:`pipeline.selection.subset.choose_subset`.

    Raises:
        UsageError: The recipe asks for what the manifest does not have.
        DataError: The manifest, or the choice, is another than the recipe states.
    """
    if recipe.source_digest not in (None, manifest.digest):
        raise DataError(
            f"the recipe is for the manifest of digest {recipe.source_digest}, and this one's is "
            f"{manifest.digest}; compare them with 'dmanet-data manifest diff'."
        )
    chosen = choose_subset(
        manifest,
        _budget(recipe.budget),
        recipe.strategy,
        target=recipe.target,
        classes=recipe.classes,
        exclude_classes=recipe.exclude_classes,
        include=recipe.include or (),
        exclude=recipe.exclude or (),
        seed=recipe.seed,
        **more,
    )
    found = recordings_digest(chosen.manifest)
    if recipe.recordings_digest not in (None, found):
        raise DataError(
            f"the recipe states another choice, of digest {recipe.recordings_digest}, than this "
            f"machine's, of digest {found}; the solver's version may be another, so take the manifest "
            "itself from whoever wrote the recipe."
        )
    return chosen


def recordings_digest(manifest: Manifest) -> str:
    """SHA-256 over the ids of a manifest's recordings, a line each: the same choice, the same digest."""
    lines = "".join(f"{row.id}\n" for row in manifest.recordings)
    return hashlib.sha256(lines.encode()).hexdigest()


def _budget(budget: str | Mapping[str, str]) -> int | dict[str, int]:
    if isinstance(budget, str):
        return parse_size(budget)
    return split_sizes({split: parse_size(text) for split, text in budget.items()})
