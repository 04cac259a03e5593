"""The two stores that everything is kept in: the ledger and the artefacts, each named by a URL.

Whoever needs them gets the settings and opens them here; which database or server a URL stands for
is known to the packages of the two alone. A process gets the URLs, never a folder that they are
in.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fairlead.artifacts import Artifacts
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Both stores, opened. A context manager that closes them."""

    ledger: Ledger
    artifacts: Artifacts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ledger.__exit__(kind, error, traceback)


def open_stores(settings: Settings) -> Stores:
    """Open both stores, creating the ledger where there is none.

    Raises:
        Invalid: A URL names no store, or one that lacks a package.
        Corrupt: The ledger has been emptied.
        Unreachable: The artefact store's server did not answer.
    """
    artifacts = open_artifacts(settings)
    return Stores(
        ledger=open_ledger(settings.ledger_url, setting=settings.ledger_setting),
        artifacts=artifacts,
    )


def open_artifacts(settings: Settings) -> Artifacts:
    """Open the artefact store alone. Raises as `open_stores` does."""
    return Artifacts(settings.artifacts_url, cache=settings.artifacts_cache)
