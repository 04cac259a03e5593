"""What Spark is told of a gang: its configuration, by what runs its executors.

An executor is a rank: it has the cores of one task, so that it runs one at a time. Half a gigabyte
of its memory, or a quarter, is the heap of its JVM, through which states and answers pass; the rest
is for Python. What is not said here is Spark's default, or that of `spark-defaults.conf` in
$SPARK_CONF_DIR, where an installation has one (dynamic allocation, for example).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from fairlead.engines.engine import GangRequest
from fairlead.errors import Invalid
from fairlead.machine import library_environment

MasterKind: TypeAlias = Literal["local", "local-cluster", "standalone", "kubernetes", "yarn"]

_MASTERS: Mapping[MasterKind, re.Pattern[str]] = {
    "local": re.compile(r"local(\[(\d+|\*)(, *\d+)?\])?"),
    "local-cluster": re.compile(r"local-cluster\[ *(\d+) *, *(\d+) *, *(\d+) *\]"),
    "standalone": re.compile(r"spark://\S+"),
    "kubernetes": re.compile(r"k8s://\S+"),
    "yarn": re.compile(r"yarn"),
}
_MIB = 1 << 20
_LEAST_HEAP = 512
"""MiB; Spark starts no executor with less than 450."""
_LEAST_OVERHEAD = 384
_PRIVATE = re.compile(r"spark\.executorEnv\..*|spark\.authenticate\.secret")


def kind_of(master: str) -> MasterKind:
    """What runs the executors of a master.

    Raises:
        Invalid: It is none.
    """
    for kind, form in _MASTERS.items():
        if form.fullmatch(master):
            return kind
    raise Invalid(
        f"train.master {master!r} is no master of Spark: write local-cluster[WORKERS,CORES,MIB], "
        "spark://HOST:PORT, k8s://https://HOST:PORT or yarn"
    )


def default_master(gang: GangRequest) -> str:
    """A cluster of this machine, with a worker for each rank."""
    return f"local-cluster[{gang.most or gang.ranks},{gang.threads},{sum(memory_of(gang))}]"


def memory_of(gang: GangRequest) -> tuple[int, int]:
    """MiB of an executor's heap, and of what is beside it."""
    whole = gang.memory // _MIB
    heap = max(_LEAST_HEAP, whole // 4)
    return heap, max(_LEAST_OVERHEAD, whole - heap)


def configuration(gang: GangRequest, master: str) -> Mapping[str, str]:
    """Spark's configuration for the executors of a gang.

    Args:
        gang: The ranks.
        master: What runs the executors; where that is Kubernetes, spark_pods.py has the rest.

    Raises:
        Invalid: It is none, or its workers are too small for an executor.
    """
    kind = kind_of(master)
    if kind == "local-cluster":
        _refuse_small(master, gang)
    return {
        "spark.master": master,
        "spark.app.name": f"fairlead-{gang.key}",
        **_QUIET,
        **_REPEATED,
        **_executors(gang),
        **_environment(gang, kind),
        **_by_kind(kind, gang),
        **(_elastic(gang) if gang.most and kind != "local" else {}),
    }


def _refuse_small(master: str, gang: GangRequest) -> None:
    """Refuse workers that are too small for an executor, which Spark would wait for in vain."""
    matched = _MASTERS["local-cluster"].fullmatch(master)
    assert matched is not None
    _, cores, memory = map(int, matched.groups())
    heap, _ = memory_of(gang)
    if memory < heap or cores < gang.threads:
        raise Invalid(
            f"train.master {master!r}: an executor needs {heap} MiB (a quarter of "
            f"train.resources.memory, at least {_LEAST_HEAP}) and {gang.threads} cores "
            f"(search.threads), and its workers have {memory} MiB and {cores} cores"
        )


def public(conf: Mapping[str, str]) -> Mapping[str, str]:
    """What of a configuration may be seen in the command line of a process."""
    return {name: value for name, value in conf.items() if not _PRIVATE.fullmatch(name)}


_QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.ui.retainedJobs": "100",  # a fit has a job for each step
    "spark.ui.retainedStages": "100",
    "spark.ui.retainedTasks": "2000",
    "spark.sql.catalogImplementation": "in-memory",
}
_REPEATED = {
    # A fault of the computation is an answer; what Spark repeats was lost with its process.
    "spark.task.maxFailures": "8",
    "spark.stage.maxConsecutiveAttempts": "8",
    # A part of an executor that is slow is given to one on another host as well: both answers are
    # one. An executor that is silent is replaced.
    "spark.speculation": "true",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "3",
    "spark.speculation.minTaskRuntime": "2s",
    "spark.executor.heartbeatInterval": "5s",
    "spark.network.timeout": "40s",
    "spark.network.timeoutInterval": "5s",
    "spark.locality.wait": "0",
    "spark.python.worker.reuse": "true",  # it keeps the fit's rows and model between steps
    # Where a barrier stage finds no room, plain tasks compute the round.
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
}


