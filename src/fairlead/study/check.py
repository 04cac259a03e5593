"""Where the families of a plan are checked: in this process, or in one that may hang and crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fairlead.settings import Settings
from fairlead.study.plan import StudyPlan
from fairlead.training.check import check_families
from fairlead.worker.check import check_in_child


def check_apart(  # noqa: PLR0913 - each says another thing of where it is done
    plan: StudyPlan,
    settings: Settings,
    *,
    known: bool = False,
    always: bool = False,
    elsewhere: bool = False,
    forkserver: str | None = None,
) -> Sequence[str]:
    """Check a plan's families: in a process of its own where networks of the user's are built.

    Args:
        plan: The plan.
        settings: Say where the stores are.
        known: Whether a study of its identity shows that its networks can be built.
        always: Whether the families' code is to run in no process but its own.
        elsewhere: Whether networks of the user's are left out where TensorFlow is not installed.
        forkserver: The socket of a fork server that has the libraries loaded: it makes the process.

    Returns:
        Remarks.

    Raises:
        InvalidSpec: As `check_families`.
    """
    asked = replace(plan.to_check if known else plan.to_try_out, elsewhere=elsewhere)
    if always or forkserver is not None or (plan.has_builders and not known):
        return check_in_child(asked, settings, forkserver)
    return check_families(asked)
