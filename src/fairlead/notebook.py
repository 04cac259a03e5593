"""`fairlead.run`: a run from a notebook or a script; it does what the command of that name does."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

from fairlead.errors import Invalid
from fairlead.settings import from_environment
from fairlead.study.outcome import RunOutcome


def run(  # noqa: PLR0913 - each is an option of the command of the same name
    spec: str | os.PathLike[str],
    *,
    workers: int | None = None,
    sets: Sequence[str] = (),
    fresh: bool = False,
    home: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> RunOutcome:
    """Take a spec from its data to a judged and registered version.

    Args:
        spec: Path of the YAML file.
        workers: Number of local workers, at least 1; None for one per core, at most one per trial.
        sets: Overrides, such as ["search.trials=20"].
        fresh: Search again, even if this study is finished.
        home: Folder of all state; $FAIRLEAD_HOME, or .fairlead, if None.
        quiet: Show no progress.

    Returns:
        What came of it: `outcome.best`, `outcome.trials.to_frame()`, `outcome.version`,
        `outcome.promoted`, `outcome.verdict`.

    Raises:
        Invalid: An argument, the spec or the data cannot be used; nothing was written.
        Failed: No trial succeeded, or the model failed a check that it had to pass.
    """
    from fairlead.cli.progress import watching
    from fairlead.control.runs import run as run_spec
    from fairlead.spec.load import load
    from fairlead.worker import forkserver

    path, overrides, count = _path("spec", spec), _overrides(sets), _count(workers)
    folder = None if home is None else _path("home", home)
    settings = from_environment(os.environ, home=folder)
    loaded = load(path, sets=overrides)
    with forkserver.started(settings.home) as server, watching(quiet=quiet) as watch:
        return run_spec(
            loaded, settings, workers=count, fresh=fresh, watch=watch, forkserver=server
        )


def _path(name: str, value: object) -> Path:
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise Invalid(f"{name} must be a path, as text that is not empty, not {_shown(value)}")
    return Path(path)


def _overrides(value: object) -> tuple[str, ...]:
    """The texts of a list; a text alone is a sequence of texts, too, but a mistake."""
    if isinstance(value, str):
        raise Invalid(f"sets must be a list of texts: put it into one, as [{_shown(value)}]")
    if not isinstance(value, (list, tuple)):
        raise Invalid(f'sets must be a list such as ["search.trials=20"], not {_shown(value)}')
    for index, text in enumerate(value):
        if not isinstance(text, str):
            raise Invalid(
                f'sets[{index}] must be a text such as "search.trials=20", not {_shown(text)}'
            )
    return tuple(value)


def _count(value: object) -> int | None:
    """The number of workers; NumPy's whole numbers are accepted, a bool is not."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        rule = "workers must be a whole number of at least 1, or None for one a core"
        raise Invalid(f"{rule}, not {_shown(value)}")
    return int(value)


def _shown(value: object) -> str:
    """The value on one line, shortened."""
    return " ".join(reprlib.repr(value).split())
