"""Trials that do nothing on a Kubernetes cluster, against one Job a trial; and `run`'s first steps.

    FAIRLEAD_TEST_IMAGE=... FAIRLEAD_TEST_POSTGRESQL_IMAGE=... \\
        .venv/bin/python benchmarks/cluster_trials.py [--rounds 3] [--trials 30] [--workers 4]

On the cluster of $KUBECONFIG, in a namespace of its own that goes in the end. In each round both
have their turn, one after the other:

- Fairlead: `fairlead run --on kubernetes`, a random search whose trials fit and score nothing over
  2 folds; results are timed by the ledger's events.
- One Job a trial: as many Jobs, of which as many as there are workers go on at once. Each runs
  /bin/true in the same image: no Python, no library, no result that is kept. Its result is that its
  container has ended, which is seen by asking every 50 ms.

A trial's overhead is the time from the first result to the last, divided by the trials less one, in
both; so neither's start is in it. Beside it is all that there is: from the command, or the first
Job's creation, to the end, divided by the trials.

The steps of `run` are told by when this program saw them (it watches the API server), by the
timestamps of the pods' logs and by the ledger's events; all on one machine's clock.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from lightkube import ApiError, Client
from lightkube.models.batch_v1 import JobSpec
from lightkube.models.core_v1 import PodTemplateSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod
from nothing import FAMILY
from timing import ROOT, python

from fairlead.kube import pods
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import STUDIES
from fairlead.kube.place import PodPlace

sys.path.insert(0, str(ROOT))
from tests.support.cluster import image
from tests.support.installation import Installed, installation
from tests.support.waiting import wait_until

SPEC = """
name: nothing-{seed}
data: {{source: diabetes, seed: {seed}}}
search:
  method: random
  folds: 2
  trials: {trials}
  over:
    - family: ./nothing.py:Nothing
      params: {{a: {{low: 0.0, high: 1.0}}, b: {{low: 1, high: 100}}}}
promote: {{when: never}}
"""
COMPONENT = "app.kubernetes.io/component"
PEER = {"benchmark": "one-job-a-trial"}


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """When each thing of a namespace was first seen, by what it is."""

    client: Any  # lightkube's: its overloads part resources of a namespace from those of none
    at: dict[str, float] = field(default_factory=dict)

    def watch(self) -> None:
        """Note what happens from now on, for as long as the program runs."""
        for kind, note in ((STUDIES.resource, _of_study), (Job, _of_job), (Pod, _of_pod)):
            threading.Thread(target=self._follow, args=(kind, note), daemon=True).start()

    def _follow(self, kind: Any, note: Callable[[Any], list[str]]) -> None:
        while True:
            try:
                for _, one in self.client.watch(kind):
                    for what in note(one):
                        self.at.setdefault(what, time.time())
            except (ApiError, httpx2.HTTPError):  # a watch ends now and then
                continue


def _of_study(one: Any) -> list[str]:
    found = [f"study {one.metadata.name}"]
    status = one.status or {}
    if status.get("phase"):
        found.append(f"study {one.metadata.name} taken up")
    if status.get("run"):
        found.append(f"study {one.metadata.name} run")
    return found


def _of_job(one: Job) -> list[str]:
    return [f"{_whose(one)} job"]


def _of_pod(one: Pod) -> list[str]:
    found, status = [f"{_whose(one)} pod"], one.status
    assert status is not None
    conditions = {each.type: each.status for each in status.conditions or ()}
    if conditions.get("PodScheduled") == "True":
        found.append(f"{_whose(one)} scheduled")
    for each in status.containerStatuses or ():
        if each.state and (each.state.running or each.state.terminated):
            found.append(f"{_whose(one)} started")
        if each.state and each.state.terminated:
            found.append(f"{_whose(one)} ended")
    return found


def _whose(one: Any) -> str:
    labels: Mapping[str, str] = one.metadata.labels or {}
    return f"{labels.get('app.kubernetes.io/instance', '')} {labels.get(COMPONENT, '')}"


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What some trials took.

    Args:
        trial: Seconds from the first result to the last, divided by the trials less one.
        whole: Seconds of all, divided by the trials.
        steps: When each step of `run` was, in seconds since it was typed.
    """

    trial: float
    whole: float
    steps: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{1000 * self.trial:4.0f} ms ({1000 * self.whole:.0f})"


def ours(  # noqa: PLR0913 - where, and how large
    installed: Installed, seen: Sightings, folder: Path, *, seed: int, trials: int, workers: int
) -> Timed:
    (folder / "nothing.py").write_text(FAMILY)
    (folder / "spec.yaml").write_text(SPEC.format(seed=seed, trials=trials))
    where = ("--on", "kubernetes", "--namespace", installed.namespace)
    size = ("--workers", str(workers), "--cpu", "100m", "--memory", "500Mi")
    command = python("-m", "fairlead", "run", str(folder / "spec.yaml"), *where, *size, "--json")
    began = time.time()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ended = time.time()
    events = installed.fairlead("logs", json.loads(done.stdout)["run"])
    of_trials = [one for one in events if one["kind"] in {"claimed", "committed"}]
    claimed = min(one["at"] for one in of_trials if one["kind"] == "claimed")
    results = sorted(one["at"] for one in of_trials if one["kind"] == "committed")[:trials]
    name = f"nothing-{seed}"
    of_ledger = {"first claim": claimed, "first result": results[0], "last result": results[-1]}
    times = {**seen.at, **_imports(installed, seen, name), **of_ledger, "ended": ended}
    return Timed(
        trial=(results[-1] - results[0]) / (trials - 1),
        whole=(ended - began) / trials,
        steps={what: times[key] - began for what, key in _steps(name, times)},
    )


