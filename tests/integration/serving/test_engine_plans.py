"""Plans followed by a real engine, with real files and sessions."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead.artifacts import Artifacts
from fairlead.errors import NotLoaded
from fairlead.records import Allowance
from fairlead.serving.engine.engine import Engine
from fairlead.serving.plan import Held, Missing, Plan, Split
from fairlead.serving.routing import drawn
from tests.integration.serving.making import (
    ONE,
    adding,
    exported,
    found,
    held,
    number,
    plan,
    signature,
    stored,
    until,
)

QUICKLY = Allowance(deadline=0.3)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def artifacts(store: Path) -> Artifacts:
    return Artifacts(store)


@asynccontextmanager
async def running(artifacts: Artifacts) -> AsyncIterator[Engine]:
    engine = Engine(artifacts)
    try:
        yield engine
    finally:
        engine.close()


def adder(artifacts: Artifacts, constant: float, revision: str, **more: Any) -> Held:
    """A revision that adds this to its number."""
    return held(artifacts.put(adding(constant)), ONE, revision=revision, **more)


async def ask(engine: Engine, model: str = "houses", revision: str | None = None) -> float:
    live = engine.table[model]
    served = live.served(revision or drawn(live, 0.5))
    return float((await served.predict(number(1), 1))[0])


def test_a_plan_is_followed_and_told(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            report = await engine.apply(plan(3, adder(artifacts, 10, "v1")))
            assert (report.serial, report.routes, report.faults) == (3, {"houses": 3}, {})
            assert await ask(engine) == 11

    asyncio.run(go())


def test_a_new_route_changes_over_and_the_old_revision_is_let_go(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(1, adder(artifacts, 10, "v1")))
            old = engine.table["houses"].revisions["v1"]
            await engine.apply(plan(2, adder(artifacts, 20, "v2")))
            assert await ask(engine) == 21
            assert not old.loaded
            assert [*engine.table["houses"].revisions] == ["v2"]

    asyncio.run(go())


def test_traffic_is_split_and_what_has_none_can_be_asked_by_name(artifacts: Artifacts) -> None:
    revisions = [adder(artifacts, float(n), f"v{n}") for n in (1, 2, 3)]
    split = Split(model="houses", route=1, traffic={"v1": 75, "v2": 25})

    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(Plan(serial=1, held=tuple(revisions), splits=(split,)))
            chosen = [drawn(engine.table["houses"], n / 400) for n in range(400)]
            assert 60 < chosen.count("v2") < 140
            assert "v3" not in chosen
            assert await ask(engine, revision="v3") == 4

    asyncio.run(go())


def test_a_revision_that_cannot_be_loaded_leaves_the_old_route_until_it_can(
    artifacts: Artifacts, store: Path
) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(1, adder(artifacts, 10, "v1")))
            new = adder(artifacts, 20, "v2")
            file = stored(store, new.file)
            away = file.rename(file.with_suffix(".away"))
            report = await engine.apply(plan(2, new))
            assert report.routes == {"houses": 1}
            assert report.faults["houses"].startswith("v2: artefact")
            assert await ask(engine) == 11
            away.rename(file)
            await until(lambda: engine.report().routes == {"houses": 2})
            assert engine.report().faults == {}
            assert await ask(engine) == 21

    asyncio.run(go())


def test_a_model_whose_first_load_fails_is_there_and_answers_once_it_can(
    artifacts: Artifacts, store: Path
) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            only = adder(artifacts, 10, "v1")
            file = stored(store, only.file)
            away = file.rename(file.with_suffix(".away"))
            report = await engine.apply(plan(1, only))
            assert report.routes == {}
            assert "missing" in report.faults["houses"]
            asked = asyncio.create_task(ask(engine))
            await until(lambda: engine.table["houses"].revisions["v1"].depth == 1)
            away.rename(file)
            assert await asked == 11
            assert engine.report().routes == {"houses": 1}

    asyncio.run(go())


def test_a_request_in_hand_keeps_the_revision_that_it_began_with(artifacts: Artifacts) -> None:
    content, described = exported("random_forest"), signature()
    file, rows = artifacts.put(content), np.zeros((20_000, 4), np.float32)
    old = held(file, described, facts=found(content, seconds=0.004))

    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(1, old))
            served = engine.table["houses"].served("v1")
            asked = asyncio.create_task(served.predict({"numbers": rows}, len(rows)))
            await until(lambda: served.in_hand)
            report = await engine.apply(plan(2, replace(old, revision="v2", version=2)))
            assert report.routes == {"houses": 2}
            assert not asked.done()
            assert report.draining == (("houses", "v1"),)
            assert len(await asked) == len(rows)
            await until(lambda: not engine.report().draining)
            assert not served.loaded

    asyncio.run(go())


def test_a_request_that_chose_a_revision_before_it_was_let_go_is_answered(
    artifacts: Artifacts,
) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(1, adder(artifacts, 10, "v1")))
            chosen = engine.table["houses"].served("v1")
            await engine.apply(plan(2, adder(artifacts, 20, "v2")))
            assert (await chosen.predict(number(1), 1)).tolist() == [11]
            await until(lambda: not chosen.loaded)

    asyncio.run(go())


def test_a_revision_that_comes_back_while_it_drains_is_not_loaded_again(
    artifacts: Artifacts,
) -> None:
    content, described = exported("random_forest"), signature()
    rows = np.zeros((20_000, 4), np.float32)
    old = held(artifacts.put(content), described, facts=found(content, seconds=0.004))

    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(1, old))
            served = engine.table["houses"].served("v1")
            asked = asyncio.create_task(served.predict({"numbers": rows}, len(rows)))
            await until(lambda: served.in_hand)
            await engine.apply(plan(2, replace(old, revision="v2", version=2)))
            await engine.apply(plan(3, old))
            assert engine.table["houses"].served("v1") is served
            await asked
            assert served.loaded

    asyncio.run(go())


def test_new_edges_of_the_same_revision_are_taken_without_a_load(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            only = adder(artifacts, 10, "v1")
            await engine.apply(plan(1, only))
            served = engine.table["houses"].served("v1")
            await engine.apply(plan(2, replace(only, edges=(1.0, 2.0))))
            assert engine.table["houses"].served("v1") is served
            assert served.held.edges == (1.0, 2.0)
            assert engine.report().routes == {"houses": 2}

    asyncio.run(go())


def test_a_load_that_hangs_holds_up_no_other_model_and_is_not_begun_twice(
    artifacts: Artifacts, store: Path
) -> None:
    """A named pipe that nobody writes to hangs as a disk does that is gone."""

    async def go() -> None:
        hanging = adder(artifacts, 10, "v1", model="hanging", allowance=QUICKLY)
        file = stored(store, hanging.file)
        file.unlink()
        os.mkfifo(file)
        async with running(artifacts) as engine:
            first = asyncio.create_task(engine.apply(plan(1, hanging)))
            await asyncio.sleep(0)
            good = adder(artifacts, 20, "v1")
            late = asyncio.create_task(engine.apply(plan(2, hanging, good)))
            await until(lambda: engine.report().routes == {"houses": 2})
            assert await ask(engine) == 21
            assert (await first).serial == 2, "a later plan takes over"
            asked = [ask(engine, "hanging") for _ in range(20)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(answer) for answer in answers} == {NotLoaded}
            waiting = [one for one in threading.enumerate() if one.name == "fairlead-aside"]
            assert len(waiting) == 1
            assert "takes longer than 5 s" in (await late).faults["hanging"]
            file.open("wb").close()  # a reader of the pipe comes to its end, and finds nothing
            await until(lambda: "damaged" in engine.report().faults["hanging"])
            file.unlink()
            artifacts.put(adding(10))
            await until(lambda: engine.report().routes == {"houses": 2, "hanging": 2})

    asyncio.run(go())


def test_a_plan_that_came_late_changes_nothing(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(2, adder(artifacts, 20, "v2")))
            report = await engine.apply(plan(1, adder(artifacts, 10, "v1")))
            assert report.serial == 2
            assert await ask(engine) == 21

    asyncio.run(go())


def test_a_model_that_no_plan_names_any_more_is_gone(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(1, adder(artifacts, 10, "v1")))
            await engine.apply(plan(2))
            assert engine.table == {}
            assert engine.report().routes == {}

    asyncio.run(go())


def test_a_compact_form_that_is_gone_is_no_harm(artifacts: Artifacts, store: Path) -> None:
    async def go() -> None:
        async with running(artifacts) as engine:
            only = adder(artifacts, 10, "v1")
            facts = replace(only.facts, compact="0" * 64)
            await engine.apply(plan(1, replace(only, facts=facts)))
            assert await ask(engine) == 11

    asyncio.run(go())


def test_routes_change_200_times_under_load_without_a_failed_request(
    artifacts: Artifacts,
) -> None:
    revisions = [adder(artifacts, float(n), f"v{n}") for n in (1, 2)]

    async def go() -> None:
        async with running(artifacts) as engine:
            await engine.apply(plan(0, revisions[0]))
            answers: list[float] = []
            clients = [asyncio.create_task(_keep_asking(engine, answers)) for _ in range(8)]
            for serial in range(1, 201):
                report = await engine.apply(plan(serial, revisions[serial % 2]))
                assert report.routes == {"houses": serial}
            for client in clients:
                client.cancel()
            ended = await asyncio.gather(*clients, return_exceptions=True)
            assert {type(end) for end in ended} == {asyncio.CancelledError}
            assert {*answers} == {2.0, 3.0}

    asyncio.run(go())


async def _keep_asking(engine: Engine, answers: list[float]) -> None:
    while True:
        answers.append(await ask(engine))
        await asyncio.sleep(0)


def test_what_is_missing_is_told_at_once_and_the_rest_of_the_traffic_is_answered(
    artifacts: Artifacts,
) -> None:
    gone = {"v2": Missing(version=2, why="revision 'v2' is gone")}
    split = Split(model="houses", route=1, traffic={"v1": 50, "v2": 50}, missing=gone)

    async def go() -> None:
        async with running(artifacts) as engine:
            only = adder(artifacts, 10, "v1")
            report = await engine.apply(Plan(serial=1, held=(only,), splits=(split,)))
            assert (report.routes, report.behind) == ({"houses": 1}, ())
            live = engine.table["houses"]
            assert {drawn(live, n / 100) for n in range(100)} == {"v1", "v2"}
            assert await ask(engine, revision="v1") == 11
            with pytest.raises(NotLoaded, match="revision 'v2' is gone"):
                live.served("v2")
            await engine.apply(plan(2, only, adder(artifacts, 20, "v2")))
            assert await ask(engine, revision="v2") == 21

    asyncio.run(go())
