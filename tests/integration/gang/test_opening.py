"""A rank that takes too long to open a fit; the rank is a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from tests.support.waiting import wait_until

from fairlead.errors import Failed
from fairlead.gang.assignment import Patience
from fairlead.gang.hub import Hub
from fairlead.gang.rank import Contact, compute_parts
from fairlead.gang.work import Computation, FitJob, Vector, Work
from fairlead.records import Trial

SECRET = "of the test"
JOB = FitJob(
    study="s",
    spec="{}",
    table="t" * 64,
    sources={},
    trial=Trial(number=0, family="own", params={}),
    fold=0,
)
WORK = Work(kind="gradients", step=0, parts=1, state=np.zeros(2, np.float32))


class Ones:
    """Every part is ones."""

    def part(self, work: Work, number: int) -> Vector:
        return np.ones(2, np.float32)


@contextmanager
def hub_and_rank(opens: threading.Event) -> Iterator[Hub]:
    """A rank that opens its fit once the event is set, which it is at the end."""

    def open_fit(_: FitJob) -> Computation:
        opens.wait()
        return Ones()

    patience = Patience(opening=0.5, refused=0.2)
    with Hub(secret=SECRET, patience=patience) as hub:
        contact = Contact(address=hub.address, secret=SECRET, rank=0)
        rank = threading.Thread(target=compute_parts, args=(contact, open_fit))
        rank.start()
        try:
            yield hub
        finally:
            opens.set()
    rank.join()


def computed(hub: Hub) -> Sequence[Vector]:
    """The answers; none where no rank has opened the fit yet."""
    try:
        return hub.compute(WORK)
    except Failed:
        return []


def test_a_fit_fails_that_its_rank_does_not_open_and_goes_on_where_it_does_later() -> None:
    opens = threading.Event()
    with hub_and_rank(opens) as hub:
        hub.open(JOB)
        with pytest.raises(Failed, match=r"^rank 0 .* has not opened the fit within 0\.5 s$"):
            hub.compute(WORK)
        opens.set()
        [answer] = wait_until(lambda: computed(hub))
        assert answer.tolist() == [1.0, 1.0]
