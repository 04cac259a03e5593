"""The commands of serving, as people use them: real servers, real requests."""

from __future__ import annotations

import json
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.ledger.store import open_ledger
from tests.acceptance.conftest import Place, Serving
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def asked(line: str, **headers: str) -> Any:
    """The answer to a curl line, asked without curl."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-sS"]
    url, body = next(word for word in words if word.startswith("http")), words[-1]
    request = urllib.request.Request(url, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@contextmanager
def traffic(serving: Serving) -> Iterator[list[str]]:
    """Somebody who asks all the time; the revisions that answered, and what failed."""
    line = next(line for line in serving.said if line.startswith("curl"))
    answered: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answered.append(asked(line)["revision"])
            except OSError as error:
                answered.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answered
    finally:
        done.set()
        asking.join()


# ---- serve ----------------------------------------------------------------------------------


def test_serve_prints_a_curl_line_whose_answer_is_that_of_predict(place: Place) -> None:
    serving = place.serve()
    line = serving.until("curl ")
    assert serving.said[1] == "ridge: v2 100 % (route 1)"
    answer = asked(line)
    row = json.loads(shlex.split(line)[-1])["rows"][0]
    rows = place.folder / "rows.jsonl"
    rows.write_text(json.dumps(row) + "\n")
    predicted = place.done("predict", "ridge", str(rows)).splitlines()
    assert {**answer, "predictions": str(answer["predictions"][0])} == {
        "model": "ridge",
        "version": 2,
        "revision": "v2",
        "predictions": predicted[1],
    }


def test_serve_ends_with_status_0_when_it_is_told_to(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    assert serving.stop() == 0
    logged = [json.loads(line) for line in serving.errors.read_text().splitlines()]
    assert logged[-1]["message"] == "stopped"


def test_every_line_of_a_servers_log_is_json_where_no_terminal_is(place: Place) -> None:
    serving = place.serve()
    line = serving.until("curl ")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        asked(f"{line.rpartition(' -d ')[0]} -d '{{}}'")
    wait_until(lambda: place.deployment().state == "done")
    serving.stop()
    logged = [json.loads(line) for line in serving.errors.read_text().splitlines()]
    assert all({"at", "level", "message", "process"} <= each.keys() for each in logged)
    told = [each["message"] for each in logged]
    assert told[-1] == "stopped"
    assert "ridge v2: done, 100 % of the traffic" in told
    (failed,) = [each for each in logged if each["message"] == "request failed"]
    assert failed["error"]


def test_lines_for_people_are_short(place: Place) -> None:
    serving = place.serve("--log-form", "lines", "--log-requests")
    asked(serving.until("curl "))
    serving.stop()
    lines = serving.errors.read_text().splitlines()
    asking = [line for line in lines if ":predict" in line]
    shape = r"\d\d:\d\d:\d\d info    200 POST /models/ridge:predict v2 [\d.]+ ms"
    assert re.fullmatch(shape, asking[-1])
    assert all(len(line) <= 80 for line in lines)


def test_a_port_that_is_taken_is_one_line(place: Place) -> None:
    port = place.serve().url.rpartition(":")[2]
    done = place.run("serve", "--port", port)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"binding 127.0.0.1:{port}: Address already in use" in done.stderr


def test_a_model_that_is_not_there_is_one_line(place: Place) -> None:
    done = place.run("serve", "--port", "0", "lasso")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'lasso'" in done.stderr


def test_others_than_this_machine_are_let_in_with_a_token_only(place: Place) -> None:
    assert "home token add NAME` adds a token" in place.refused(
        2, "serve", "--host", "0.0.0.0", "--port", "0"
    )


# ---- deploy ---------------------------------------------------------------------------------


def test_without_a_server_a_deployment_waits_for_the_next_one(place: Place) -> None:
    done = place.run("deploy", "ridge", "--version", "1")
    assert done.stdout == "ridge: deployment 1 of v1 began (100 %)\n"
    assert f"the next `{place.program} serve` carries it out" in done.stderr
    place.serve().until("ridge: v1 100 %")
    wait_until(lambda: place.deployment().state == "done")


def test_to_wait_without_a_server_is_refused_and_nothing_is_written(place: Place) -> None:
    assert "no server serves it now" in place.refused(1, "deploy", "ridge", "--wait")
    with pytest.raises(FairleadError):
        place.deployment()


def test_a_canary_goes_step_by_step_while_nobody_notices(place: Place) -> None:
    place.done("deploy", "ridge", "--version", "1")
    serving = place.serve()
    serving.until("curl ")
    with traffic(serving) as answered:
        done = place.run("deploy", "ridge", "--canary", "10,50,100", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert "ridge v2: 10 % of the traffic (step 1 of 3)" in lines
    assert "ridge v2: 50 % of the traffic (step 2 of 3)" in lines
    assert lines[-1] == "ridge v2: done, 100 % of the traffic"
    assert set(answered) == {"v1", "v2"}
    details = json.loads(done.stdout)["details"]
    assert details["traffic"] == [{"revision": "v2", "version": 2, "percent": 100}]
    assert details["previous"]["traffic"] == [
        {"revision": "v1", "version": 1, "percent": 50},
        {"revision": "v2", "version": 2, "percent": 50},
    ]


def test_the_details_say_where_what_is_live_comes_from(place: Place) -> None:
    place.serve().until("curl ")
    details = place.json("deploy", "ridge", "--version", "1", "--wait")["details"]
    with open_ledger(place.home / "ledger.db") as ledger:
        version = ledger.versions.get("ridge", 1)
        route = ledger.routes.current("ridge")
        assert route is not None
    candidate = manifest.load(Artifacts(place.home / "artifacts").get(version.manifest))
    assert details["metrics"]["holdout"] == candidate.holdout_score
    assert details["digests"]["model"] == candidate.files["model.onnx"].digest
    assert (details["study"], details["route"]) == (version.study, route.number)
    assert details["gate"]["decision"] == "promote"
    assert details["at"] == pytest.approx(route.at, abs=1.0)
    assert re.fullmatch(r".+@.+", details["by"])
    printed = Artifacts(place.home / "artifacts").get(route.details)
    assert json.loads(printed) == details


def test_what_is_live_already_is_not_deployed_again(place: Place) -> None:
    place.serve().until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    done = place.run("deploy", "ridge", "--wait")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("v2 has all of the traffic already: nothing was written")
    assert f"`{place.program} deploy ridge --version VERSION`" in line
    assert re.search(r"^live +ridge v2$", done.stdout, re.MULTILINE)
    assert place.deployment().number == 1


def test_a_version_that_predicts_something_else_than_was_trained_is_refused(place: Place) -> None:
    from dataclasses import replace

    from fairlead.registry.registry import Registry

    with open_ledger(place.home / "ledger.db") as ledger:
        registry = Registry(ledger, Artifacts(place.home / "artifacts"))
        candidate = registry.candidate(registry.version("ridge", 1))
        assert candidate.parity is not None
        failed = replace(candidate, parity=replace(candidate.parity, passed=False, beyond=7))
        version = registry.register(failed, model="ridge", size=1)
    line = place.refused(1, "deploy", "ridge", "--version", str(version.number))
    assert line.startswith("deploying v3 of model 'ridge': its exported form does not predict")


def test_a_deployment_that_fails_ends_with_status_1_and_the_reason(place: Place) -> None:
    place.serve().until("curl ")
    with open_ledger(place.home / "ledger.db") as ledger:
        version = ledger.versions.get("ridge", 1)
    artifacts = Artifacts(place.home / "artifacts")
    candidate = manifest.load(artifacts.get(version.manifest))
    golden = artifacts.path(candidate.files["golden.json"].digest)
    golden.chmod(0o644)
    golden.write_text("{}")
    line = place.refused(1, "deploy", "ridge", "--version", "1", "--wait")
    assert re.match(r"deploying 'ridge': deployment 2 of v1 failed: artefact .+ is damaged", line)
    assert place.traffic() == {"v2": 100}
    history = place.done("route", "ridge", "--history")
    assert history.count("damaged") == 1, history
    assert re.search(r"-  failed +- +deployment 2 of v1: ", history), history


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        ("50,10,100", "must rise from above 0 to 100"),
        ("10,50", "must rise from above 0 to 100"),
        ("ten", "such as 10,50,100"),
    ],
)
def test_steps_that_do_not_rise_to_100_are_refused(place: Place, canary: str, said: str) -> None:
    assert said in place.refused(2, "deploy", "ridge", "--canary", canary)


# ---- route and undo -------------------------------------------------------------------------


@pytest.fixture
def both(place: Place) -> Serving:
    """A server of v2, which v1 was replaced by."""
    place.done("deploy", "ridge", "--version", "1")
    serving = place.serve()
    serving.until("curl ")
    place.done("deploy", "ridge", "--wait")
    return serving


def test_undo_goes_back_and_says_so_once_every_process_follows(place: Place, both: Serving) -> None:
    done = place.run("undo", "ridge", "--why", "too low")
    assert done.stdout == "ridge: route 3, v1 100 % (was v2 100 %)\n"
    assert "answers the golden rows to the last bit" in done.stderr
    assert asked(next(line for line in both.said if line.startswith("curl")))["revision"] == "v1"
    assert "every change of its traffic is undone" in place.refused(
        2, "undo", "ridge", "--why", "more"
    )


def test_traffic_is_shared_by_hand_and_undone(place: Place, both: Serving) -> None:
    place.done("route", "ridge", "--set", "v1=90,v2=10", "--why", "a closer look")
    shown = place.json("route", "ridge")
    assert shown["route"]["traffic"] == {"v1": 90, "v2": 10}
    assert place.json("models")[0]["live"] == {"v1": 90, "v2": 10}
    table = place.done("models")
    assert max(map(len, table.splitlines())) <= 80
    assert "v1 90 %" in table
    assert shown["route"]["why"] == "a closer look"
    assert [server["routes"]["ridge"] for server in shown["servers"]] == [3]
    place.done("undo", "ridge", "--why", "seen enough")
    assert place.traffic() == {"v2": 100}
    history = place.done("route", "ridge", "--history")
    assert [line.split()[2:4] for line in history.splitlines()[2:]] == [
        ["1", "deploy"],
        ["-", "done"],
        ["2", "deploy"],
        ["-", "done"],
        ["3", "set"],
        ["4", "undo"],
    ]


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        ("v1=90,v2=20", "the percents make 110, not 100"),
        ("v1=50,v1=50", "give each revision once"),
        ("v1", "such as v3=90,v4=10"),
        ("v7=100", "has no revision 'v7'"),
    ],
)
def test_traffic_that_cannot_be_shared_so_is_refused(place: Place, traffic: str, said: str) -> None:
    place.done("deploy", "ridge")
    place.serve().until("curl ")
    assert said in place.refused(2, "route", "ridge", "--set", traffic)


def test_a_revision_that_was_never_proved_gets_no_traffic_by_hand(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    serving.stop()
    place.done("deploy", "ridge", "--version", "1")
    line = place.refused(2, "route", "ridge", "--set", "v1=100")
    assert "v1 is loading" in line
    assert place.traffic() == {"v2": 100}


def test_undo_ends_a_canary_that_waits_for_requests(place: Place, both: Serving) -> None:
    place.done("deploy", "ridge", "--version", "1", "--canary", "10,100")
    both.until("ridge: v2 90 %, v1 10 %")
    waits = wait_until(
        lambda: re.search(r"[0-9]+ of 20 requests so far", place.run("route", "ridge").stderr)
    )
    assert waits
    place.done("undo", "ridge", "--why", "not today")
    deployment = place.deployment()
    assert (deployment.state, deployment.reason) == ("undone", "not today")
    assert place.traffic() == {"v2": 100}


def test_undo_of_a_deployment_without_traffic_leaves_the_route(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    serving.stop()
    place.done("deploy", "ridge", "--version", "1")
    done = place.run("undo", "ridge", "--why", "the wrong version")
    assert done.stdout == "ridge: deployment 2 of v1 ended\n"
    assert place.traffic() == {"v2": 100}
    assert place.deployment().state == "undone"


def test_a_revision_has_the_same_reason_in_the_table_and_as_json(
    place: Place, both: Serving
) -> None:
    place.done("undo", "ridge", "--why", "too low")
    shown = {each["name"]: each["reason"] for each in place.json("route", "ridge")["revisions"]}
    assert shown["v1"] == "route 3: too low"
    assert shown["v1"] in " ".join(place.done("route", "ridge").split())


def test_a_deployment_says_as_json_what_clients_are_in_for(place: Place, both: Serving) -> None:
    warned = place.json("deploy", "ridge", "--version", "1")["warnings"]
    assert warned == ["v1 is not the champion, which is v2; the gate on v1: " + verdict(place, 1)]


def verdict(place: Place, version: int) -> str:
    with open_ledger(place.home / "ledger.db") as ledger:
        judged = [each for each in ledger.versions.judgements("ridge") if each.version == version]
    return judged[-1].verdict.text


def test_a_promotion_says_that_what_is_live_stays_and_a_deployment_follows_it(
    place: Place, both: Serving
) -> None:
    stays = f"live as before: v2 100 %; to serve v1: {place.program} deploy ridge"
    assert stays in place.run("rollback", "ridge", "--why", "too low").stderr
    assert place.traffic() == {"v2": 100}
    place.done("deploy", "ridge", "--wait")
    assert "live as before: v1 100 %" in place.run("promote", "ridge", "2", "--why", "it").stderr
    place.done("deploy", "ridge", "--wait")
    assert "live as" not in place.run("promote", "ridge", "2", "--why", "again").stderr


# ---- undeploy -------------------------------------------------------------------------------


def test_a_model_is_taken_out_of_service_and_every_command_says_so(
    place: Place, both: Serving
) -> None:
    done = place.run("undeploy", "ridge", "--why", "nobody asks")
    assert done.stdout == "ridge: route 3, out of service (was v2 100 %)\n"
    assert done.stderr == "every serving process follows it\n"
    both.until("ridge: out of service (route 3)")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        asked(next(line for line in both.said if line.startswith("curl")))
    assert "out of service by route 3 since" in place.run("route", "ridge").stderr
    assert place.json("models")[0]["live"] == {}
    assert "no revision is live" in place.refused(1, "test-endpoint", "ridge")
    again = place.run("undeploy", "ridge", "--why", "once more", "--json")
    assert json.loads(again.stdout)["route"]["number"] == 3
    assert "out of service since" in again.stderr
    back = place.run("undo", "ridge", "--why", "somebody does")
    assert back.stdout == "ridge: route 4, v2 100 % (was out of service)\n"
    assert "to the last bit" in back.stderr


def test_to_take_out_of_service_what_never_was_in_it_is_refused(place: Place) -> None:
    assert "has traffic yet" in place.refused(2, "undeploy", "ridge", "--why", "so")
    assert "the reason (why) is empty" in place.refused(2, "undeploy", "ridge", "--why", " ")
    assert "'lasso'" in place.refused(2, "undeploy", "lasso", "--why", "so")


# ---- test-endpoint --------------------------------------------------------------------------


@contextmanager
def impostor(predictions: Sequence[float]) -> Iterator[str]:
    """A server that answers with these numbers, whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rows"]
            body = json.dumps({"predictions": list(predictions)[: len(rows)]}).encode()
            self.send_response(200)
            self.send_header("Fairlead-Revision", "v2")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def test_an_endpoint_that_predicts_something_else_ends_with_status_1(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    assert "to the last bit" in place.done("test-endpoint", "ridge")
    with impostor([1.5] * 16) as url:
        line = place.refused(1, "test-endpoint", "ridge", "--url", url)
        assert "golden row 1: it predicts 1.5, and predicted" in line
        found = json.loads(place.run("test-endpoint", "ridge", "--url", url, "--json").stdout)
    assert [test["ok"] for test in found["tests"]] == [False]


def test_an_endpoint_that_is_not_there_ends_with_status_1(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    url = serving.url
    serving.stop()
    assert "no server of this home runs" in place.refused(1, "test-endpoint", "ridge")
    assert url in place.refused(1, "test-endpoint", "ridge", "--url", url)


# ---- tokens ---------------------------------------------------------------------------------


def test_with_a_token_only_those_who_have_it_are_let_in(place: Place) -> None:
    token = place.done("token", "add", "shop").strip()
    file = place.home / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    serving = place.serve()
    line = serving.until("curl ")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        asked(line)
    assert asked(line, Authorization=f"Bearer {token}")["revision"] == "v2"
    assert "401" in place.refused(2, "test-endpoint", "ridge")
    place.done("test-endpoint", "ridge", FAIRLEAD_TOKEN=token)


def test_a_route_that_could_not_be_tested_for_want_of_a_token_stays_and_exits_1(
    place: Place,
) -> None:
    token = place.done("token", "add", "shop").strip()
    place.done("deploy", "ridge", "--version", "1")
    place.serve().until("curl ")
    place.done("deploy", "ridge", "--wait", FAIRLEAD_TOKEN=token)
    said = place.refused(1, "undo", "ridge", "--why", "too low")
    assert "401" in said
    assert "route 3 stays in force, not tested" in said
    assert place.traffic() == {"v1": 100}
    place.done("route", "ridge", "--set", "v1=50,v2=50", "--why", "a look", FAIRLEAD_TOKEN=token)


def test_tokens_are_listed_and_removed_by_name(place: Place) -> None:
    place.done("token", "add", "shop")
    place.done("token", "add", "till")
    assert "there is one" in place.refused(2, "token", "add", "shop")
    place.done("token", "remove", "shop")
    assert [each["name"] for each in place.json("token", "list")] == ["till"]
    assert "tokens: till" in place.refused(2, "token", "remove", "shop")


# ---- run --deploy ---------------------------------------------------------------------------


def test_run_deploy_starts_a_server_where_none_runs_and_stops_it(place: Place) -> None:
    done = place.run("run", "ridge.yaml", "--deploy", "--set", "search.over[0].params.alpha=[0.7]")
    assert done.returncode == 0, done.stderr
    assert "starting one for the test" in done.stderr
    assert "answers the golden rows to the last bit" in done.stderr
    assert re.search(r"^live +ridge v3$", done.stdout, re.MULTILINE)
    assert place.traffic() == {"v3": 100}
    assert place.json("route", "ridge")["servers"] == []


def test_run_deploy_without_a_server_waits_for_no_canary_since_nobody_asks(place: Place) -> None:
    place.done("run", "ridge.yaml", "--deploy")
    canary = ("--set", "serve.canary=[10,100]", "--set", "serve.queue=99")
    assert place.json("run", "ridge.yaml", "--deploy", *canary)["deployed"]["revision"] == "v1-2"


def test_run_deploy_that_is_interrupted_says_what_is_kept(place: Place) -> None:
    place.done("deploy", "ridge", "--version", "2")
    place.serve().until("curl ")
    alpha = ("--set", "search.over[0].params.alpha=[0.7]", "--set", "serve.canary=[10,100]")
    errors = place.folder / "run.err"
    with errors.open("wb") as stderr:
        run = place.start("run", "ridge.yaml", "--deploy", *alpha, stderr=stderr)
    wait_until(lambda: place.deployment().step == 0 and place.deployment().revision == "v3")
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130
    assert "stopped: the version is registered; its deployment goes on" in errors.read_text()
    assert place.deployment().state == "running"


def test_run_deploy_has_a_server_that_runs_carry_it_out(place: Place) -> None:
    place.serve().until("curl ")
    alpha = "search.over[0].params.alpha=[0.7]"
    steps = "serve.judge.hold=1s"
    outcome = place.json("run", "ridge.yaml", "--deploy", "--set", alpha, "--set", steps)
    assert outcome["deployed"]["revision"] == "v3"
    assert outcome["deployed"]["previous"]["revision"] == "v2"
    assert [server["processes"] for server in place.json("route", "ridge")["servers"]] != [1]


def test_run_deploy_leaves_live_what_is_while_the_gate_keeps_it(place: Place) -> None:
    place.serve().until("curl ")
    done = place.run(
        *("run", "ridge.yaml", "--deploy", "--json", "--set", "promote.when=never"),
        *("--set", "search.over[0].params.alpha=[900.0]"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deployed"] is None
    assert "not deployed: v3 is not the champion" in done.stderr
    assert f"`{place.program} promote ridge 3 --why" in done.stderr
    assert place.traffic() == {"v2": 100}


# ---- the whole ------------------------------------------------------------------------------


def test_make_run_ends_with_a_prediction_and_a_clean_stop(place: Place) -> None:
    fairlead = place.folder / "fairlead"
    fairlead.write_text(f'#!/bin/sh\nexec {sys.executable} -m fairlead --home {place.home} "$@"\n')
    fairlead.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "examples/served.sh"), "ridge", str(fairlead)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"predictions":[' in done.stdout
    assert "to the last bit" in done.stdout
    assert done.stderr.splitlines()[-1].endswith("info    stopped")
