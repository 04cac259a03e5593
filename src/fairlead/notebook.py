"""Fairlead from a notebook or a script.

Belongs here: `fairlead.run`, in the words of Python rather than of the command line. Does not:
anything that the command line does not do as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fairlead.settings import from_environment
from fairlead.study.outcome import Outcome


def run(  # noqa: PLR0913 - each is an option of the command of the same name
    spec: str | os.PathLike[str],
    *,
    workers: int | None = None,
    sets: Sequence[str] = (),
    fresh: bool = False,
    home: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> Outcome:
    """Take a spec from its data to a judged and registered version.

    Args:
        spec: Path of the YAML file.
        workers: Number of local workers; None for one a core, no more than trials.
        sets: Overrides, such as "search.trials=20".
        fresh: Search again, even if this study is finished.
        home: Folder of all state; $FAIRLEAD_HOME, or .fairlead, if None.
        quiet: Show no progress.

    Returns:
        What came of it: `outcome.best`, `outcome.trials.to_frame()`, `outcome.version`,
        `outcome.promoted`, `outcome.verdict`.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Failed: No trial succeeded, or the model failed a check that it had to pass.
    """
    from fairlead.cli.progress import watching
    from fairlead.registry.mlflow import start_mirror
    from fairlead.spec.load import load
    from fairlead.study.job import Order
    from fairlead.study.job import run as run_job

    settings = from_environment(os.environ, home=None if home is None else Path(home))
    loaded = load(Path(spec), sets=sets)
    order = Order(spec=loaded.spec, base=loaded.base, workers=workers, fresh=fresh)
    with loaded.located(), watching(quiet=quiet) as watch:
        outcome = run_job(order, settings, watch)
    start_mirror(settings)
    return outcome
