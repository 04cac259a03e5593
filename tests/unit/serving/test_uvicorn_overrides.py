"""uvicorn has what our connections override and use, though none of it is a published interface."""

from __future__ import annotations

import asyncio
import inspect
import logging
import tomllib
from importlib.metadata import version
from pathlib import Path
from unittest.mock import Mock

import pytest
from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fairlead.serving.http.connection import Connection, HttpServer

OVERRIDDEN = {
    HttpToolsProtocol: (
        "connection_made connection_lost data_received eof_received pause_writing resume_writing "
        "on_message_begin on_url on_header on_headers_complete on_body on_message_complete "
        "on_response_complete shutdown timeout_keep_alive_handler _start_asgi_task"
    ),
    Server: "shutdown capture_signals",
}
CALLED = {HttpToolsProtocol: "_unset_keepalive_if_required", RequestResponseCycle: "receive"}
OF_A_CYCLE = (
    "scope transport flow default_headers message_event keep_alive on_response disconnected "
    "waiting_for_100_continue more_body response_started response_complete"
)


def test_it_is_pinned_to_the_version_that_was_looked_at() -> None:
    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())
    pins = [one for one in project["project"]["dependencies"] if one.startswith("uvicorn")]
    assert pins == [f"uvicorn =={version('uvicorn')}"]


@pytest.mark.parametrize(
    ("ours", "theirs"), [(Connection, HttpToolsProtocol), (HttpServer, Server)]
)
def test_each_method_that_is_overridden_is_there_with_the_same_parameters(
    ours: type, theirs: type
) -> None:
    names = OVERRIDDEN[theirs].split()
    both = {name for name in vars(ours).keys() & vars(theirs).keys() if not name.startswith("__")}
    assert both == set(names)
    for name in names:
        given, expected = (
            list(inspect.signature(vars(one)[name]).parameters) for one in (ours, theirs)
        )
        assert given == expected, name


def test_what_is_called_of_it_is_there() -> None:
    for kind, names in CALLED.items():
        assert all(callable(vars(kind)[name]) for name in names.split())


async def _cycle() -> RequestResponseCycle:
    return RequestResponseCycle(
        scope=Mock(),
        transport=Mock(),
        flow=Mock(),
        logger=logging.getLogger(__name__),
        access_logger=logging.getLogger(__name__),
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=Mock(),
    )


def test_a_cycle_has_the_state_that_ours_reads_and_sets() -> None:
    assert set(OF_A_CYCLE.split()) <= vars(asyncio.run(_cycle())).keys()
