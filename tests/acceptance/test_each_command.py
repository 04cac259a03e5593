"""Each command once, on one home; `make test-quick` runs no other test of commands."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Callable

from fairlead.cli.main import NAMES
from tests.acceptance.conftest import Place
from tests.support.waiting import wait_until


def test_each_command_does_its_work(place: Place) -> None:
    used: list[str] = []

    def done(*words: str) -> str:
        used.append(words[0])
        return place.done(*words)

    assert "ok  ledger" in done("doctor")
    assert "random_forest" in done("families")
    assert json.loads(done("schema"))["properties"]["search"]
    done("new", "prices", "--example", "boston")
    assert (place.folder / "prices" / "boston.yaml").exists()
    assert "1 trial" in done("plan", "ridge.yaml")
    assert done("score", "ridge.yaml").startswith("mse=")
    used += asked_of_no_cluster(place)
    run = ("run", "ridge.yaml", "--set", "search.over[0].params.alpha=[0.7]")
    assert json.loads(done(*run, "--json"))["version"] == 3
    assert done("studies").count("ridge") == 3
    assert "0.7" in done("trials", "ridge")
    assert ".html" in done("report", "ridge")
    assert "alpha" in done("export", "ridge", "--to", "csv")
    assert "ridge" in done("models")
    worker = submitted_and_carried(place, done, used)
    back = json.loads(done("rollback", "ridge", "--why", "a test", "--json"))["promotion"]
    promote = ("promote", "ridge", str(back["previous"]), "--why", "a test", "--json")
    assert json.loads(done(*promote))["promotion"]["previous"] == back["version"]
    assert json.loads(done(*promote)) == {"promotion": None}
    done("promote", "ridge", "1", "--why", "a test")
    assert "v1" in done("history", "ridge")
    assert "equal" in done("reproduce", "ridge", "1")
    done("gc")
    assert "current" in done("ledger", "status")

    assert "0 -> 1" in done("autoscale", "--plan", "study:ridge")
    serving = place.serve()
    used.append("serve")
    row = shlex.split(serving.until("curl "))[-1]
    (place.folder / "rows.jsonl").write_text(json.dumps(json.loads(row)["rows"][0]) + "\n")
    assert done("predict", "ridge", "rows.jsonl")
    done("test-endpoint", "ridge")
    done("deploy", "ridge", "--version", "2", "--wait")
    assert place.traffic() == {"v2": 100}
    assert "v2" in done("route", "ridge")
    done("undo", "ridge", "--why", "only a trial")
    assert place.traffic() == {"v1": 100}
    done("undeploy", "ridge", "--why", "the end")
    wait_until(lambda: not place.traffic())
    assert done("token", "add", "shop")
    assert serving.stop() == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    used += held_and_kept(place)
    assert {*used} == {*NAMES}


def asked_of_no_cluster(place: Place) -> list[str]:
    """What can be said of a cluster without one."""
    assert "kind: Study" in place.done("render", "ridge.yaml", "--for", "kubernetes")
    assert "kind: StatefulSet" in place.done("install", "--with", "postgresql", "--dry-run")
    assert "kubeconfig" in place.run("uninstall", "--context", "no-such-context").stderr
    return ["render", "install", "uninstall"]


def held_and_kept(place: Place) -> list[str]:
    """The programs of a cluster, as far as they need none."""
    said = place.folder / "gateway.out"
    with said.open("wb") as out:
        gateway = place.start(
            "gateway", "--to", "http://127.0.0.1:9", "--port", "0", stdout=out, stderr=out
        )
    wait_until(lambda: "gateway at http://127.0.0.1:" in said.read_text())
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait(60) == 0
    refused = place.run("operator", "--image", "fairlead:1")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "PostgreSQL" in refused.stderr
    return ["gateway", "operator"]


def submitted_and_carried(
    place: Place, done: Callable[..., str], used: list[str]
) -> subprocess.Popen[bytes]:
    """A run of the fleet's; returns its worker."""
    run = done("submit", "ridge.yaml", "--set", "search.over[0].params.alpha=[0.8]").strip()
    assert "wait: no worker is alive" in place.run("fleet").stderr
    assert json.loads(done("pause", run, "--json"))["id"] == run
    used += ["controller", "worker"]
    controller = place.start("controller", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    worker = place.start("worker", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: json.loads(done("fleet", "--json"))["alive"])
    assert done("adjust", run, "--priority", "3").strip() == run
    assert json.loads(done("resume", run, "--json"))["id"] == run
    assert json.loads(done("watch", run, "--json"))["version"] == 4
    assert "committed" in done("logs", run)
    again = json.loads(done("retrain", "ridge", "--json"))
    assert again["study"] in run  # the data is the same
    done("watch", again["id"])
    done("retrain", "ridge", "--every", "1w", "--at", "03:00")
    assert json.loads(done("schedules", "--json"))[0]["schedule"]["model"] == "ridge"
    assert json.loads(done("schedules", "pause", "ridge", "--json"))["paused"] is True
    assert json.loads(done("schedules", "resume", "ridge", "--json"))["paused"] is False
    done("schedules", "remove", "ridge")
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(60) == 0
    used.append("server")
    said = place.folder / "server.out"
    with said.open("wb") as out:
        server = place.start("server", "--port", "0", stdout=out, stderr=subprocess.DEVNULL)
    wait_until(lambda: "control API at http://127.0.0.1:" in said.read_text())
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    other = done("submit", "ridge.yaml", "--fresh").strip()
    ended = json.loads(done("cancel", other, "--why", "a test", "--json"))
    assert (ended["id"], ended["state"]) == (other, "cancelled")
    states = [row["run"]["state"] for row in json.loads(done("runs", "--json"))]
    assert states[:2] == ["cancelled", "done"]
    return worker
