"""How many workers there are to be: a table of cases, and what holds whatever the load is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.autoscale.decide import (
    Fleet,
    Memory,
    Policy,
    ScaledWorker,
    WorkerState,
    decide,
    is_news,
    span,
)
from fairlead.records import Load, ScalingDecision, StudyLoad

POLICY = Policy()
NEW = Memory()


def study(ready: int = 0, running: int = 0, seconds: float | None = 30.0, **more: str) -> StudyLoad:
    return StudyLoad(study="s", name="s", ready=ready, running=running, seconds=seconds, **more)


def fleet(states: str = "", *, spent: float = 0.0, others: int = 0) -> Fleet:
    """Workers by the first letters of their states; each is idle longer than the next."""
    named: dict[str, WorkerState] = {
        "s": "starting",
        "i": "idle",
        "b": "busy",
        "l": "leaving",
    }
    workers = [
        ScaledWorker(name=f"{state}{index}", state=named[state], since=float(index))
        for index, state in enumerate(states)
    ]
    return Fleet(workers=workers, spent=spent, others=others)


def load(*studies: StudyLoad, at: float = 1000.0) -> Load:
    return Load(at=at, studies=studies)


def first(
    of: Load, seen: Fleet | None = None, policy: Policy = POLICY, memory: Memory = NEW
) -> ScalingDecision:
    decision, _ = decide(policy, of, seen or fleet(), memory)
    return decision


def settled(wanted: int = 0) -> Memory:
    """Nothing but this has been wanted for longer than any cool-down."""
    return Memory(began=0.0, wanted=((1.0, wanted),))


@pytest.mark.parametrize(
    ("of", "states", "wanted", "start", "cause", "reason"),
    [
        (load(), "", 0, 0, "none", "no task waits or runs; none is there"),
        (
            load(study(12)),
            "",
            6,
            6,
            "work",
            "12 tasks of 30 s each wait: 6 workers in 60 s; none is there, 6 more start",
        ),
        (
            load(study(12, 3)),
            "bbbs",
            6,
            2,
            "work",
            "12 tasks of 30 s each wait: 6 workers in 60 s; 4 are there, 2 more start",
        ),
        (
            load(study(12)),
            "iiiiii",
            6,
            0,
            "work",
            "12 tasks of 30 s each wait: 6 workers in 60 s; 6 are there",
        ),
        (
            load(study(1, seconds=0.01)),
            "",
            1,
            1,
            "work",
            "1 task of 0.01 s waits: 1 worker in 60 s; none is there, 1 more starts",
        ),
        (
            load(study(12, seconds=None)),
            "",
            2,
            2,
            "work",
            (
                "12 tasks of 10 s each (assumed, none has ended yet) wait: 2 workers in 60 s; "
                "none is there, 2 more start"
            ),
        ),
        (
            load(study(3, seconds=7200.0)),
            "b",
            4,
            3,
            "tasks",
            "3 tasks of 2 h each wait: 4 workers, one a task; 1 is there, 3 more start",
        ),
        (
            load(study(100)),
            "bbl",
            16,
            13,
            "most",
            (
                "100 tasks of 30 s each wait: 50 workers in 60 s; at most 16; 2 are there, "
                "13 more start: the others wait until leaving ones have ended"
            ),
        ),
        (
            load(study(0, 2)),
            "bb",
            2,
            0,
            "work",
            "no task waits, 2 run; 2 are there",
        ),
        (
            load(study(2, 5)),
            "bb",
            2,
            0,
            "work",
            "2 tasks of 30 s each wait: the 2 that are busy will do; 2 are there",
        ),
        (
            load(study(12, 4)),
            "",
            2,
            2,
            "work",
            (
                "12 tasks of 30 s each wait: 6 workers in 60 s, 4 of them another's; "
                "none is there, 2 more start"
            ),
        ),
        (
            load(study(4, lacking="xgboost 3.1 is needed, and it has none")),
            "",
            0,
            0,
            "lacking",
            (
                "4 tasks wait for what no worker here has: xgboost 3.1 is needed, and it has none; "
                "none is there"
            ),
        ),
        (
            load(study(2), study(4, seconds=None)),
            "",
            2,
            2,
            "work",
            (
                "6 tasks of 2 studies, 17 s each, some of them assumed, wait: 2 workers in 60 s; "
                "none is there, 2 more start"
            ),
        ),
    ],
    ids=[
        "nothing",
        "from zero",
        "some start",
        "enough",
        "one",
        "assumed",
        "long tasks",
        "leaving ones count",
        "running",
        "the busy will do",
        "helped",
        "lacking",
        "studies",
    ],
)
def test_the_rule(  # noqa: PLR0917 - a table
    of: Load, states: str, wanted: int, start: int, cause: str, reason: str
) -> None:
    decision = first(of, fleet(states))
    assert (decision.wanted, decision.start, decision.cause) == (wanted, start, cause)
    assert decision.reason == reason
    assert decision.leave == ()


def test_a_task_that_none_has_ended_of_takes_as_long_as_one_has_been_running() -> None:
    slow = replace(study(6, 1, seconds=None), longest=600.0)
    decision = first(load(slow), fleet("b"))
    assert decision.wanted == 7
    assert "of 10 min each (so long one has been running) wait: 7 workers" in decision.reason
    assert decision.cause == "tasks"


def test_at_least_as_many_as_are_asked_for() -> None:
    decision = first(load(), policy=Policy(least=2))
    assert (decision.wanted, decision.start, decision.cause) == (2, 2, "least")
    assert decision.reason == "no task waits or runs; at least 2; none is there, 2 more start"


def test_too_many_are_kept_for_the_cool_down_and_then_the_longest_idle_leave() -> None:
    memory = Memory(began=0.0, wanted=((950.0, 3),))
    decision = first(load(at=1000.0), fleet("iib"), memory=memory)
    assert (decision.wanted, decision.leave, decision.cause) == (1, (), "cooling")
    assert decision.reason == (
        "no task waits, 1 runs; 3 are there, kept for 60 s from when more were wanted"
    )
    decision = first(load(at=1010.0), fleet("iib"), memory=memory)
    assert (decision.leave, decision.cause) == (("i0", "i1"), "shrinking")
    assert decision.reason == (
        "no task waits, 1 runs; 3 are there, 2 idle ones leave after 60 s of too many"
    )


def test_one_that_is_still_starting_leaves_before_an_idle_one() -> None:
    one = load(study(1, seconds=0.1))
    assert first(one, fleet("iis"), memory=settled(1)).leave == ("s2", "i0")


def test_no_busy_worker_leaves_however_few_are_wanted() -> None:
    decision = first(load(), fleet("bbb"), Policy(most=1), settled())
    assert decision.leave == ()
    assert decision.reason.endswith("at most 1; 3 are there, all busy")


def test_the_first_look_lets_nobody_leave() -> None:
    assert first(load(), fleet("ii")).leave == ()


def test_a_clock_that_was_set_back_begins_the_cool_down_anew() -> None:
    decision, memory = decide(POLICY, load(at=0.5), fleet("ii"), settled(2))
    assert decision.leave == ()
    assert memory == Memory(began=0.5, wanted=((0.5, 0),))


def test_no_more_than_the_budget_pays_for() -> None:
    policy = Policy(budget=3600.0)
    decision = first(load(study(100)), fleet("bb", spent=3480.0), policy)
    assert (decision.wanted, decision.start, decision.cause) == (2, 0, "budget")
    assert "the 0.0333 worker-hours that are left of the budget pay for 2" in decision.reason


def test_once_the_budget_is_spent_all_leave_after_the_task_in_hand() -> None:
    policy = Policy(budget=3600.0, least=1)
    decision = first(load(study(100)), fleet("bisl", spent=3600.0), policy)
    assert (decision.wanted, decision.start, decision.cause) == (0, 0, "spent")
    assert decision.leave == ("b0", "i1", "s2")
    assert decision.reason == (
        "the budget of 1 worker-hours is spent; 3 workers leave after the task in hand"
    )


def test_workers_of_a_process_that_had_the_name_before_count_for_the_bound() -> None:
    decision = first(load(study(100)), fleet(others=10))
    assert (decision.start, decision.cause) == (6, "most")
    assert "at most 16, 10 of them another's" in decision.reason


def test_a_decision_is_news_where_workers_come_or_go_or_another_rule_applies() -> None:
    some = first(load(study(12)), fleet("iiiiii"))
    assert is_news(None, some)
    assert not is_news(some, replace(some, at=2.0, reason="11 tasks wait", ready=11))
    assert is_news(some, replace(some, start=1))
    assert is_news(some, replace(some, leave=("w",)))
    assert is_news(some, replace(some, cause="most"))
    assert is_news(some, replace(some, wanted=5))


def test_a_cool_down_is_told_once() -> None:
    cooling = replace(first(load()), cause="cooling", wanted=3)
    assert is_news(first(load()), cooling)
    assert not is_news(cooling, replace(cooling, wanted=2))
    assert not is_news(replace(cooling, cause="shrinking", leave=("w",)), cooling)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.034, "0.034 s"), (9.94, "9.9 s"), (45, "45 s"), (150, "2.5 min"), (9000, "2.5 h")],
    ids=["milliseconds", "seconds", "many", "minutes", "hours"],
)
def test_times_are_said_as_people_do(seconds: float, said: str) -> None:
    assert span(seconds) == said


# ---- properties -------------------------------------------------------------------------------

STUDIES = st.lists(
    st.builds(
        study,
        st.integers(0, 500),
        st.integers(0, 20),
        st.none() | st.floats(0.001, 1e5),
    ),
    max_size=3,
)
STATES = st.text("sibl", max_size=12)
POLICIES = st.builds(
    Policy,
    least=st.integers(0, 3),
    most=st.integers(3, 12),
    within=st.floats(0.5, 600),
    cooldown=st.floats(0, 120),
    budget=st.none() | st.floats(0, 7200),
)


@given(POLICIES, st.lists(st.tuples(st.floats(0.1, 50), STUDIES, STATES), min_size=1, max_size=20))
def test_what_always_holds(
    policy: Policy, rounds: Sequence[tuple[float, list[StudyLoad], str]]
) -> None:
    at, memory = 0.0, Memory()
    looks: list[tuple[float, int, int]] = []
    for pause, studies, states in rounds:
        at += pause
        seen = fleet(states)
        busy = {worker.name for worker in seen.workers if worker.state == "busy"}
        decision, memory = decide(policy, load(*studies, at=at), seen, memory)
        assert "\n" not in decision.reason
        assert decision.there == sum(worker.state != "leaving" for worker in seen.workers)
        assert decision.start <= max(0, policy.most - len(seen.workers))
        assert not (decision.start and decision.leave)
        looks.append((at, decision.wanted, decision.there))
        assert len(memory.wanted) <= len(looks)
        if decision.cause == "spent":
            assert decision.start == 0
            continue
        assert not busy & {*decision.leave}
        assert len(decision.leave) <= max(0, decision.there - decision.wanted)
        if decision.leave:
            # Fewer than are there were wanted at every look of the whole cool-down.
            assert at - looks[0][0] >= policy.cooldown
            recent = [wanted for when, wanted, _ in looks if at - when < policy.cooldown]
            assert all(wanted <= decision.there - len(decision.leave) for wanted in recent)


@given(POLICIES, STUDIES, STATES, st.integers(1, 100))
def test_more_tasks_never_ask_for_fewer_workers(
    policy: Policy, studies: list[StudyLoad], states: str, more: int
) -> None:
    if not studies:
        studies = [study()]
    larger = [replace(studies[0], ready=studies[0].ready + more), *studies[1:]]
    assert (
        first(load(*larger), fleet(states), policy).wanted
        >= first(load(*studies), fleet(states), policy).wanted
    )


@given(POLICIES, STUDIES)
def test_from_zero_and_to_zero(policy: Policy, studies: list[StudyLoad]) -> None:
    policy = replace(policy, least=0, budget=None)
    ready = sum(each.ready for each in studies)
    helped = sum(each.running for each in studies)
    if ready and not helped:
        assert first(load(*studies), policy=policy).start >= 1
    decision = first(load(), fleet("iii"), policy, settled())
    assert decision.leave == ("i0", "i1", "i2")