def _steps(name: str, times: Mapping[str, float]) -> list[tuple[str, str]]:
    """What each step is called, and the sighting that it is; of several workers the first."""
    worker = min(
        (key for key in times if key.startswith(name) and key.endswith(" worker job")),
        key=times.__getitem__,
    ).removesuffix(" job")
    submission = f"{name} submission"
    found = [
        ("the command has applied the Study", f"study {name}"),
        ("the operator has taken it up", f"study {name} taken up"),
        ("Job of the submission made", f"{submission} job"),
        ("its pod made", f"{submission} pod"),
        ("its pod scheduled", f"{submission} scheduled"),
        ("its container started", f"{submission} started"),
        ("its container ended", f"{submission} ended"),
        ("the operator knows the run", f"study {name} run"),
        ("first Job of a worker made", f"{worker} job"),
        ("its pod made", f"{worker} pod"),
        ("its pod scheduled", f"{worker} scheduled"),
        ("its container started", f"{worker} started"),
        ("its program imported, ledger open", "imported"),
        ("first claim", "first claim"),
        ("first result", "first result"),
        ("last result", "last result"),
        ("the command has ended", "ended"),
    ]
    return [(f"{number:2}. {what}", key) for number, (what, key) in enumerate(found, 1)]


def _imports(installed: Installed, seen: Sightings, name: str) -> Mapping[str, float]:
    """When the first worker said that it waits for tasks, by its log."""
    times = []
    for pod in installed.cluster.list(Pod, labels={COMPONENT: "worker"}):
        assert pod.metadata is not None
        if (pod.metadata.labels or {})["app.kubernetes.io/instance"].startswith(name):
            times += [_time(line) for line in _log(seen, pod) if "waiting for tasks" in line]
    return {"imported": min(times)}


def _log(seen: Sightings, pod: Pod) -> list[str]:
    assert pod.metadata is not None
    log = seen.client.log(pod.metadata.name, timestamps=True)
    return list(log)


def _time(line: str) -> float:
    stamp = re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", line.split(" ", 1)[0])
    return datetime.fromisoformat(stamp).timestamp()


def one_job_a_trial(cluster: Cluster, *, trials: int, workers: int) -> Timed:
    began = time.time()
    first = 0.0
    for number in range(trials + workers):
        wait_until(lambda number=number: _ended(cluster) > number - workers, every=0.05)
        first = first or (time.time() if number == workers else 0.0)
        if number < trials:
            cluster.create(_job(number))
    last = time.time()
    for number in range(trials):
        cluster.delete(Job, f"trial-{number}")
    wait_until(lambda: not cluster.list(Pod, labels=PEER), every=0.5)
    return Timed(trial=(last - first) / (trials - 1), whole=(last - began) / trials)


def _ended(cluster: Cluster) -> int:
    """Containers that have ended: a Job says so only later."""
    return sum(
        bool(each.state and each.state.terminated)
        for pod in cluster.list(Pod, labels=PEER)
        for each in (pod.status and pod.status.containerStatuses) or ()
    )


def _job(number: int) -> Job:
    place = PodPlace(image=image(), pull_policy="IfNotPresent")
    requests = {"cpu": "100m", "memory": "500Mi"}
    one = pods.container(place, name="trial", arguments=[], requests=requests, limits={})
    one.command = ["/bin/true"]
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=PEER), spec=pods.pod(place, one, grace=10, restarts="Never")
    )
    return Job(
        metadata=ObjectMeta(name=f"trial-{number}", labels=PEER),
        spec=JobSpec(backoffLimit=0, template=template),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 3), ("trials", 30), ("workers", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    size = {"trials": given.trials, "workers": given.workers}
    mine, peers = [], []
    with installation() as installed, tempfile.TemporaryDirectory() as folder:
        seen = Sightings(client=Client(namespace=installed.namespace))
        seen.watch()
        for seed in range(given.rounds):
            mine.append(ours(installed, seen, Path(folder), seed=seed, **size))
            peers.append(one_job_a_trial(installed.cluster, **size))
            ratio = peers[-1].trial / mine[-1].trial
            print(
                f"a trial: Fairlead {mine[-1]}   one Job a trial {peers[-1]}   {ratio:.0f} times"
                f" ({peers[-1].whole / mine[-1].whole:.1f})   load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    ratio = statistics.median(peer.trial / one.trial for peer, one in zip(peers, mine, strict=True))
    print(f"median {ratio:.0f} times\n\nseconds since `fairlead run` was typed, in each round")
    for what in mine[0].steps:
        print(f"{what:42}", *(f"{one.steps[what]:7.2f}" for one in mine))


if __name__ == "__main__":
    main()
