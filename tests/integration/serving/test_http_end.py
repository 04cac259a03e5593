"""How a serving process ends, and what it has logged by then."""

from __future__ import annotations

import json
import re
import signal
import socket
from contextlib import ExitStack

import pytest

from fairlead.serving.plan import Drain
from fairlead.serving.settings import Limits, Logging, ProcessSettings
from fairlead.serving.telemetry.logs import FEW
from tests.integration.serving.rig import (
    DEADLINE,
    Process,
    Trained,
    everything,
    replies,
    request,
    rows_of,
    started,
)
from tests.support.waiting import wait_until

PREDICT = "/models/houses:predict"
READY = request("/readyz", method="GET")


def settings(**given: object) -> ProcessSettings:
    return ProcessSettings(listen=(), channel=0, artifacts="", **given)  # type: ignore[arg-type]


def asked_to_end(process: Process, how: str) -> None:
    if how == "drain":
        process.tell(Drain(seconds=5.0))
    elif how == "channel":
        process.hang_up()
    else:
        process.child.send_signal(signal.Signals[how])


@pytest.mark.parametrize("how", ["drain", "channel", "SIGTERM", "SIGINT"])
def test_a_process_answers_what_is_in_hand_and_ends_well(trained: Trained, how: str) -> None:
    body = rows_of(trained.golden("houses")[0][:1])
    with started(trained) as process:
        process.plan(trained.held("houses"))
        process.followed()
        with process.connect() as busy, process.connect() as idle:
            idle.sendall(READY)
            assert b"}" in taken(idle, b"}")
            busy.sendall(request(PREDICT, body)[:-5])
            wait_until(lambda: process.ask("GET", "/livez").status == 200)
            asked_to_end(process, how)
            assert everything(idle) == b""
            assert refuses(process)
            busy.sendall(body[-5:] + READY)
            answered = replies(everything(busy))
        assert [one.status for one in answered] == [200]
        assert answered[0].headers["connection"] == "close"
        assert process.child.wait(DEADLINE) == 0
        assert process.errors() == ""


def test_who_asks_for_the_figures_while_a_process_ends_is_answered(trained: Trained) -> None:
    asked = request("/metrics", method="GET")
    with started(trained) as process:
        process.plan(trained.held("houses"))
        process.followed()
        with process.connect() as busy:
            busy.sendall(asked[:-5])
            process.tell(Drain(seconds=5.0))
            wait_until(lambda: refuses(process))
            busy.sendall(asked[-5:])
            (answered,) = replies(everything(busy))
        assert answered.status == 200
        assert b"fairlead_connections" in answered.body


def test_a_request_that_does_not_end_holds_the_end_up_for_the_grace_only(trained: Trained) -> None:
    with started(trained) as process:
        process.plan(trained.held("houses"))
        process.followed()
        with process.connect() as busy:
            busy.sendall(request(PREDICT, b"", "Content-Length: 100"))
            wait_until(lambda: process.ask("GET", "/livez").status == 200)
            assert process.drain(seconds=0.5) == 0


def test_a_process_that_has_no_plan_yet_ends_as_well(trained: Trained) -> None:
    with started(trained) as process:
        assert process.drain() == 0


