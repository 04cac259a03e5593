"""How kopf is told to call the operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NoReturn

import kopf
import pytest

from fairlead.errors import Unreachable
from fairlead.operator.handlers import Operator, _configure

AWAY = "the ledger is away"


class Unable:
    """Reconciles nothing for now."""

    def reconcile(self, *_: Any) -> NoReturn:
        raise Unreachable(AWAY)


def told(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the status of a Study of generation 2 is to say, while nothing can be done."""
    unable: Any = Unable()
    operator = Operator(studies=unable, endpoints=unable, gateway=unable, namespace="ml")
    metadata = {"name": "boston", "namespace": "ml", "uid": "u-1", "generation": 2}
    body = kopf.Body({"metadata": metadata, "spec": {}, "status": status})
    patch = kopf.Patch({})
    with pytest.raises(kopf.TemporaryError, match=AWAY):
        operator.study(body=body, patch=patch)
    return dict(patch.status)


def test_what_cannot_be_done_now_is_said_once() -> None:
    running = {"phase": "Searching", "observedGeneration": 2}
    message = f"{AWAY}; trying again"
    assert told({**running, "message": ""}) == {"message": message}
    assert told({**running, "message": message}) == {}


def test_a_study_that_was_changed_is_not_over_because_it_was() -> None:
    over = {"phase": "Finished", "observedGeneration": 1}
    for before in ("", f"{AWAY}; trying again"):
        assert told({**over, "message": before}) == {
            "phase": "Submitting",
            "observedGeneration": 2,
            "message": f"{AWAY}; trying again",
        }


def test_a_request_is_tried_again_without_an_end_and_soon() -> None:
    """kopf never calls a timer again that has failed for good."""
    settings = kopf.OperatorSettings()
    _configure(settings=settings)
    waits = settings.networking.error_backoffs
    assert isinstance(waits, Iterable)
    for _ in range(2):  # each request begins anew
        assert max(islice(waits, 1000)) <= 3.0
