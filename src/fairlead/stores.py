"""The two stores that everything is kept in: the ledger and the artefacts, each named by a URL.

Whoever needs them gets the settings and opens them here; which database or server a URL stands for
is known to the packages of the two alone. A process gets the URLs, never a folder that they are
in. The queue that tells workers of tasks is named by a URL, too, and may be none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fairlead.artifacts import Artifacts
from fairlead.errors import Invalid, Unreachable
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.queue.interface import Hint, Queue
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


# ---- the queue ------------------------------------------------------------------------------

_NO_QUEUE = "none"


def open_queue(
    settings: Settings, *, notice: Callable[[str], None], study: str = ""
) -> Queue | None:
    """Open what tells idle workers of tasks; None where there is nothing, and they look.

    Args:
        settings: Name it.
        notice: Is told, in a line, when its server is lost and when it is back.
        study: Id of the study whose hints alone are heard; those of every study if empty.

    Raises:
        Invalid: The URL names no queue, or one that lacks a package.
    """
    url = settings.queue or settings.ledger_url
    if _is_rabbitmq(url):
        from fairlead.queue import rabbitmq

        return rabbitmq.open_queue(url, notice=notice, study=study)
    if url.startswith(("postgresql://", "postgres://")):
        from fairlead.queue import postgres

        return postgres.open_queue(url, notice=notice, study=study)
    if settings.queue not in {"", _NO_QUEUE}:
        raise Invalid(
            f"$FAIRLEAD_QUEUE: it must be a URL like amqp://USER@HOST, or {_NO_QUEUE!r}, and not "
            f"one that begins with {url.partition(':')[0][:20]!r}"
        )
    return None


@contextmanager
def hearing(settings: Settings, *, study: str) -> Iterator[Callable[[float], object] | None]:
    """Gives what waits for news of a study, so many seconds at most; None where nothing brings any.

    News are that a worker had no further task after its commit. They come over the connection that
    workers are told through by default: where another queue was chosen, or none, there are none.
    """
    if settings.queue or not settings.ledger_url.startswith(("postgresql://", "postgres://")):
        yield None
        return
    from fairlead.queue import postgres

    with closing(postgres.open_news(settings.ledger_url, study=study)) as news:
        yield news.next


@contextmanager
def announcing(
    settings: Settings, *, notice: Callable[[str], None], study: str
) -> Iterator[Callable[[int], None]]:
    """Gives what tells the workers of any study, and of this one, of so many ready tasks.

    A hint that does not get through is none: workers look by themselves, and are told again.
    """
    own = {study} if _is_rabbitmq(settings.queue) else set()  # there they have a queue of their own
    with ExitStack() as opened:
        queues = [
            opened.enter_context(closing(queue))
            for of in ("", *own)
            if (queue := open_queue(settings, notice=notice, study=of))
        ]

        def tell(ready: int) -> None:
            for queue in queues:
                with suppress(Unreachable):
                    queue.announce(Hint(study=study, ready=ready))

        yield tell


def _is_rabbitmq(url: str) -> bool:
    return url.startswith(("amqp://", "amqps://"))
