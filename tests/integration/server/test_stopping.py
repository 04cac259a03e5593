"""A server that stops under traffic."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.integration.server.rig import Home, Load, load, serving
from tests.support.waiting import wait_until

CLIENTS = 8


def _broken(*loads: Load) -> set[str]:
    """What clients have met instead of answers."""
    return {error.partition("(")[0] for clients in loads for error in clients.broken}


@pytest.mark.parametrize("all_at_once", [False, True])
def test_a_server_that_stops_answers_all_whom_it_let_in(home: Home, *, all_at_once: bool) -> None:
    """A service manager may tell the serving processes to end before their supervisor does."""
    with (
        serving(home) as served,
        load(served.url, clients=CLIENTS, afresh=True) as newcomers,
        load(served.url, clients=CLIENTS) as regulars,
    ):
        wait_until(lambda: min(newcomers.total, regulars.total) > 50 * CLIENTS)
        for process in served.processes() if all_at_once else ():
            process.terminate()
        assert served.end() == 0
        wait_until(lambda: newcomers.broken and regulars.broken)
    assert not newcomers.failed
    assert not regulars.failed
    assert _broken(newcomers, regulars) == {"ConnectionRefusedError"}


def test_a_serving_process_that_is_told_to_end_is_replaced_and_no_request_is_lost(
    home: Home,
) -> None:
    with (
        serving(home) as served,
        load(served.url, clients=CLIENTS, afresh=True) as newcomers,
        load(served.url, clients=CLIENTS) as regulars,
    ):
        leaving, _ = served.processes()
        wait_until(lambda: min(newcomers.total, regulars.total) > 20 * CLIENTS)
        leaving.send_signal(signal.SIGTERM)
        psutil.wait_procs([leaving], timeout=30)
        wait_until(lambda: served.has_replaced(leaving))
        wait_until(home.followed)
        before = newcomers.total, regulars.total
        wait_until(lambda: newcomers.total > before[0] + 200 and regulars.total > before[1] + 200)
    assert not newcomers.failed
    assert not regulars.failed
    assert not _broken(newcomers, regulars)
