"""A user's own logger: a callable that settings name, given a run's numbers as they come.

Only training imports it. A checkpoint's settings hold the name as text, and reading them runs nothing.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from pipeline.errors import SettingsError

#: What a logger is called with: the step, numbers by their names in TensorBoard, pictures' paths.
Logger = Callable[[int, Mapping[str, float], Mapping[str, Path]], object]


def import_logger(name: str) -> Logger:
    """The callable at ``module:function``; importing it runs that module's code.

    Raises:
        SettingsError: it cannot be imported, or it cannot be called.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SettingsError(
            f"training.logger: {name} cannot be imported ({what}); name a module that Python finds (as "
            "by PYTHONPATH=.) and a function in it, or leave it out."
        ) from None
    if not callable(found):
        raise SettingsError(
            f"training.logger: {name} is no function but a {type(found).__name__}; name one."
        )
    logger: Logger = found
    return logger


class GuardedLogger:
    """Calls a logger until it fails: whatever it raises is told once, and the run goes on."""

    def __init__(self, name: str, logger: Logger, on_note: Callable[[str], None]) -> None:
        """Call ``logger``, which is called ``name`` in the sentence that ``on_note`` gets."""
        self._name, self._on_note = name, on_note
        self._logger: Logger | None = logger

    def __call__(
        self, step: int, values: Mapping[str, float], pictures: Mapping[str, Path]
    ) -> None:
        """Give it copies of what happened at a step."""
        if self._logger is None:
            return
        try:
            self._logger(step, dict(values), dict(pictures))
        except Exception as error:
            self._logger = None
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._on_note(
                f"training.logger: {self._name} failed at step {step} ({what}) and is not called again; "
                "the run goes on without it."
            )
