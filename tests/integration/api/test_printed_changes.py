"""What commands print of a change with `--json` is what the API answers."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.api.conftest import Home


def test_a_change_is_printed_as_the_api_answers_it(home: Home) -> None:
    def printed(*args: str) -> Any:
        return json.loads(home.done(*args, "--json"))

    back = printed("rollback", "sums", "--why", "a test")["promotion"]
    assert (back["version"], back["previous"]) == (1, 2)
    assert printed("promote", "sums", "2", "--why", "a test")["promotion"]["previous"] == 1
    assert printed("promote", "sums", "2", "--why", "a test") == {"promotion": None}
    run = home.done("submit", "sums.yaml", "--fresh").strip()
    assert printed("pause", run)["id"] == run
    assert printed("resume", run)["state"] == "running"
    assert printed("cancel", run, "--why", "a test")["state"] == "cancelled"
    home.done("retrain", "sums", "--every", "1d")
    assert printed("schedules", "pause", "sums")["paused"] is True
    assert printed("schedules", "resume", "sums")["paused"] is False