def _executors(gang: GangRequest) -> dict[str, str]:
    heap, overhead = memory_of(gang)
    return {
        "spark.task.cpus": str(gang.threads),
        "spark.executor.cores": str(gang.threads),
        "spark.executor.memory": f"{heap}m",
        "spark.executor.memoryOverhead": f"{overhead}m",
        "spark.sql.shuffle.partitions": str(gang.ranks),
    }


def _environment(gang: GangRequest, kind: MasterKind) -> dict[str, str]:
    own = {**gang.environ, "FAIRLEAD_ARTIFACTS": gang.artifacts}
    variables = {
        **library_environment(gang.threads),
        **(own if kind != "kubernetes" else {}),  # there a Secret has them
    }
    return {f"spark.executorEnv.{name}": value for name, value in variables.items()}


def _by_kind(kind: MasterKind, gang: GangRequest) -> Mapping[str, str]:
    most = {"spark.cores.max": str((gang.most or gang.ranks) * gang.threads)}
    if kind == "local":
        return _LOOPBACK
    if kind == "local-cluster":
        # Its ports are open to everybody on this machine: who connects has to know the secret.
        secret = {"spark.authenticate": "true", "spark.authenticate.secret": gang.secret}
        return {**_LOOPBACK, **most, **secret}
    if kind == "kubernetes":
        return _pods(gang)
    return most if kind == "standalone" else {"spark.executor.instances": str(gang.ranks)}


def _pods(gang: GangRequest) -> Mapping[str, str]:
    return {
        "spark.authenticate": "true",  # by a secret that Spark makes and gives to its pods
        "spark.executor.instances": str(gang.ranks),
        "spark.scheduler.minRegisteredResourcesRatio": "0",  # the first executor may begin
        "spark.kubernetes.executor.request.cores": f"{gang.cores:g}",
        "spark.kubernetes.executor.podNamePrefix": gang.key,
        "spark.kubernetes.allocation.batch.delay": "1s",
        # etcd before 3.4.25 has no progress notifications, so that Spark's watch is refused.
        "spark.kubernetes.executor.enableApiWatcher": "false",
        "spark.kubernetes.executor.apiPollingInterval": "1s",
    }


def _elastic(gang: GangRequest) -> Mapping[str, str]:
    """Spark adds executors while tasks wait for one, and takes those that have had none.

    Barrier stages are refused then (SPARK-24942): plain tasks compute every step.
    """
    return {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": str(gang.ranks),
        "spark.dynamicAllocation.initialExecutors": str(gang.ranks),
        "spark.dynamicAllocation.maxExecutors": str(gang.most),
        "spark.dynamicAllocation.schedulerBacklogTimeout": "1s",
        "spark.dynamicAllocation.executorIdleTimeout": "60s",
    }


_LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
