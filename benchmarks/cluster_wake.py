"""From no replica to an answer through the gateway, step by step, on a Kubernetes cluster.

    .venv/bin/python benchmarks/cluster_wake.py NAMESPACE ENDPOINT ROW [RUNS]

ENDPOINT is an Endpoint of that installation with `min: 0`; ROW is a row for it, as JSON. Each run
waits until it sleeps, asks from the pod of `fairlead-server`, and takes the times of what follows
by the clocks of the nodes: what the API server tells of Deployment and pod as it comes, the starts
of the pod's processes, and the lines of its log. All nodes must have the same time.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lightkube import Client
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod, Secret

LABEL = "fairlead.dev/endpoint"
STEPS = {
    "scaled": "the gateway holds it, the operator sees that and asks for a replica",
    "pod": "the controllers of the cluster make a pod",
    "scheduled": "it has a node",
    "sandbox": "its network and volumes are there, its first process runs",
    "program": "the container is made, `fairlead serve` starts",
    "processes": "it is imported, and starts its serving processes",
    "bound": "it has read the ledger",
    "followed": "the serving processes are imported, the model is verified and loaded",
    "answered": "the gateway sees it and passes the request on; the answer is back",
}
ASK = """
import json, sys, time, urllib.request
url, token, row = json.loads(sys.stdin.readline())
asked = urllib.request.Request(url, json.dumps({"rows": [row]}).encode())
asked.add_header("authorization", "Bearer " + token)
began = time.time()
urllib.request.urlopen(asked, timeout=60).read()
print(json.dumps([began, time.time()]))
"""
STARTS = """
import json, os, pathlib, time
booted = time.time() - float(pathlib.Path("/proc/uptime").read_text().split()[0])
found = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        ticks = int((folder / "stat").read_text().rpartition(")")[2].split()[19])
        words = (folder / "cmdline").read_text()
    except OSError:
        continue
    found.append([words, booted + ticks / os.sysconf("SC_CLK_TCK")])
print(json.dumps(found))
"""


class Watch:
    """When what was first so, of the Endpoint's Deployment and its new pod."""

    def __init__(self, client: Client, endpoint: str, before: frozenset[str]) -> None:
        self._client, self._endpoint, self._before = client, endpoint, before
        self.times: dict[str, float] = {}
        self.pod = ""
        for follow in (self._deployment, self._pods):
            threading.Thread(target=follow, daemon=True).start()

    def _deployment(self) -> None:
        name = {"metadata.name": self._endpoint}
        for _, one in self._client.watch(Deployment, fields=name):
            if one.spec and one.spec.replicas:
                self._note("scaled")

    def _pods(self) -> None:
        for _, one in self._client.watch(Pod, labels={LABEL: self._endpoint}):
            if one.metadata.name in self._before or one.metadata.deletionTimestamp:
                continue
            self.pod = one.metadata.name
            self._note("pod")
            if one.spec.nodeName:
                self._note("scheduled")
            conditions = (one.status and one.status.conditions) or ()
            if any((each.type, each.status) == ("Ready", "True") for each in conditions):
                self._note("ready")

    def _note(self, step: str) -> None:
        self.times.setdefault(step, time.time())


def kubectl(namespace: str, *words: str, given: str = "") -> str:
    command = ["kubectl", "-n", namespace, *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def of_program(namespace: str, pod: str) -> Mapping[str, float]:
    """The starts of the pod's processes, and of what its log says."""
    words = ("exec", pod, "--", "python", "-c", STARTS)
    starts = json.loads(kubectl(namespace, *words))
    log = [line.partition(" ") for line in logged(namespace, pod)]
    times = {text: datetime.fromisoformat(f"{at[:26]}+00:00").timestamp() for at, _, text in log}
    return {
        "sandbox": min(at for words, at in starts if "pause" in words),
        "program": min(at for words, at in starts if "fairlead\0serve" in words),
        "processes": min(at for words, at in starts if "serving.process" in words),
        "bound": next(at for text, at in times.items() if text.startswith("serving at")),
        "followed": next(at for text, at in times.items() if "(route " in text),
    }


def logged(namespace: str, pod: str) -> list[str]:
    return kubectl(namespace, "logs", "--timestamps", pod).splitlines()


def asleep(client: Client, kind: Any, endpoint: str) -> None:
    """Wait until no replica is left, also none that ends."""
    while True:
        scale = (client.get(kind, endpoint).status or {}).get("scale")
        pods = [*client.list(Pod, labels={LABEL: endpoint})]
        if scale == "Asleep" and not pods:
            return
        time.sleep(0.5)


def wake(client: Client, namespace: str, endpoint: str, row: str) -> Mapping[str, float]:
    """Seconds of each step."""
    kind = create_namespaced_resource("fairlead.dev", "v1alpha1", "Endpoint", "endpoints")
    asleep(client, kind, endpoint)
    model = client.get(kind, endpoint).spec["model"]
    token = base64.b64decode(client.get(Secret, "fairlead-tokens").data["endpoint-token"]).decode()
    url = f"http://{endpoint}.{namespace}.svc/models/{model}:predict"
    watch = Watch(client, endpoint, frozenset())
    time.sleep(1.0)  # the watches are there
    given = json.dumps([url, token, json.loads(row)]) + "\n"
    client_pod = ("exec", "-i", "deploy/fairlead-server", "--", "python", "-c", ASK)
    began, answered = json.loads(kubectl(namespace, *client_pod, given=given))
    times = {**watch.times, **of_program(namespace, watch.pod), "answered": answered}
    while "ready" not in watch.times:
        time.sleep(0.1)
    last, found = began, {}
    for step in STEPS:
        at = min(times[step], answered)  # what the log says may come after the answer
        found[step] = max(at - last, 0.0)
        last = max(last, at)
    return {**found, "whole": answered - began, "ready": watch.times["ready"] - began}


def main(namespace: str, endpoint: str, row: str, runs: int) -> None:
    client = Client(namespace=namespace)
    found = []
    for _ in range(runs):
        loads = os.getloadavg()
        found.append(wake(client, namespace, endpoint, row))
        shown = "  ".join(f"{name} {seconds:.2f}" for name, seconds in found[-1].items())
        print(f"load {loads[0]:.1f}: {shown}", flush=True)
    for step, what in {**STEPS, "whole": "all of it", "ready": "Ready, by its probes"}.items():
        print(f"{statistics.median(one[step] for one in found):6.2f} s  {step:10} {what}")


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]) if len(sys.argv) > 4 else 3)
