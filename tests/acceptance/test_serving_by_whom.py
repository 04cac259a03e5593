"""Commands speak of the servers that live and serve the model that they are about."""

from __future__ import annotations

import os
import re
import signal

import psutil

from tests.acceptance.conftest import Place, Serving
from tests.support.waiting import wait_until

SPEC = """
name: lasso
data: {source: diabetes, seed: 0}
search:
  method: grid
  folds: 2
  over:
    - family: sklearn.linear_model:Lasso
      params: {alpha: [0.5]}
promote: {when: always}
"""


def lasso(place: Place) -> None:
    """One more model."""
    (place.folder / "lasso.yaml").write_text(SPEC)
    place.done("run", "lasso.yaml")


def killed(serving: Serving) -> None:
    """The server and its processes end without a word."""
    family = psutil.Process(serving.process.pid).children(recursive=True)
    serving.kill()
    for one in family:
        os.kill(one.pid, signal.SIGKILL)


def test_a_server_of_another_model_is_none_for_this_one(place: Place) -> None:
    lasso(place)
    place.serve("ridge").until("curl ")
    assert "no server serves it now" in place.refused(1, "deploy", "lasso", "--wait")
    assert "no server serves it now" in place.run("deploy", "lasso").stderr
    assert "no server serves it now" in place.run("route", "lasso").stderr
    assert "http" not in place.run("route", "lasso").stderr


def test_a_server_of_all_models_serves_the_others_of_one_that_is_out_of_service(
    place: Place,
) -> None:
    lasso(place)
    place.done("deploy", "ridge")
    place.done("undeploy", "ridge", "--why", "nobody asks")
    serving = place.serve()
    serving.until("lasso: v1 100 %")
    assert "ridge is out of service since" in serving.errors.read_text()
    assert place.traffic() == {}
    assert place.traffic("lasso") == {"v1": 100}


def test_what_is_live_where_nobody_serves_it_is_not_called_so(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    assert serving.stop() == 0
    assert "no server serves it now" in place.refused(1, "deploy", "ridge", "--wait")
    assert "nothing was written" in place.run("deploy", "ridge").stderr


def test_servers_that_were_killed_follow_nothing(place: Place) -> None:
    serving = place.serve()
    serving.until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    place.done("deploy", "ridge", "--version", "1", "--wait")
    killed(serving)
    undone = place.run("undo", "ridge", "--why", "all are dead")
    assert undone.returncode == 0
    assert "no server serves it now" in undone.stderr
    assert "every serving process" not in undone.stderr
    assert "no server has reported since" in place.run("route", "ridge").stderr
    assert "no server of this home runs for it" in place.refused(1, "test-endpoint", "ridge")


def test_a_canary_that_nobody_asks_says_so_and_is_waited_for_no_longer_than_told(
    place: Place,
) -> None:
    place.serve().until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    canary = ("deploy", "ridge", "--version", "1", "--canary", "10,100")
    done = place.run(*canary, "--wait", "--timeout", "4")
    assert done.returncode == 1
    waits = r"^ridge v1: at 10 % of the traffic: [0-9]+ of 20 requests so far$"
    assert re.search(waits, done.stderr, re.MULTILINE)
    assert "continues in the background" in done.stderr.splitlines()[-1]
    assert place.deployment().state == "running"
    assert "--timeout goes with --wait" in place.refused(2, *canary, "--timeout", "4")
