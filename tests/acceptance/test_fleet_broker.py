"""RabbitMQ goes away in the middle of tasks and comes back: it costs no trial and no attempt."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fairlead.ledger.store import open_ledger
from tests.support import rabbitmq
from tests.support.fleet import Fleet, alone, once_each
from tests.support.postgres import database
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until


def test_a_broker_that_is_away_costs_no_trial(
    tmp_path: Path, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is away while tasks run, for the rest of one run and the beginning of another."""
    url = urlsplit(rabbitmq.own_names(rabbitmq.shared_url(tmp_path_factory)))
    assert url.port
    proxy = Proxy(url.port)
    near = url.geturl().replace(f":{url.port}", f":{proxy.port}")
    with database(postgres) as ledger_url, open_ledger(ledger_url) as ledger:
        fleet = Fleet(tmp_path, ledger_url, more={"FAIRLEAD_QUEUE": near})
        try:
            fleet.start("c1", "controller")
            fleet.start("w1", "worker", "--name", "w1")
            fleet.start("w2", "worker", "--name", "w2")
            first = fleet.done("submit", "forest.yaml").strip()
            study = ledger.runs.get(first).study
            wait_until(lambda: ledger.studies.counts(study).done >= 3)
            proxy.go_down()
            fleet.done("watch", first, "--json")
            assert once_each(ledger, study)
            other = fleet.done("submit", "forest.yaml", "--fresh").strip()
            again = ledger.runs.get(other).study
            wait_until(lambda: ledger.studies.counts(again).done >= 3)
            proxy.come_back()
            fleet.done("watch", other, "--json")
            assert once_each(ledger, again)
            assert not [one for one in ledger.studies.events(study) if one.kind == "lost"]
            wait_until(lambda: fleet.logs().count("is back") >= 2)
            assert fleet.trials(study) == fleet.trials(again)
            assert fleet.trials(study) == alone(tmp_path_factory.mktemp("alone"))
            fleet.end()
        finally:
            fleet.close()
            proxy.close()
