"""Workers as actors of a Ray cluster do what every runner's workers do, and outlive who asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fairlead.errors import Failed, Invalid, Unreachable
from fairlead.ledger.store import open_ledger
from fairlead.runners.ray import RayRunner
from fairlead.runners.ray_driver import order_of, refuse_unshared
from fairlead.runners.ray_supervisor import WorkerSupervisor
from fairlead.runners.runner import Runner, WorkerGroup, WorkerStatus
from tests.contract.runner_contract import DetachedRunnerContract
from tests.support.ports import free_ports
from tests.support.ray import RayCluster, ray_cluster
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.environ.items():
            patch.setenv(name, value)
        yield started


@pytest.fixture(scope="module")
def connected(cluster: RayCluster) -> Iterator[RayRunner]:
    """One connection for all tests of a module: each costs seconds."""
    with RayRunner(cluster.address) as runner:
        yield runner


@pytest.fixture(scope="module")
def another(cluster: RayCluster) -> Iterator[RayRunner]:
    """That of another process."""
    with RayRunner(cluster.address) as runner:
        yield runner


def workers(name: str) -> list[psutil.Process]:
    """The processes of the worker of this name: itself, not those that it starts."""
    return [one for one in psutil.process_iter(["cmdline"]) if name in (one.info["cmdline"] or ())]


class TestRayRunner(DetachedRunnerContract):
    @pytest.fixture
    def runner(self, connected: RayRunner) -> RayRunner:
        return connected

    @pytest.fixture
    def other(self, another: RayRunner) -> RayRunner:
        return another

    @pytest.fixture
    def group(self, tmp_path: Path) -> WorkerGroup:
        with open_ledger(tmp_path / "ledger.db"):
            pass
        return WorkerGroup(
            key=f"test-{tmp_path.name}",
            study=None,
            ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
            artifacts=(tmp_path / "artifacts").as_uri(),
            environ={"FAIRLEAD_HOME": str(tmp_path / "home")},
        )

    def kill(self, runner: Runner, group: WorkerGroup, worker: str) -> None:
        """Its actor dies, as with its machine."""
        (process,) = workers(worker)
        process.parent().kill()
        process.wait(60)  # it ends with its actor

    def test_workers_outlive_the_connection_and_are_found_by_the_next(
        self, cluster: RayCluster, runner: RayRunner, group: WorkerGroup
    ) -> None:
        with RayRunner(cluster.address) as first:
            first.ensure(group, 1)
            (name,) = self.running(first, group, 1)
            assert first._driver is not None
            first._driver._process.kill()
            first._driver._process.wait()
            with pytest.raises(Unreachable, match="the connection ended"):
                first.look(group.key)
        assert self.running(runner, group, 1) == [name]
        assert runner.look(group.key)[0].seconds > 0

    def test_removing_leaves_no_actor_and_no_process(
        self, runner: RayRunner, other: RayRunner, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 2)
        names = self.running(runner, group, 2)
        assert all(workers(name) for name in names)
        other.remove(group.key)
        wait_until(lambda: not any(workers(name) for name in names))
        assert list(RayRunner.look(other, group.key)) == []
        wait_until(lambda: not self.alive(runner, group))

    def test_workers_that_nobody_asks_for_leave(
        self, cluster: RayCluster, group: WorkerGroup
    ) -> None:
        with RayRunner(cluster.address, unasked=4.0) as forgetful:
            forgetful.ensure(group, 1)
            (name,) = self.running(forgetful, group, 1)
        wait_until(lambda: not workers(name))
        with RayRunner(cluster.address) as later:
            wait_until(lambda: not later.look(group.key))

    def test_passwords_are_in_no_argument_and_no_log(
        self, cluster: RayCluster, runner: RayRunner, group: WorkerGroup
    ) -> None:
        secret = "hunter2-of-the-ledger"
        (port,) = free_ports(1)
        url = f"postgresql://fairlead:{secret}@127.0.0.1:{port}/none"
        runner.ensure(replace(group, ledger=url), 1)
        (name,) = self.running(runner, group, 1)
        (process,) = workers(name)
        for one in (process, process.parent()):
            assert secret not in " ".join(one.cmdline())
        runner.remove(group.key)
        kept = [file for file in (cluster.folder / "t").rglob("*") if file.is_file()]
        assert kept
        assert not [file for file in kept if secret.encode() in file.read_bytes()]

    def test_stores_that_are_others_there_are_refused(
        self, runner: RayRunner, group: WorkerGroup, tmp_path: Path
    ) -> None:
        """Played here, by a supervisor that does not end its process where nobody asks it."""
        (tmp_path / "artifacts").mkdir()
        order = order_of(group, "w")
        (tmp_path / "artifacts").rename(tmp_path / "moved")
        report = WorkerSupervisor(math.inf).report(order)
        assert report.ended
        assert "artifacts' is not on" in report.why
        elsewhere = WorkerSupervisor(math.inf).report(replace(order, folders={}, boot="another"))
        assert "another machine than that of the ledger, a SQLite file" in elsewhere.why


def test_a_cluster_that_was_started_anew_is_found_without_its_former_workers(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """It is another cluster at the same address: Ray refuses the old connection for ever."""
    (port,) = free_ports(1)
    group = WorkerGroup(
        key="anew", study=None, ledger="postgresql://h/d", artifacts=tmp_path.as_uri(), cores=9.0
    )
    with ray_cluster(port) as before, RayRunner(before.address) as runner:
        runner.ensure(group, 1)
        assert len(runner.look("anew")) == 1
        before.end()
        with ray_cluster(port):
            wait_until(lambda: found(runner) == [])
            runner.ensure(group, 2)
            assert len(runner.look("anew")) == 2


def found(runner: RayRunner) -> list[WorkerStatus] | None:
    """The workers; None while the cluster does not answer."""
    try:
        return [*runner.look("anew")]
    except Unreachable:
        return None


class TestAddresses:
    @pytest.mark.parametrize("address", ["", "here", "http://127.0.0.1:1", "ray://", "h:port"])
    def test_what_is_no_address_is_refused(self, address: str) -> None:
        with RayRunner(address) as runner, pytest.raises(Invalid, match="auto, HOST:PORT or ray:"):
            runner.look("any")

    def test_a_cluster_that_is_not_there_is_one_line_at_once(self) -> None:
        (port,) = free_ports(1)
        refusal = pytest.raises(Unreachable, match=rf"{port}': Connection refused")
        with RayRunner(f"127.0.0.1:{port}") as runner, refusal as refused:
            runner.look("any")
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize("token", ["", "f" * 64], ids=["none", "wrong"])
    def test_no_permission_is_one_line(
        self, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str
    ) -> None:
        monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "1")  # each takes a second
        monkeypatch.setenv("HOME", str(tmp_path))  # with no token in it
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        refusal = pytest.raises(Failed, match="does not let us in")
        with RayRunner(cluster.address) as runner, refusal as refused:
            runner.look("any")
        assert refused.value.code == "ray_refused"
        assert "\n" not in str(refused.value)

    def test_a_ledger_in_a_file_is_refused_where_the_cluster_has_other_machines(self) -> None:
        here = WorkerGroup(key="k", study=None, ledger="sqlite:////x/ledger.db", artifacts="s3://b")
        refuse_unshared(here, "auto", ["127.0.0.1"])
        refuse_unshared(replace(here, ledger="postgresql://h/d"), "auto", ["203.0.113.9"])
        with pytest.raises(Invalid, match=r"has others \(203.0.113.9\): use PostgreSQL") as refused:
            refuse_unshared(here, "auto", ["127.0.0.1", "203.0.113.9"])
        assert refused.value.code == "ledger_not_shared"
