"""Nodes that Karpenter adds for workers and ranks that wait for room, keeps while busy, and takes.

Its provider of faked nodes, and kwok, which plays their kubelets, run beside the cluster of
$KUBECONFIG (README.md). The workers are the runner's own Jobs; on a faked node nothing runs, so
that each stands for a worker that is busy until its Job is deleted. The last phase takes away the
marks that the runner sets, to show that these are what kept the node. Ranks are those of a gang of
the engine `kubernetes`, which grows in the middle of its life.

    python benchmarks/kubernetes_nodes.py BIN            # the folder of kwok and karpenter-kwok
    python benchmarks/kubernetes_nodes.py BIN ranks      # of workers and ranks, these alone
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairlead.engines.cluster_engine import ClusterEngine
from fairlead.engines.engine import GangRequest
from fairlead.engines.kubernetes import IndexedJobs
from fairlead.kube.client import Cluster
from fairlead.kube.place import KubernetesPlace, PodPlace, Taint
from fairlead.kube.pods import UNDISTURBED
from fairlead.runners.kubernetes import KubernetesRunner
from fairlead.runners.runner import WorkerGroup

WORKERS, CORES = 20, 2.0
RANKS, GROWN = 4, 12
QUIET = 45.0
"""Seconds in which Karpenter would have taken the node of a worker that is not marked."""
KWOK, KARPENTER = "sigs.k8s.io/kwok@v0.8.0", "sigs.k8s.io/karpenter@v1.14.0"
POOL = "fairlead.dev/pool"
NAMESPACE = f"nodes-{secrets.token_hex(3)}"
NODES = f"""
apiVersion: karpenter.kwok.sh/v1alpha1
kind: KWOKNodeClass
metadata: {{name: fairlead}}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{name: fairlead}}
spec:
  template:
    metadata: {{labels: {{{POOL}: workers}}}}
    spec:
      nodeClassRef: {{group: karpenter.kwok.sh, kind: KWOKNodeClass, name: fairlead}}
      expireAfter: Never
      taints: [{{key: {POOL}, effect: NoSchedule}}]
      requirements:
        - {{key: kubernetes.io/arch, operator: In, values: [amd64]}}
        - {{key: kubernetes.io/os, operator: In, values: [linux]}}
        - {{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}}
  limits: {{cpu: "200"}}
  disruption: {{consolidationPolicy: WhenEmptyOrUnderutilized, consolidateAfter: 5s}}
"""

ENDING = """
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-failed}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: Exists}
      - {key: .status.phase, operator: In, values: [Pending, Running]}
  next: {statusTemplate: "phase: Failed"}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-deleted}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: Exists}
      - {key: .status.phase, operator: In, values: [Failed, Succeeded]}
  next: {delete: true}
