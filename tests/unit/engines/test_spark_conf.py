"""What Spark is told of a gang, and what is refused before it starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairlead.engines.engine import GangRequest
from fairlead.engines.spark import require_master
from fairlead.engines.spark_conf import (
    configuration,
    default_master,
    kind_of,
    memory_of,
    public,
)
from fairlead.engines.spark_jvm import require_java
from fairlead.errors import FairleadError, Invalid, Unreachable

GANG = GangRequest(
    key="g",
    ranks=3,
    address="10.0.0.1:7077",
    secret="the secret",
    artifacts="s3://user:password@bucket",
    environ={"AWS_SECRET_ACCESS_KEY": "key"},
    cores=0.5,
    memory=4 << 30,
)


@pytest.mark.parametrize(
    ("master", "kind"),
    [
        ("local[2]", "local"),
        ("local[*]", "local"),
        ("local-cluster[2,1,1500]", "local-cluster"),
        ("spark://host:7077", "standalone"),
        ("k8s://https://host:6443", "kubernetes"),
        ("yarn", "yarn"),
    ],
)
def test_a_master_has_a_kind(master: str, kind: str) -> None:
    assert kind_of(master) == kind


@pytest.mark.parametrize("master", ["", "local-cluster[2,1]", "mesos://host", "host:7077"])
def test_what_is_no_master_is_refused_with_those_that_there_are(master: str) -> None:
    with pytest.raises(Invalid, match=re.escape(f"{master!r} is no master of Spark: write local")):
        configuration(GANG, master)


def test_an_executor_is_a_rank_that_runs_one_task_at_a_time() -> None:
    conf = configuration(GANG, default_master(GANG))
    assert conf["spark.master"] == "local-cluster[3,1,4096]"
    assert conf["spark.executor.cores"] == conf["spark.task.cpus"] == "1"
    assert conf["spark.cores.max"] == "3"
    assert memory_of(GANG) == (1024, 3072)
    assert (conf["spark.executor.memory"], conf["spark.executor.memoryOverhead"]) == (
        "1024m",
        "3072m",
    )


def test_a_small_rank_has_the_heap_that_spark_asks_for() -> None:
    small = GangRequest(**{**vars(GANG), "memory": 256 << 20})
    assert memory_of(small) == (512, 384)


@pytest.mark.parametrize("master", ["local-cluster[2,1,600]", "local-cluster[2,0,4000]"])
def test_workers_that_are_too_small_for_an_executor_are_refused(master: str) -> None:
    with pytest.raises(Invalid, match=r"an executor needs 1024 MiB .* and 1 cores"):
        configuration(GANG, master)


@pytest.mark.parametrize("master", ["local-cluster[3,1,4096]", "spark://host:1", "k8s://https://h"])
def test_what_is_secret_stands_in_no_command_line(master: str) -> None:
    said = str(public(configuration(GANG, master)))
    assert "password" not in said
    assert "the secret" not in said
    assert "AWS" not in said


def test_pods_get_what_is_secret_by_a_secret_and_not_by_their_description() -> None:
    conf = configuration(GANG, "k8s://https://host:6443")
    assert "password" not in str(conf)
    assert "AWS" not in str(conf)
    assert conf["spark.authenticate"] == "true"
    assert conf["spark.kubernetes.executor.request.cores"] == "0.5"
    assert conf["spark.executor.instances"] == "3"
    assert conf["spark.kubernetes.executor.enableApiWatcher"] == "false"


def test_a_cluster_of_this_machine_is_reached_from_it_alone_and_by_the_secret() -> None:
    conf = configuration(GANG, default_master(GANG))
    assert conf["spark.driver.bindAddress"] == conf["spark.driver.host"] == "127.0.0.1"
    assert conf["spark.authenticate.secret"] == "the secret"


@pytest.mark.parametrize("master", ["k8s://https://host", "spark://host:1", None])
def test_spark_adds_executors_up_to_the_most_that_there_may_be(master: str | None) -> None:
    gang = GangRequest(**{**vars(GANG), "most": 5})
    conf = configuration(gang, master or default_master(gang))
    assert conf["spark.dynamicAllocation.enabled"] == "true"
    assert conf["spark.dynamicAllocation.minExecutors"] == "3"
    assert conf["spark.dynamicAllocation.maxExecutors"] == "5"
    assert conf.get("spark.cores.max", "5") == "5"
    assert "spark.dynamicAllocation.enabled" not in configuration(GANG, default_master(GANG))


def test_spark_without_java_or_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Invalid, match=r"needs a package: pip install 'fairlead\[spark\]'") as found:
        require_java({})
    assert found.value.code == "engine_not_installed"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    with pytest.raises(Invalid, match="needs Java, which is not on the PATH: install Java 17"):
        require_java({"PATH": str(tmp_path)})
    with pytest.raises(Invalid, match=r"\$JAVA_HOME is '.*', where no bin/java is: install Java"):
        require_java({"JAVA_HOME": str(tmp_path)})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    require_java({"JAVA_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("master", "error", "reason"),
    [
        ("spark:/host:7077", Invalid, "is no master of Spark: write "),
        ("local-cluster[2,1,100]", Invalid, "its workers have 100 MiB and 1 cores"),
        ("spark://127.0.0.1:1", Unreachable, "'spark://127.0.0.1:1' does not answer"),
        ("k8s://https://127.0.0.1:1", Invalid, "train.engine: spark "),
    ],
)
def test_a_master_of_no_use_is_refused_before_spark_is_started(
    master: str, error: type[FairleadError], reason: str
) -> None:
    require_master(None, GANG)
    with pytest.raises(error, match=re.escape(reason)):
        require_master(master, GANG)
