"""How every test is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support import forkserver

# A busy machine is no fault of a property; what hangs is ended by pytest-timeout.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

FORKED = (
    "tests/acceptance/",
    "tests/integration/cli/",
    "tests/integration/job/",
    "tests/integration/server/",
    "tests/integration/registry/",
    "tests/integration/study/",
    "tests/integration/report/",
)
"""Where the tests' processes are forks; elsewhere few are started, or how they start matters."""

WORTH_A_SERVER = 40
"""So many such tests are worth the start of a server that forks their processes."""


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: many tests wait for leases, clocks and connections."""
    affinity = hasattr(os, "sched_getaffinity")  # a container may have few of the machine's
    return (len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1) * 3 // 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interpreters",
        choices=["new", "forked", "auto"],
        default="auto" if sys.platform == "linux" else "new",
        help="how processes of Fairlead start: each anew, or forked from one with the libraries",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "new_interpreters: what it tests is how a process starts, or holds of a new one only",
    )


@pytest.fixture(scope="session", autouse=True)
def _forks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes of Fairlead are forked, where that is worth it and not switched off."""
    worth = sum(map(_may_fork, request.session.items)) >= WORTH_A_SERVER
    if request.config.getoption("--interpreters") in ({"forked", "auto"} if worth else {"forked"}):
        with forkserver.installed():
            yield
    else:
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    forkserver.Client.forks = _may_fork(item)


def _may_fork(item: pytest.Item) -> bool:
    return item.nodeid.startswith(FORKED) and not item.get_closest_marker("new_interpreters")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL by which a PostgreSQL server is administered; its databases are made by tests."""
    from tests.support.postgres import VARIABLE, PostgresServer

    if url := os.environ.get(VARIABLE):
        yield url
        return
    # What a power cut would take is gone with the server anyway.
    server = PostgresServer(fsync="off", max_connections=200)
    try:
        yield server.url
    finally:
        server.close()
