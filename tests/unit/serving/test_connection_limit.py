"""How many connections there may be, and which goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.serving.http.connection import ConnectionLimit


class Connection:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_the_longest_idle_makes_room() -> None:
    connection_limit: ConnectionLimit[Connection] = ConnectionLimit(2)
    first, second, third = Connection(), Connection(), Connection()
    assert connection_limit.enter(first)
    assert connection_limit.enter(second)
    connection_limit.busy(first)
    connection_limit.idle(first)
    assert connection_limit.enter(third)
    assert (first.aborted, second.aborted, third.aborted) == (False, True, False)


def test_busy_ones_make_no_room() -> None:
    connection_limit: ConnectionLimit[Connection] = ConnectionLimit(1)
    busy = Connection()
    connection_limit.enter(busy)
    connection_limit.busy(busy)
    assert not connection_limit.enter(Connection())
    assert not busy.aborted


@given(st.lists(st.sampled_from(["enter", "busy", "idle", "leave"])), st.integers(1, 3))
def test_there_are_never_more_than_may_be(steps: list[str], most: int) -> None:
    connection_limit: ConnectionLimit[Connection] = ConnectionLimit(most)
    inside: list[Connection] = []
    for step in steps:
        if step == "enter":
            new = Connection()
            if connection_limit.enter(new):
                inside.append(new)
        elif inside:
            one = inside.pop(0)
            getattr(connection_limit, step)(one)
            if step != "leave":
                inside.append(one)
        inside = [one for one in inside if not one.aborted]
        assert len(connection_limit) == len(inside) <= most
