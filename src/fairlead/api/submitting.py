"""A spec of a client, planned and submitted in a process of its own.

    python -m fairlead.api.submitting FD FOLDER

Reading its data may take memory and time, and checking its families runs its code: none of that
happens in the server. The order comes on stdin, which stays open for as long as the server waits;
the answer goes to the descriptor FD, whatever is printed meanwhile. FOLDER is where the client's
files are laid out: the server removes it, or this where the server has died. Where the client asks
under an Idempotency-Key, the answer is kept in the transaction that opens the run, by this process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from fairlead.api.pages import encoded
from fairlead.api.problems import problem_of
from fairlead.control import clients, retraining, submitted
from fairlead.control.clients import SPEC, ClientSettings
from fairlead.control.retraining import Retraining
from fairlead.errors import FairleadError
from fairlead.ledger.requests import AnsweredMeanwhile
from fairlead.ledger.store import requests_of
from fairlead.records import Answer, Request, Run
from fairlead.settings import Settings
from fairlead.spec.document import parse_canonical
from fairlead.stores import Stores, open_stores
from fairlead.study.progress import Silent


class Order(msgspec.Struct, kw_only=True, frozen=True):
    """What a client asks for: a spec to submit, or a model to train again.

    Args:
        settings: The installation's.
        spec: The document; empty where a model is trained again.
        model: Whose champion is trained again; empty for a spec.
        source: Where its data is, where that is another.
        files: Digests of the client's files, by the names that the spec has for them.
        fresh: Search again even where this study is finished.
        deploy: Whether a version that becomes champion is deployed.
        priority: Of its tasks.
        request: Under whose key it is asked for; None without a key.
    """

    settings: Settings
    spec: str = ""
    model: str = ""
    source: str | None = None
    files: dict[str, str] = {}
    fresh: bool = False
    deploy: bool = False
    priority: int | None = None
    request: Request | None = None


class Reply(msgspec.Struct, kw_only=True, frozen=True):
    """What came of it: an answer of HTTP, or that another process has answered the request."""

    status: int = 0
    body: bytes = b""
    media_type: str = ""
    location: str = ""
    is_answered_elsewhere: bool = False


def carried_out(order: Order) -> Reply:
    """Submit what the order asks for; the current folder is its own."""
    settings = ClientSettings.of(order.settings)
    try:
        with open_stores(settings) as stores:
            clients.refuse_names(order.files, stores.artifacts)
            clients.lay_out(order.files, stores.artifacts, Path())
            submit = _again if order.model else _new
            before = stores.ledger.now()
            with _kept(order, stores, before):
                run = submit(order, settings, stores)
    except AnsweredMeanwhile:
        return Reply(is_answered_elsewhere=True)
    except FairleadError as error:
        return _refusal(problem_of(error))
    answer = _answer(run, before)
    return Reply(
        status=answer.status,
        body=answer.body,
        media_type=answer.media_type,
        location=answer.location,
    )


@contextlib.contextmanager
def _kept(order: Order, stores: Stores, before: float) -> Iterator[None]:
    """Have the run that is opened kept as the answer to the request, where it has a key."""
    if order.request is None:
        yield
        return
    with requests_of(stores.ledger).once(order.request) as opened:
        opened.answer_with(lambda value: _answer(value, before) if isinstance(value, Run) else None)
        yield


def _new(order: Order, settings: Settings, _: Stores) -> Run:
    from fairlead.spec.load import load

    Path(SPEC).write_text(order.spec, encoding="utf-8")
    loaded = load(Path(SPEC))
    with loaded.located():
        clients.refuse_paths(loaded.spec, order.files)
    return submitted.submit(
        loaded,
        settings,
        fresh=order.fresh,
        deploy=order.deploy,
        priority=order.priority,
        watch=Silent(),
    )


def _again(order: Order, settings: Settings, stores: Stores) -> Run:
    study = retraining.champions_study(stores, order.model)
    source = order.source or parse_canonical(study.spec).data.source
    clients.refuse_source(source, order.files)
    asked = Retraining(model=order.model, source=source, base=Path(), deploy=order.deploy)
    return retraining.retrain(asked, settings, Silent())


def _answer(run: Run, before: float) -> Answer:
    """201 where the run is new, 200 where one of this study and spec goes on."""
    status = HTTPStatus.CREATED if run.began >= before else HTTPStatus.OK
    return Answer(body=encoded(run), status=status, location=f"/api/v1/runs/{run.id}")


def _refusal(response: Response) -> Reply:
    return Reply(
        status=response.status_code,
        body=bytes(response.body),
        media_type=str(response.media_type),
    )


def _end_with_server(folder: str) -> None:
    """The server closes its end when it waits no longer, and when it dies."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Read the order, carry it out, and write the reply."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order, dec_hook=_path)
    descriptor, folder = arguments
    threading.Thread(target=_end_with_server, args=(folder,), daemon=True).start()
    os.chdir(folder)
    reply = carried_out(order)
    with os.fdopen(int(descriptor), "wb") as answers:
        answers.write(msgspec.json.encode(reply) + b"\n")
    os._exit(0)  # threads of the client's code are not waited for


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).absolute()  # the current folder becomes another
    raise NotImplementedError(kind)


if __name__ == "__main__":
    main(sys.argv[1:])
