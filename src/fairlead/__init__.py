"""Fairlead takes one YAML file from data to a judged and registered model.

import fairlead
outcome = fairlead.run("boston.yaml")
outcome.best.params, outcome.trials.to_frame()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.version import VERSION

if TYPE_CHECKING:
    from fairlead.notebook import run

__all__ = ["__version__", "run"]
__version__ = VERSION


def __dir__() -> list[str]:
    """What is offered, `run` among it before it is imported."""
    return list(__all__)


def __getattr__(name: str) -> Any:
    """Import `run` when it is asked for: the command line must not pay for it."""
    if name == "run":
        from fairlead.notebook import run

        return run
    raise AttributeError(f"module 'fairlead' has no attribute {name!r}")
