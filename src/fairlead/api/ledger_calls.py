"""The ledger over HTTP: one route that carries out a method of one of its Protocols.

Who may call what stands in ledger_rights.py. Who asked is written into the history by the server,
from the token, whatever the call says.
"""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from fairlead.api import ledger_guard
from fairlead.api.access import Caller
from fairlead.api.once import opened
from fairlead.api.problems import MEDIA_TYPE, told
from fairlead.errors import FairleadError, Invalid, NotFound
from fairlead.ledger import wire
from fairlead.ledger.interface import Ledger, OpenRequest
from fairlead.records import Answer, Schedule
from fairlead.registry.mlflow import start_mirror
from fairlead.version import VERSION

_SAID = ("why", "reason")
"""What a person says of a change: of a record the field, of a call the argument."""
_SIGNED = {"versions/promote", "routes/change", "deployments/begin", "runs/cancel"}
"""The calls with such a word, which is kept in a history."""


_KEPT_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class LedgerCall:
    """A call as it arrived.

    Args:
        method: That is to be called.
        body: Its arguments.
        caller: Who calls.
    """

    method: wire.Method
    body: bytes
    caller: Caller

    def carried_out(self, ledger: Ledger) -> bytes:
        """What the method returned, encoded."""
        arguments = signed(self.method.path, self.method.decoded(self.body), self.caller)
        ledger_guard.check(self.method.path, arguments, self.caller)
        if self.method.path == "studies/get" and not self.caller.may("read"):
            return wire.encoded_answer(ledger_guard.study_of(ledger, **arguments))
        part = ledger if self.method.part == "clock" else getattr(ledger, self.method.part)
        return wire.encoded_answer(getattr(part, self.method.name)(**arguments))

    @property
    def is_for_mirror(self) -> bool:
        """Whether MLflow's registry is to hear of it."""
        return self.method.path in {"versions/register", "versions/promote"}


def kept(path: str, request: OpenRequest | None) -> None:
    """Have the answer of a call under a key kept, where carrying it out again would do harm.

    That there is no task to claim is not kept: nothing was written.
    """
    if request is None:
        return

    def answer(value: object) -> Answer | None:
        if path not in wire.KEPT or (value is None and path == "tasks/claim"):
            return None
        return Answer(body=wire.encoded_answer(value))

    request.answer_with(answer, seconds=_KEPT_SECONDS)


def signed(path: str, arguments: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """The arguments with who calls in them, where a token says who that is."""
    if path == "schedules/put":
        return {"schedule": _of_client(arguments["schedule"], caller)}
    if not caller.sha256:
        return arguments
    if "by" in arguments:
        return {**arguments, "by": caller.name}
    if path not in _SIGNED:
        return arguments
    return {name: _signed(name, value, caller.name) for name, value in arguments.items()}


def _of_client(schedule: Schedule, caller: Caller) -> Schedule:
    """A schedule without a folder: a client names no path of the machine that will read it."""
    return replace(schedule, folder="", by=caller.name if caller.sha256 else schedule.by)


def _signed(name: str, value: Any, caller: str) -> Any:
    if name in _SAID:
        return f"{value} (by {caller})".lstrip()
    if is_dataclass(value) and not isinstance(value, type):
        fields = {each: getattr(value, each) for each in _SAID if hasattr(value, each)}
        return replace(
            value, **{each: _signed(each, said, caller) for each, said in fields.items()}
        )
    return value


async def call(request: Request) -> Response:
    """Carry out a method of the ledger."""
    on = request.app.state.installation
    try:
        _refuse_other_shape(request.headers.get(wire.SHAPE_HEADER, ""))
        made = LedgerCall(
            method=_method(**request.path_params),
            body=await request.body(),
            caller=request.state.caller,
        )
        kept(made.method.path, opened(request))
        answer = await run_in_threadpool(made.carried_out, on.stores.ledger)
        if made.is_for_mirror:
            await run_in_threadpool(start_mirror, on.settings)
        return Response(answer, media_type="application/json")
    except FairleadError as error:
        return _problem(error)


def _method(part: str, name: str) -> wire.Method:
    found = wire.method(part, name)
    if found is None:
        raise NotFound(f"the ledger has no method {part}/{name}")
    return found


def _refuse_other_shape(shape: str) -> None:
    if shape != wire.shape():
        raise Invalid(
            f"the server has Fairlead {VERSION}, and this program is of another one: install the "
            "same on both sides",
            code="other_version",
        )


def _problem(error: FairleadError) -> Response:
    """The error as a problem document that a client can raise again."""
    status, detail = told(error)
    body = {
        "type": f"urn:fairlead:error:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": error.code,
        "kind": error.default_code,
        "steps": error.next_steps,
        "next_steps": [],
    }
    return Response(msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE)