def taken(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to these bytes."""
    came = b""
    while end not in came:
        came += connection.recv(1 << 16)
    return came


def refuses(process: Process) -> bool:
    """Nobody is let in, though the supervisor has the listening socket open, too."""
    try:
        socket.create_connection(("127.0.0.1", process.port), timeout=0.3).close()
    except TimeoutError:
        return True
    return False


def test_one_who_is_silent_for_a_moment_is_answered_once_more(trained: Trained) -> None:
    patient = settings(limits=Limits(parting_seconds=3.0))
    with started(trained, patient) as process:
        process.plan(trained.held("houses"))
        process.followed()
        with process.connect() as regular, process.connect() as idle:
            for one in (regular, idle):
                one.sendall(READY)
                assert taken(one, b"}").startswith(b"HTTP/1.1 200 ")
            process.tell(Drain(seconds=5.0))
            wait_until(lambda: refuses(process))
            regular.sendall(READY)
            (last,) = replies(everything(regular))
            assert (last.status, last.headers["connection"]) == (503, "close")
            assert everything(idle) == b""
        assert process.child.wait(DEADLINE) == 0


def test_a_request_that_waits_to_be_let_in_is_answered(trained: Trained) -> None:
    with started(trained) as process, ExitStack() as stack:
        process.plan(trained.held("houses"))
        process.followed()
        process.child.send_signal(signal.SIGSTOP)  # it accepts nobody, but the system does
        waiting = [stack.enter_context(process.connect()) for _ in range(50)]
        for one in waiting:
            one.sendall(request("/livez", method="GET"))
        process.tell(Drain(seconds=5.0))
        process.child.send_signal(signal.SIGCONT)
        answered = [replies(everything(one))[0] for one in waiting]
        assert {one.status for one in answered} == {200}
        assert process.child.wait(DEADLINE) == 0


def test_failed_requests_are_logged_with_the_reason_and_nothing_of_a_cell(
    trained: Trained,
) -> None:
    with started(trained) as process:
        process.plan(trained.held("houses"))
        process.followed()
        row = trained.golden("houses")[0][0]
        body = rows_of([{**row, "CRIM": 'it\'s "secret"'}])
        refused = process.ask("POST", PREDICT, body, {"X-Request-Id": "mine"})
        process.ask("POST", PREDICT, rows_of([row]))
        process.drain()
        (line,) = process.lines()
    assert line["message"] == "request failed"
    assert (line["request"], line["code"]) == ("mine", 400)
    assert "secret" in refused.error
    assert line["error"].startswith("row 1, column 'CRIM': '...' is text, not a number")
    assert (line["model"], line["revision"]) == ("houses", "v1")
    assert line["milliseconds"] > 0
    assert "secret" not in json.dumps(line)


def test_rubbish_without_end_is_counted_but_not_logged_without_end(trained: Trained) -> None:
    asked = 1_000
    with started(trained) as process:
        process.plan(trained.held("houses"))
        process.followed()
        rubbish = request("/models/houses:predict", b"{}")
        answered = process.raw(rubbish * asked + request("/livez", b"", "Connection: close"))
        assert [one.status for one in answered[:-1]] == [400] * asked
        wait_until(lambda: sum(one.get("more", 1) for one in process.lines()) > asked)
        assert f'code="400",model="houses",revision="v1"}} {asked}.0' in figures(process)
        told = [one for one in process.lines() if one["message"] == "request failed"]
    assert FEW <= len(told) < asked // 2


def figures(process: Process) -> str:
    return process.ask("GET", "/metrics").body.decode()


def test_all_requests_are_logged_where_that_is_asked_for(trained: Trained) -> None:
    logging = Logging(requests=True, form="lines")
    with started(trained, settings(logging=logging)) as process:
        process.plan(trained.held("houses"))
        process.followed()
        process.ask("GET", "/v2")
        process.ask(
            "GET",
            "/no such\tthing\x1b[31m".replace(" ", "%20")
            .replace("\t", "%09")
            .replace("\x1b", "%1b"),
        )
        process.drain()
        first, second = process.errors().splitlines()
    assert re.search(r" 200 GET /v2 [\d.]+ ms$", first)
    assert "404" in second
    assert second.isprintable()


def test_bodies_in_hand_are_bounded_together(trained: Trained) -> None:
    limits = Limits(body=1 << 20, bodies=3 << 20)
    with started(trained, settings(limits=limits)) as process, ExitStack() as stack:
        process.plan(trained.held("houses"))
        process.followed()
        held = [stack.enter_context(process.connect()) for _ in range(3)]
        for connection in held:
            connection.sendall(request(PREDICT, b"", f"Content-Length: {1 << 20}"))
            connection.sendall(b" " * ((1 << 20) - 100))
        wait_until(
            lambda: b"fairlead_bodies_bytes 3.145428e+06" in process.ask("GET", "/metrics").body
        )
        reply = process.ask("POST", PREDICT, b" " * (1 << 20))
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        for connection in held:
            connection.close()
        wait_until(lambda: process.ask("POST", PREDICT, b" " * (1 << 20)).status == 400)
