"""How a server begins: what it serves, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fairlead.errors import Invalid
from fairlead.registry.registry import Registry
from fairlead.rollout.smoke_test import Endpoint, smoke_test
from fairlead.server.auth import add_token, remove_token
from fairlead.serving.proof import Golden
from tests.integration.server.rig import DEADLINE, MODEL, Home, serving, started
from tests.integration.serving.making import adding
from tests.support.waiting import wait_until


def test_a_model_without_a_route_is_served_by_its_champion(home: Home) -> None:
    with serving(home) as served:
        assert served.ask()[1]["revision"] == "v1"
        deployment = wait_until(lambda: home.ledger.deployments.get(MODEL))
        assert home.ended(deployment).state == "done"
        assert home.route().traffic == {"v1": 100}


READY = ("/v2/health/ready", "/readyz", f"/v2/models/{MODEL}/ready")


@pytest.mark.parametrize("path", READY)
def test_from_when_it_says_that_it_is_ready_every_process_answers(home: Home, path: str) -> None:
    """Each request is over a connection of its own, which any of the processes may get."""
    with started(home, "--processes", "4") as served:
        wait_until(lambda: served.status(path) == 200, every=0.0)
        assert [served.ask()[0] for _ in range(40)] == [200] * 40
        assert home.ended(home.ledger.deployments.get(MODEL)).state == "done"


def test_a_version_is_ready_once_every_process_answers_with_it(home: Home) -> None:
    path = f"/v2/models/{MODEL}/versions/2/ready"
    with serving(home, "--processes", "4") as served:
        home.deploy(home.good())
        wait_until(lambda: served.status(path) == 200, every=0.0)
        assert [served.ask(revision="v2")[0] for _ in range(40)] == [200] * 40


def test_as_long_as_one_process_does_not_answer_none_says_that_it_is_ready(home: Home) -> None:
    with started(home) as served:
        stopped, _ = wait_until(lambda: len(served.processes()) == 2 and served.processes())
        stopped.suspend()
        metadata = f"/v2/models/{MODEL}"
        wait_until(lambda: served.status(metadata) == 200)
        asked = [served.status(path) for _ in range(4) for path in READY]
        assert set(asked) <= {503, None}  # the one that is stopped says nothing
        assert 503 in asked
        stopped.resume()
        for path in READY:
            wait_until(lambda path=path: served.status(path) == 200)  # type: ignore[misc]
        assert served.ask()[0] == 200


def test_what_is_live_stays_live_whatever_the_champion_is(home: Home) -> None:
    version = home.good()
    with serving(home):
        assert home.ended(home.ledger.deployments.get(MODEL)).state == "done"
    Registry(home.ledger, home.artifacts).promote(MODEL, version, why="better")
    with serving(home) as served:
        assert served.ask()[1]["revision"] == "v1"
        assert len(home.ledger.routes.history(MODEL)) == 1
        assert served.said("v1 is live, and the champion is v2; `fairlead deploy sums` deploys")


def test_a_server_of_all_models_picks_up_one_that_is_deployed_later(home: Home) -> None:
    with serving(home) as served:
        home.deploy(home.good())
        wait_until(lambda: served.ask()[1]["revision"] == "v2")


def test_the_answers_are_the_golden_ones(home: Home) -> None:
    golden = home.golden("v1")
    assert len(golden.rows) > 5
    with serving(home) as served:
        answered = smoke_test(Endpoint(url=served.url), MODEL, {"v1": golden})
        assert (answered.difference, answered.revision) == ("", "v1")


def test_what_is_wrong_with_an_answer_is_told_with_its_row(home: Home) -> None:
    golden = home.golden("v1")
    wrong = replace(golden, predictions=[1e30, *golden.predictions[1:]])
    with serving(home) as served:
        found = smoke_test(Endpoint(url=served.url), MODEL, {"v1": wrong}).difference
    assert re.fullmatch(
        r"revision 'v1': golden row 1: it predicts \d\.\d+, and predicted 1e\+30 when made", found
    )


def test_a_port_that_is_in_use_is_refused_in_one_line(home: Home) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        said = f"binding 127.0.0.1:{port}: Address already in use; choose another"
        with started(home, "--port", str(port), "--log-form", "lines") as served:
            assert served.child.wait(DEADLINE) == 2
        (line,) = served.text.splitlines()
        assert line.startswith(said)
        with started(home, "--port", str(port)) as served:
            assert served.child.wait(DEADLINE) == 2
    (line,) = served.text.splitlines()
    logged = json.loads(line)
    assert (logged["level"], logged["process"]) == ("error", served.child.pid)
    assert logged["message"].startswith(said)


def test_the_port_of_another_server_is_refused_too(home: Home) -> None:
    with serving(home) as first, started(home, "--port", first.url.rpartition(":")[2]) as second:
        assert second.child.wait(DEADLINE) == 2
        assert second.said("Address already in use")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_is_refused_without_a_token(home: Home, host: str) -> None:
    with started(home, "--host", host) as served:
        assert served.child.wait(DEADLINE) == 2
    assert served.said(f"binding {host!r}: other machines can reach it, and without a token")


def test_tokens_are_followed_while_the_server_runs(home: Home) -> None:
    file = home.path / "tokens.json"
    with serving(home) as served:
        assert served.ask()[0] == 200
        add_token(file, "shop")
        wait_until(lambda: served.ask()[0] == 401, seconds=5)
        remove_token(file, "shop")
        wait_until(lambda: served.ask()[0] == 200, seconds=5)
        home.deploy(home.good())
        wait_until(lambda: served.ask()[1]["revision"] == "v2")


def test_where_others_can_reach_it_nobody_is_let_in_without_a_last_token(home: Home) -> None:
    file = home.path / "tokens.json"
    token = add_token(file, "shop")
    golden = {"v1": home.golden("v1")}
    with serving(home, "--host", "0.0.0.0") as served:
        address = Endpoint(url=served.url, token=token)
        assert not smoke_test(address, MODEL, golden).difference
        remove_token(file, "shop")
        wait_until(lambda: served.said("no request is accepted until"), seconds=5)
        wait_until(lambda: _refused(address, golden), seconds=5)
        assert served.ask()[0] == 401
        again = Endpoint(url=served.url, token=add_token(file, "shop"))
        wait_until(lambda: not _refused(again, golden), seconds=5)


def _refused(address: Endpoint, golden: Mapping[str, Golden]) -> bool:
    try:
        smoke_test(address, MODEL, golden)
    except Invalid:
        return True
    return False


def test_with_a_token_the_server_asks_its_own_golden_rows_all_the_same(home: Home) -> None:
    token = add_token(home.path / "tokens.json", "shop")
    golden = {"v1": home.golden("v1")}
    with serving(home, "--host", "0.0.0.0") as served:
        assert home.ended(home.ledger.deployments.get(MODEL)).state == "done"
        assert served.ask()[0] == 401
        with pytest.raises(Invalid, match="401"):
            smoke_test(Endpoint(url=served.url, token="guessed"), MODEL, golden)
        assert not smoke_test(Endpoint(url=served.url, token=token), MODEL, golden).difference


def test_a_server_of_named_models_leaves_the_deployments_of_others_alone(home: Home) -> None:
    with started(home, "nothing") as served:
        assert served.child.wait(DEADLINE) == 2
    assert served.said("'nothing'")


def test_a_server_whose_only_model_fails_its_check_is_alive_and_not_ready(home: Home) -> None:
    version = home.version(adding(1.0))
    Registry(home.ledger, home.artifacts).promote(MODEL, version, why="not looked at")
    with started(home) as served:
        wait_until(lambda: served.status("/livez") == 200)
        assert served.status("/readyz") == 503
        assert served.said("failed: checking revision 'v2' of model 'sums'")
        home.deploy(1)
        wait_until(served.answers)
        wait_until(lambda: served.status("/readyz") == 200)


def test_what_was_checked_once_on_this_machine_is_not_checked_by_the_next_server(
    home: Home, tmp_path: Path
) -> None:
    checks = tmp_path / "checks"
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'fairlead.serving.check' in sys.orig_argv:\n"
        f"    open({str(checks)!r}, 'a').write('x')\n"
    )
    for _ in range(2):
        with serving(home, PYTHONPATH=str(tmp_path)) as served:
            assert served.ask()[0] == 200
            assert home.ended(home.ledger.deployments.get(MODEL)).state == "done"
    assert checks.read_text() == "x"
    for file in (home.path / "checked").iterdir():
        file.write_text("damaged")
    with serving(home, PYTHONPATH=str(tmp_path)) as served:
        assert served.ask()[0] == 200
    assert checks.read_text() == "xx"
