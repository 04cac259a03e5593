"""A server of one version, whatever the ledger routes: for platforms that split traffic."""

from __future__ import annotations

from fairlead.rollout.start import start_deployment
from tests.integration.server.rig import MODEL, Home, Served, load, serving, started
from tests.integration.serving.making import adding
from tests.support.waiting import wait_until

FIXED = ("--version", "2")


def answered(served: Served) -> int | None:
    """The status of a prediction, once the server has an address and is ready."""
    if "serving at" not in served.text:
        return None
    status, _ = served.ask()
    return status


def test_it_serves_its_version_and_leaves_the_ledger_as_it_is(home: Home) -> None:
    home.version(adding(100.0), golden=100.0)
    with started(home, MODEL, *FIXED) as served:
        wait_until(lambda: answered(served) == 200)
        assert served.ask()[1]["version"] == 2
        wait_until(lambda: f"{MODEL}: v2 alone is served" in served.text)
        assert home.ledger.routes.current(MODEL) is None
        assert home.ledger.routes.revisions(MODEL) == []
        assert home.ledger.servers.alive() == []


def test_a_deployment_neither_waits_for_it_nor_changes_it(home: Home) -> None:
    home.version(adding(100.0), golden=100.0)
    with started(home, MODEL, *FIXED) as fixed, serving(home):
        wait_until(lambda: answered(fixed) == 200)
        deployment = start_deployment(home.stores, MODEL, version=1)
        assert home.ended(deployment).state == "done"
        with load(fixed.url) as clients:
            wait_until(lambda: sum(clients.answers.values()) > 50)
        assert {(status, version) for status, version in clients.answers} == {(200, "v2")}


def test_it_answers_when_the_ledger_is_gone(home: Home) -> None:
    home.version(adding(100.0), golden=100.0)
    with started(home, MODEL, *FIXED) as served:
        wait_until(lambda: answered(served) == 200)
        (home.path / "ledger.db").rename(home.path / "elsewhere.db")
        assert served.ask()[0] == 200
        served.child.terminate()
        assert served.child.wait(30) == 0


def test_a_damaged_version_is_alive_and_not_ready(home: Home) -> None:
    home.version(b"no model", golden=100.0)
    with started(home, MODEL, *FIXED) as served:
        wait_until(lambda: "cannot be served" in served.text)
        wait_until(lambda: answered(served) == 503)


def test_a_version_that_is_not_there_is_refused(home: Home) -> None:
    with started(home, MODEL, *FIXED) as served:
        assert served.child.wait(60) == 2
    assert len(served.text.splitlines()) == 1
    assert "version 2" in served.text or "v2" in served.text


def test_a_version_needs_one_model(home: Home) -> None:
    with started(home, *FIXED) as served:
        assert served.child.wait(60) == 2
    assert "--version needs one MODEL" in served.text
