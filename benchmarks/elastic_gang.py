"""How many processes compute a fit over time, where a cluster adds some while they are busy.

    FAIRLEAD_TEST_DISTRIBUTED_IMAGE=... FAIRLEAD_TEST_POSTGRESQL_IMAGE=... \\
        .venv/bin/python benchmarks/elastic_gang.py kubernetes|spark [--picture FILE]

On the cluster of $KUBECONFIG, in a namespace of its own that goes in the end. A fit begins with one
process and may have three (`train.most`): ranks that a HorizontalPodAutoscaler adds while they use
above 70 % of the 0.1 CPUs that they ask for, or executors that Spark adds while tasks wait. A part
of a step takes 0.05 s of a processor. In the middle of the refit the driver takes 120 s for itself,
so that there is nothing to do for longer than the minute after which either takes away what it
added.

Pods are looked at every half a second; steps and rows a second are those that the fits told the
ledger. --picture draws the report's chart of them, and needs chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Pod
from timing import ROOT, python

sys.path.insert(0, str(ROOT))
from tests.support import softmax
from tests.support.installation import Installed, installation

RANKS = {"app.kubernetes.io/component": "rank"}
BUSY = """

class Busy(Softmax):
    def network(self, x, y, *, train, stages=()):
        made = super().network(x, y, train=train, stages=stages)
        part, advance = made.part, made.advance
        middle = self.epochs * made._batches // 2

        def busy(work, number):
            began = time.process_time()
            while time.process_time() - began < 0.05:
                pass
            return part(work, number)

        def resting(work, total):
            if work.step == middle and len(y) > 1000:
                time.sleep(120.0)
            return advance(work, total)

        made.part, made.advance = busy, resting
        return made
"""
"""Of the rows of digits a refit has more than 1,000, and a fold fewer."""
ENGINES: Mapping[str, Mapping[str, Any]] = {
    "kubernetes": {},
    "spark": {"master": "k8s://https://kubernetes.default.svc"},
}


def spec(engine: str) -> Mapping[str, Any]:
    family = {"family": "./busy.py:Busy", "params": {"epochs": 2}}
    return {
        "name": f"elastic-{engine}",
        "data": {"source": "digits"},
        "search": {"method": "grid", "folds": 2, "over": [family]},
        "train": {
            "workers": 1,
            "most": 3,
            "engine": engine,
            "microbatches": 6,
            "resources": {"cpu": 0.1, "memory": "1GiB"},
            **ENGINES[engine],
        },
        "promote": {"when": "never"},
    }


def followed(installed: Installed, running: subprocess.Popen[str]) -> None:
    """Print each change of the pods, in seconds since the first of them ran."""
    began, before = 0.0, ""
    while running.poll() is None:
        pods = installed.cluster.list(Pod, labels=RANKS)
        phases = [str(one.status.phase) for one in pods if one.status]
        now = f"{phases.count('Running')} run, {phases.count('Pending')} wait"
        scalers = installed.cluster.list(HorizontalPodAutoscaler, labels=RANKS)
        wanted = [one.status.desiredReplicas for one in scalers if one.status]
        now += "".join(f", {many} are wanted" for many in wanted)
        if phases.count("Running") and not began:
            began = time.monotonic()
        if began and now != before:
            load = os.getloadavg()[0]
            print(f"{time.monotonic() - began:6.1f} s: {now}; load {load:.1f}", flush=True)
            before = now
        time.sleep(0.5)


def told(reports: list[dict[str, Any]]) -> None:
    """Print when the number of those that compute changed, by what fits told."""
    before, began = None, reports[0]["at"]
    for one in reports:
        progress = one["progress"]
        now = (progress["fold"], progress["workers"])
        if now != before:
            fold = "refit" if now[0] is None else f"fold {now[0]}"
            print(
                f"{one['at'] - began:6.1f} s: {fold}, step {progress['step'] + 1} of "
                f"{progress['steps']}: {now[1]} compute, {progress['rows_per_second']:.0f} rows/s"
            )
            before = now
    print(f"{reports[-1]['at'] - began:6.1f} s: the last was told")


def draw(installed: Installed, study: str, picture: Path) -> None:
    """The report's chart of workers over time, without the rest of the page."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("--picture needs chromium")
    server = "deploy/fairlead-server"
    installed.kubectl("exec", server, "--", "fairlead", "report", study, "--output", "/tmp/r.html")
    page = installed.kubectl("exec", server, "--", "cat", "/tmp/r.html")
    alone = "<style>h1, p.under, .story, dl, details, footer, section:not(:has(#fit_workers))"
    alone += " { display: none !important }</style>"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page.replace("</head>", f"{alone}</head>"))
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        options += ["--disable-component-update", "--disable-sync", "--window-size=1000,640"]
        options += [f"--user-data-dir={folder}/browser", f"--screenshot={picture.resolve()}"]
        subprocess.run([browser, *options, f"file://{path}"], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    image = os.environ["FAIRLEAD_TEST_DISTRIBUTED_IMAGE"]
    made = installation("postgresql", "training", image=image)
    with made as installed, tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "spec.yaml"
        document.write_text(json.dumps(spec(given.engine)))
        code = Path(softmax.__file__).read_text() + BUSY
        (Path(folder) / "busy.py").write_text(code)
        command = python("-m", "fairlead", "run", str(document), "--on", "kubernetes", "--json")
        command += ["--namespace", installed.namespace, "--workers", "1", "--memory", "3Gi"]
        command += ["--cpu", "100m"]
        with (Path(folder) / "out").open("w+") as out:
            running = subprocess.Popen(command, stdout=out, stderr=sys.stderr, text=True)
            followed(installed, running)
            if running.returncode:
                raise SystemExit(running.returncode)
            out.seek(0)
            outcome = json.loads(out.read())
        told(installed.fits(outcome["run"]))
        if given.picture:
            draw(installed, outcome["study"], given.picture)


if __name__ == "__main__":
    main()
