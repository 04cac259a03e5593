"""How kopf is told to call the operator."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import kopf

from fairlead.operator.handlers import _configure


def test_a_request_is_tried_again_without_an_end_and_soon() -> None:
    """kopf never calls a timer again that has failed for good."""
    settings = kopf.OperatorSettings()
    _configure(settings=settings)
    waits = settings.networking.error_backoffs
    assert isinstance(waits, Iterable)
    for _ in range(2):  # each request begins anew
        assert max(islice(waits, 1000)) <= 3.0
