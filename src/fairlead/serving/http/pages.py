"""The routes that do not predict: health, metadata, metrics, OpenAPI and its page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.records import Signature
from fairlead.serving.engine.engine import Engine, ServedModel
from fairlead.serving.http.response import Answer, Headers, of_document
from fairlead.serving.plan import Confirmed
from fairlead.serving.protocol.documents import Live, Ready
from fairlead.serving.protocol.infer import model_metadata, server_metadata
from fairlead.serving.request import Kind, Target
from fairlead.serving.routing import known, lacking, main, pinned, routed, versions
from fairlead.version import VERSION

if TYPE_CHECKING:
    from jinja2 import Template

LOADING = "its models are being loaded"
_BEGINNING = "not every serving process answers for it yet; try again soon"
_PROMETHEUS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(kw_only=True)
class Readiness:
    """How the process is; whoever knows it changes it."""

    lacking: str = LOADING  # why it is not ready; empty: it is


class Pages:
    """Answers what is only read.

    Args:
        engine: What is served.
        health: How the process is.
        figures: The page for Prometheus.
    """

    def __init__(
        self, engine: Engine, health: Readiness, figures: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._engine = engine
        self._health = health
        self._figures = figures
        self._kinds: Mapping[Kind, Callable[[Target], Answer]] = {
            "home": lambda _: of_document(self._home()),
            "server": lambda _: of_document(server_metadata()),
            "live": lambda _: of_document(Live(live=True)),
            "ready": lambda _: self._ready(),
            "model": self._model,
            "model ready": self._model_ready,
            "openapi": lambda _: of_document(self._document()),
            "docs": lambda _: self._docs(),
        }

    async def answer(self, target: Target) -> Answer:
        """The page.

        Raises:
            NotFound: It is of a model or a version that is not here.
            Unreachable: It is the supervisor's, which does not answer.
            NotLoaded: It is of one that cannot be served now.
            OutOfService: It is of a model that nobody is to answer for.
        """
        if target.kind == "metrics":
            return Answer(headers=(_PROMETHEUS,), body=await self._figures())
        return self._kinds[target.kind](target)

    def _home(self) -> dict[str, object]:
        models = {
            model: {
                "route": live.split.route,
                "traffic": dict(live.split.traffic),
                "ready": self._answers(live),
            }
            for model, live in self._engine.table.items()
        }
        return {"name": "fairlead", "version": VERSION, "models": models, "docs": "/docs"}

    def _ready(self) -> Answer:
        lacking = self._health.lacking or ("" if self._is_loaded() else LOADING)
        return _readiness(ready=not lacking, why=lacking)

    def _is_loaded(self) -> bool:
        """Whether something that has traffic was loaded here, if anything is to be."""
        table = [live for live in self._engine.table.values() if not live.split.out]
        return not table or any(served.loadable for live in table for served in routed(live))

    def _model(self, target: Target) -> Answer:
        live = known(self._engine.table, target.model)
        served = live.served(pinned(live, target.version)) if target.version else main(live)
        return of_document(model_metadata(target.model, versions(live), served.held.signature))

    def _model_ready(self, target: Target) -> Answer:
        live = known(self._engine.table, target.model)
        if target.version:
            ready, why = self._answers_with(live, pinned(live, target.version)), ""
        else:
            ready, why = self._answers(live), lacking(live)
        why = "" if ready else why or _BEGINNING
        return _readiness(ready=ready, why=why, name=target.model)

    def _answers(self, live: ServedModel) -> bool:
        """Whether every process answers; what is unloaded would, once it has loaded again."""
        confirmed = self._confirmed(live).traffic and not lacking(live)
        return confirmed and all(served.loadable for served in routed(live))

    def _answers_with(self, live: ServedModel, revision: str) -> bool:
        """Whether every process answers requests that name this revision."""
        loadable = live.served(revision).loadable
        return loadable and revision in self._confirmed(live).revisions

    def _confirmed(self, live: ServedModel) -> Confirmed:
        return self._engine.confirmed.get(live.split.model, Confirmed())

    def _document(self) -> dict[str, Any]:
        from fairlead.serving.protocol.openapi import document

        return document(self._signatures())

    def _signatures(self) -> dict[str, Signature]:
        table = self._engine.table
        return {
            model: main(live).held.signature
            for model, live in table.items()
            if live.revisions and not live.split.out
        }

    def _docs(self) -> Answer:
        return Answer(headers=_DOCS_HEADERS, body=_docs_page(self._document()))


def _readiness(*, ready: bool, why: str, name: str | UnsetType = UNSET) -> Answer:
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return of_document(Ready(ready=ready, name=name, why=why or UNSET), status=status)


# ---- the documentation -------------------------------------------------------------------------

_DOCS_HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
)


def _docs_page(document: Mapping[str, Any]) -> bytes:
    """The OpenAPI document as a page that needs nothing from anywhere else."""
    return _docs_template().render(document).encode()


@cache
def _docs_template() -> Template:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("fairlead.serving.http", "."), autoescape=True)
    environment.filters |= {
        "named_examples": _named_examples,
        "pretty": lambda value: msgspec.json.format(msgspec.json.encode(value)).decode(),
        "resolved": _resolved,
    }
    return environment.get_template("docs.html.j2")


def _named_examples(media: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each with what follows the media type's name."""
    for name, one in media.get("examples", {}).items():
        if "value" in one:
            yield f", {name}", one["value"]
    if "example" in media:
        yield "", media["example"]


def _resolved(written: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is written there, or what it refers to by the last part of a `$ref`."""
    found: Mapping[str, Any] = (
        named[written["$ref"].rpartition("/")[2]] if "$ref" in written else written
    )
    return found
