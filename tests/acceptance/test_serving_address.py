"""What a server says about where it is."""

from __future__ import annotations

from fairlead.ledger.store import open_ledger
from tests.acceptance.conftest import Place
from tests.support.waiting import wait_until


def test_a_server_for_others_says_what_it_is_bound_to(place: Place) -> None:
    place.done("token", "add", "shop")
    serving = place.serve("--host", "0.0.0.0")
    port = serving.url.rpartition(":")[2]
    assert serving.url == f"http://127.0.0.1:{port}"
    assert serving.said[0].endswith(f"processes, bound to 0.0.0.0:{port}")


def test_a_server_is_known_by_the_name_that_it_advertises(place: Place) -> None:
    place.done("token", "add", "shop")
    serving = place.serve("--host", "0.0.0.0", "--advertise", "localhost")
    assert serving.url.startswith("http://localhost:")
    with open_ledger(place.home / "ledger.db") as ledger:
        known = wait_until(lambda: [server.url for server in ledger.servers.alive()])
    assert known == [serving.url]
