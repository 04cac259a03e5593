"""Executors of Spark are pods as ranks are, and become what Spark's variables say."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.engines.gangs import GANG, OWNER, PLACE

from fairlead.engines.driver_pod import DriverPod
from fairlead.engines.rank_pods import gang_policy
from fairlead.engines.spark_executor import command
from fairlead.engines.spark_pods import executor_conf, executor_pod

HERE = DriverPod(host="10.42.0.7", place=PLACE, owner=OWNER, labels={"job-name": "one"})
ENVIRON = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.42.0.7:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "1",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.42.0.9",
    "SPARK_EXECUTOR_POD_NAME": "digits-exec-3",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_MEMORY": "512m",
    **{f"SPARK_JAVA_OPT_{number}": f"-Doption={number}" for number in (10, 2)},
}


def test_an_executor_is_a_pod_as_a_rank_is_and_starts_one() -> None:
    made = executor_pod(GANG, HERE)
    (container,) = made["spec"]["containers"]
    assert container["image"] == PLACE.image
    assert container["command"] == ["python", "-m", "fairlead.engines.spark_executor"]
    assert "args" not in container
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert made["spec"]["automountServiceAccountToken"] is False
    assert made["metadata"]["labels"]["app.kubernetes.io/component"] == "rank"
    assert container["envFrom"] == [{"secretRef": {"name": GANG.key}}]
    assert "hunter" not in json.dumps(made)


def test_executors_call_the_driver_at_its_pod_and_go_with_it() -> None:
    conf = executor_conf(HERE, Path("/tmp/executor.yaml"))
    assert conf["spark.driver.bindAddress"] == conf["spark.driver.host"] == "10.42.0.7"
    assert conf["spark.kubernetes.driver.pod.name"] == OWNER.name
    assert conf["spark.kubernetes.executor.podTemplateFile"] == "/tmp/executor.yaml"


def test_executors_are_reached_by_each_other_and_by_their_driver() -> None:
    made = gang_policy(GANG, OWNER, callers=HERE.labels).to_dict()["spec"]
    gang = {"podSelector": {"matchLabels": {"fairlead.dev/gang": GANG.key}}}
    assert made["podSelector"] == gang["podSelector"]
    driver = {"podSelector": {"matchLabels": {"job-name": "one"}}}
    assert made["ingress"] == [{"from": [gang, driver]}]


def test_the_variables_of_spark_become_the_command_line_of_an_executor() -> None:
    program = command(ENVIRON, jars=Path("/jars"))
    assert program[:3] == ["java", "-Doption=2", "-Doption=10"]
    assert program[3:7] == ["-Xms512m", "-Xmx512m", "-cp", "/jars/*"]
    assert program[7].endswith("KubernetesExecutorBackend")
    said = dict(zip(program[8::2], program[9::2], strict=True))
    assert said["--driver-url"] == ENVIRON["SPARK_DRIVER_URL"]
    assert said["--hostname"] == "10.42.0.9"
    assert said["--podName"] == "digits-exec-3"
