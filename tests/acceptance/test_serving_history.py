"""What `route` and `deploy` tell of what is in force, and of how it came to be."""

from __future__ import annotations

import re

from tests.acceptance.conftest import Place
from tests.support.waiting import wait_until


def test_a_newer_deployment_says_what_it_supersedes_and_the_history_keeps_it(place: Place) -> None:
    place.done("deploy", "ridge")
    begun = place.run("deploy", "ridge", "--version", "1")
    assert "supersedes deployment 1 of v2, which had no traffic yet" in begun.stderr
    history = " ".join(place.done("route", "ridge", "--history").split())
    assert re.search(r"[0-9]{2}:[0-9]{2}:[0-9]{2} - superseded - deployment 1 of v2", history)


def test_what_has_traffic_is_told_by_the_route_in_force(place: Place) -> None:
    place.serve().until("curl ")
    wait_until(lambda: place.deployment().state == "done")
    place.done("deploy", "ridge", "--version", "1", "--wait")
    place.done("undo", "ridge", "--why", "only a trial")
    wait_until(lambda: "retired" in place.done("route", "ridge", "--all"))
    seen = place.run("route", "ridge")
    assert "route 3: only a trial" in " ".join(seen.stdout.split())
    assert "v1" not in seen.stdout
    assert "not shown: 1 retired (--all shows them)" in seen.stderr
    assert "is done" not in seen.stderr
    assert "v1" in place.done("route", "ridge", "--all")
