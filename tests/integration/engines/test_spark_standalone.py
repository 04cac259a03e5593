"""A standalone cluster of Spark: a master and a worker, whose executors outlive no application."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.gangs import SharedStudy, shared_study
from tests.support.spark import executors
from tests.support.waiting import wait_until

from fairlead.errors import Unreachable
from fairlead.spec.document import Train
from fairlead.training.driver import DriverSetting, Ranks, start_ranks

pytestmark = pytest.mark.distributed

SECRET = (
    "spark.authenticate true\nspark.authenticate.secret hunter2\nspark.master.rest.enabled false\n"
)


@dataclass(frozen=True, kw_only=True)
class Standalone:
    """A running cluster."""

    url: str
    worker: int  # process id


@contextmanager
def daemon(
    name: str, arguments: Sequence[str], folder: Path, settings: str
) -> Iterator[tuple[int, Path]]:
    """A program of Spark's own jars: its process id and its log."""
    import pyspark

    home, log = Path(pyspark.__file__).parent, folder / f"{name}.log"
    (folder / "spark-defaults.conf").write_text(settings)
    environ = {**os.environ, "SPARK_HOME": str(home), "SPARK_CONF_DIR": str(folder)}
    program = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process.pid, log
    finally:
        process.terminate()
        process.wait()


def said(log: Path, pattern: str) -> str:
    """What a daemon has said of this form, once it has."""
    wait_until(lambda: re.search(pattern, log.read_text()) is not None, seconds=300)
    found = re.search(pattern, log.read_text())
    assert found is not None
    return found[1]


@contextmanager
def standalone(folder: Path, settings: str) -> Iterator[Standalone]:
    size = ("--cores", "2", "--memory", "2G", "--work-dir", str(folder / "work"))
    with daemon("master.Master", (), folder, settings) as (_, log):
        url = said(log, r"Starting Spark master at (spark://\S+)")
        with daemon("worker.Worker", (*size, url), folder, settings) as (worker, own):
            said(own, r"(Successfully registered with master)")
            yield Standalone(url=url, worker=worker)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SharedStudy:
    return shared_study(tmp_path_factory.mktemp("study"))


@contextmanager
def ranks_on(study: SharedStudy, cluster: Standalone, folder: Path) -> Iterator[Ranks]:
    asked: Mapping[str, object] = {"workers": 2, "engine": "spark", "master": cluster.url}
    train = Train.model_validate({**asked, "resources": {"memory": "1GiB"}})
    setting = DriverSetting(train=train, threads=1, artifacts=study.artifacts.root, logs=folder)
    with ExitStack() as stack:
        yield start_ranks(setting, stack)


def test_an_executor_of_a_cluster_that_is_killed_changes_no_bit_and_the_cluster_asks_for_a_secret(
    study: SharedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    job, steps = study.fit(batch=128), list[int]()
    own = tmp_path / "driver"
    own.mkdir()
    with standalone(tmp_path, SECRET) as cluster:
        monkeypatch.setenv("SPARK_CONF_DIR", str(own))  # that of a driver without the secret
        with (
            pytest.raises(Unreachable, match=r"ended before it gave an executor: .* unresponsive"),
            ranks_on(study, cluster, own),
        ):
            pass
        assert executors(cluster.worker) == []
        (own / "spark-defaults.conf").write_text(SECRET)

        def kill_one(_: object) -> None:
            steps.append(len(executors(cluster.worker)))
            if len(steps) == 6:
                wait_until(lambda: len(executors(cluster.worker)) == 2, seconds=300)
                killed = executors(cluster.worker)[0]
                assert "hunter2" not in " ".join(killed.cmdline())
                killed.kill()

        with ranks_on(study, cluster, own) as ranks:
            assert study.train(job, ranks.open(job), kill_one) == study.train(job, None)
        assert len(steps) > 6
