"""How many connections there may be, and which goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.serving.http.connection_limit import Crowd


class Connection:
    def __init__(self) -> None:
        self.given_up = False

    def give_up(self) -> None:
        self.given_up = True


def test_the_longest_silent_makes_room() -> None:
    crowd: Crowd[Connection] = Crowd(2)
    first, second, third = Connection(), Connection(), Connection()
    assert crowd.enter(first)
    assert crowd.enter(second)
    crowd.busy(first)
    crowd.silent(first)
    assert crowd.enter(third)
    assert (first.given_up, second.given_up, third.given_up) == (False, True, False)


def test_busy_ones_make_no_room() -> None:
    crowd: Crowd[Connection] = Crowd(1)
    busy = Connection()
    crowd.enter(busy)
    crowd.busy(busy)
    assert not crowd.enter(Connection())
    assert not busy.given_up


@given(st.lists(st.sampled_from(["enter", "busy", "silent", "leave"])), st.integers(1, 3))
def test_there_are_never_more_than_may_be(steps: list[str], most: int) -> None:
    crowd: Crowd[Connection] = Crowd(most)
    inside: list[Connection] = []
    for step in steps:
        if step == "enter":
            new = Connection()
            if crowd.enter(new):
                inside.append(new)
        elif inside:
            one = inside.pop(0)
            getattr(crowd, step)(one)
            if step != "leave":
                inside.append(one)
        inside = [one for one in inside if not one.given_up]
        assert len(crowd) == len(inside) <= most