"""


def kubectl(*words: str, text: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *words], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


def listed(kind: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", kind, *words, "--output", "json"))[
        "items"
    ]
    return found


def nodes() -> list[str]:
    return [one["metadata"]["name"] for one in listed("nodes", "--selector", POOL)]


def pods() -> list[dict[str, Any]]:
    found = listed("pods", "--namespace", NAMESPACE)
    return [one for one in found if one["status"]["phase"] in {"Pending", "Running"}]


def running() -> list[dict[str, Any]]:
    return [one for one in pods() if one["status"]["phase"] == "Running"]


def until(so: Callable[[], object], *, within: float = 180.0) -> float:
    """The seconds until it is so."""
    began = time.monotonic()
    while not so():
        if time.monotonic() - began > within:
            raise SystemExit(f"not within {within:g} s; {len(nodes())} nodes, {len(pods())} pods")
        time.sleep(0.2)
    return time.monotonic() - began


def source(module: str) -> Path:
    told = subprocess.run(
        ["go", "mod", "download", "-json", module], capture_output=True, check=True
    )
    return Path(json.loads(told.stdout)["Dir"])


@contextmanager
def started(command: list[str], log: Path, **environ: str) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environ})
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def kwok_stages(folder: Path) -> Path:
    """How kwok plays a kubelet: pods run until they are deleted, and have failed then."""
    found = source(KWOK) / "kustomize" / "stage"
    names = ("node/fast/node-initialize", "pod/fast/pod-ready")
    written = folder / "stages.yaml"
    files = [(found / f"{name}.yaml").read_text() for name in names]
    written.write_text("---\n".join([*files, ENDING]))
    return written


@contextmanager
def karpenter(programs: Path) -> Iterator[None]:
    crds = source(KARPENTER)
    folders = [str(crds / "pkg" / "apis" / "crds"), str(crds / "kwok" / "apis" / "crds")]
    files = [word for folder in folders for word in ("--filename", folder)]
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        stack.callback(kubectl, "delete", "--ignore-not-found", "--wait=false", *files)
        kubectl("apply", "--server-side", *files)
        kubectl("wait", "--for=condition=Established", *files)
        mark = "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"
        kwok = [
            str(programs / "kwok"),
            f"--config={kwok_stages(folder)}",
            f"--kubeconfig={os.environ['KUBECONFIG']}",
        ]
        kwok += ["--manage-all-nodes=false", "--node-lease-duration-seconds=200", mark]
        kwok += ["--cidr=10.200.0.1/16", "--server-address=127.0.0.1:41247"]
        stack.enter_context(started(kwok, folder / "kwok.log"))
        settings = {
            "SYSTEM_NAMESPACE": "kube-system",
            "KUBERNETES_MIN_VERSION": "1.26.0",
            "DISABLE_LEADER_ELECTION": "true",
            "METRICS_PORT": "41080",
            "HEALTH_PROBE_PORT": "41081",
            "BATCH_IDLE_DURATION": "1s",
            "BATCH_MAX_DURATION": "5s",
            "CLUSTER_NAME": "fairlead",
        }
        program = [str(programs / "karpenter-kwok")]
        stack.enter_context(started(program, folder / "karpenter.log", **settings))
        stack.callback(until, lambda: not listed("nodeclaims"))
        kubectl("apply", "--filename", "-", text=NODES)
        stack.callback(kubectl, "delete", "nodepool", "fairlead")
        yield


def main() -> None:
    asked = sys.argv[2:] or ["workers", "ranks"]
    kubectl("create", "namespace", NAMESPACE)
    tolerated = [Taint(key=POOL), Taint(key="kwok.x-k8s.io/node")]
    there = PodPlace(image="none:1", node_selector={POOL: "workers"}, tolerations=tolerated)
    try:
        with karpenter(Path(sys.argv[1])):
            if "workers" in asked:
                workers(there)
            if "ranks" in asked:
                ranks(there)
    finally:
        kubectl("delete", "namespace", NAMESPACE)


def workers(there: PodPlace) -> None:
    group = WorkerGroup(
        key="workers",
        study=None,
        ledger="postgresql://none/none",
        artifacts="s3://none",
        cores=CORES,
        memory=1 << 30,
    )
    with KubernetesRunner(KubernetesPlace(pods=there, namespace=NAMESPACE, grace=5)) as runner:
        phases(runner, group)


def ranks(there: PodPlace) -> None:
    gang = GangRequest(
        key="gang",
        ranks=RANKS,
        address="10.0.0.1:1",
        secret=secrets.token_hex(8),
        artifacts="s3://none",
        cores=CORES,
        memory=1 << 30,
    )
    with (
        Cluster(namespace=NAMESPACE) as cluster,
        ClusterEngine(IndexedJobs(), cluster=cluster, place=there) as engine,
    ):
        for many in (RANKS, GROWN):
            began = time.monotonic()
            engine.start(replace(gang, ranks=many))
            until(lambda many=many: len(pods()) == many)
            waiting = many - len(running())
            until(lambda many=many: len(running()) == many)
            print(f"{many} ranks of {CORES:g} CPUs, of which {waiting} wait for a node:")
            print(f"  all on nodes after {time.monotonic() - began:.1f} s; {sizes()}")
        began = time.monotonic()
        engine.stop(gang.key)
        print(f"the gang is stopped: no rank after {time.monotonic() - began:.1f} s,")
        print(f"  no node {until(lambda: not nodes()):.1f} s later")


def sizes() -> str:
    """The kinds of the nodes, such as c-16x-amd64-linux of 16 CPUs."""
    kind = "node.kubernetes.io/instance-type"
    found = [one["metadata"]["labels"][kind] for one in listed("nodes", "--selector", POOL)]
    return ", ".join(sorted(found))


def phases(runner: KubernetesRunner, group: WorkerGroup) -> None:
    began = time.monotonic()
    runner.ensure(group, WORKERS)
    until(nodes)
    first = time.monotonic() - began
    until(lambda: len(running()) == WORKERS)
    print(f"{WORKERS} workers of {CORES:g} CPUs wait: the first node after {first:.1f} s,")
    print(f"  all on nodes after {time.monotonic() - began:.1f} s; {len(nodes())} nodes")

    busy = running()[0]
    for name in {one["metadata"]["labels"]["job-name"] for one in running()}:
        if name != busy["metadata"]["labels"]["job-name"]:
            kubectl("delete", "job", name, "--namespace", NAMESPACE, "--wait=false")
    until(lambda: len(pods()) == 1)
    time.sleep(QUIET)
    (still,) = pods()
    kept = still["metadata"]["uid"] == busy["metadata"]["uid"]
    how = "it is there" if kept else "IT IS NOT THERE"
    print(f"{WORKERS - 1} have gone, one is busy: {QUIET:g} s later {how};")
    print(f"  {len(nodes())} nodes")

    marks = [f"{name}-" for name in UNDISTURBED]
    pod = busy["metadata"]["name"]
    kubectl("annotate", "pod", pod, "--namespace", NAMESPACE, *marks)
    moved = until(
        lambda: all(one["metadata"]["uid"] != busy["metadata"]["uid"] for one in running())
    )
    print(f"without its marks it was ended for a smaller node after {moved:.1f} s")

    for job in listed("jobs", "--namespace", NAMESPACE):
        kubectl("delete", "job", job["metadata"]["name"], "--namespace", NAMESPACE, "--wait=false")
    print(f"no worker left: no node after {until(lambda: not nodes()):.1f} s")


if __name__ == "__main__":
    main()
