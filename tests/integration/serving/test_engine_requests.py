"""Requests to a real engine: idle models, bursts, limits, large requests, equality, memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead.artifacts import Artifacts
from fairlead.data.features import Features
from fairlead.errors import Failed, NotLoaded, Overloaded
from fairlead.inference import Exported, _inputs, compact
from fairlead.records import Allowance
from fairlead.serving.engine.engine import Engine
from fairlead.serving.engine.loaded_revision import LoadedRevision
from fairlead.serving.plan import Facts, Held
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
    table,
    until,
)
from tests.support.families import LIGHT


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def artifacts(store: Path) -> Artifacts:
    return Artifacts(store)


@asynccontextmanager
async def serving(artifacts: Artifacts, revision: Held) -> AsyncIterator[LoadedRevision]:
    """The revision, all of whose model's traffic it has."""
    engine = Engine(artifacts)
    try:
        await engine.apply(plan(1, revision))
        yield engine.table[revision.model].served(revision.revision)
    finally:
        engine.close()


def adder(artifacts: Artifacts, **allowance: Any) -> Held:
    return held(artifacts.put(adding(10)), ONE, allowance=Allowance(**allowance))


def forest(artifacts: Artifacts, seconds: float, **allowance: Any) -> Held:
    """A forest of which one row is said to take so long."""
    content = exported("random_forest")
    facts = found(content, seconds)
    return held(artifacts.put(content), signature(), facts=facts, allowance=Allowance(**allowance))


def houses(count: int) -> dict[str, Any]:
    rows = np.random.default_rng(3).normal(size=(count, 4)).astype(np.float32)
    return {"numbers": rows}


# ---- idle ---------------------------------------------------------------------------------------


def test_an_idle_revision_unloads_and_the_next_request_loads_it(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with serving(artifacts, adder(artifacts, idle_after=0.05)) as served:
            for _ in range(3):
                await until(lambda: not served.loaded)
                assert (await served.predict(number(1), 1)).tolist() == [11]
                assert served.loaded

    asyncio.run(go())


def test_a_revision_that_is_asked_again_and_again_stays(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with serving(artifacts, adder(artifacts, idle_after=1.0)) as served:
            ends = asyncio.get_running_loop().time() + 2.5
            while asyncio.get_running_loop().time() < ends:
                await served.predict(number(1), 1)
                assert served.loaded
                await asyncio.sleep(0.01)

    asyncio.run(go())


def test_a_burst_at_zero_is_answered_though_the_first_loads_fail(
    artifacts: Artifacts, store: Path
) -> None:
    async def go() -> None:
        revision = adder(artifacts, idle_after=0.05)
        file = stored(store, revision.file)
        async with serving(artifacts, revision) as served:
            await until(lambda: not served.loaded)
            away = file.rename(file.with_suffix(".away"))
            burst = [asyncio.create_task(served.predict(number(n), 1)) for n in range(200)]
            await until(lambda: served.fault)
            assert served.depth == 200
            away.rename(file)
            assert [float((await each)[0]) for each in burst] == [10.0 + n for n in range(200)]
            assert served.fault is None

    asyncio.run(go())


def test_requests_past_the_queue_are_turned_away_and_those_in_it_wait(
    artifacts: Artifacts, store: Path
) -> None:
    async def go() -> None:
        revision = adder(artifacts, idle_after=0.05, queue=3)
        file = stored(store, revision.file)
        async with serving(artifacts, revision) as served:
            await until(lambda: not served.loaded)
            away = file.rename(file.with_suffix(".away"))
            waiting = [asyncio.create_task(served.predict(number(1), 1)) for _ in range(3)]
            await until(lambda: served.depth == 3)
            with pytest.raises(NotLoaded, match="3 requests wait for it, as many as may"):
                await served.predict(number(1), 1)
            away.rename(file)
            assert len(await asyncio.gather(*waiting)) == 3

    asyncio.run(go())


def test_a_request_waits_to_its_deadline_and_is_told_why(artifacts: Artifacts, store: Path) -> None:
    async def go() -> None:
        revision = adder(artifacts, idle_after=0.05, deadline=0.4)
        async with serving(artifacts, revision) as served:
            await until(lambda: not served.loaded)
            stored(store, revision.file).unlink()
            with pytest.raises(NotLoaded, match=r"not loaded within 0.4 s; try again .*missing"):
                await served.predict(number(1), 1)
            assert served.depth == served.in_hand == 0

    asyncio.run(go())


def test_a_client_that_leaves_while_it_waits_leaves_its_place(
    artifacts: Artifacts, store: Path
) -> None:
    async def go() -> None:
        revision = adder(artifacts, idle_after=0.05)
        async with serving(artifacts, revision) as served:
            await until(lambda: not served.loaded)
            stored(store, revision.file).unlink()
            asked = asyncio.create_task(served.predict(number(1), 1))
            await until(lambda: served.depth)
            asked.cancel()
            await until(lambda: not served.depth and not served.in_hand)

    asyncio.run(go())


# ---- limits and faults --------------------------------------------------------------------------


def test_requests_past_max_concurrency_are_turned_away(artifacts: Artifacts) -> None:
    async def go() -> None:
        revision = forest(artifacts, 0.001, max_concurrency=2)
        async with serving(artifacts, revision) as served:
            large = [asyncio.create_task(served.predict(houses(400), 400)) for _ in range(2)]
            await until(lambda: served.in_hand == 2)
            with pytest.raises(Overloaded, match="has 2 requests in hand, as many as it may have"):
                await served.predict(houses(1), 1)
            await asyncio.gather(*large)
            assert len(await served.predict(houses(1), 1)) == 1

    asyncio.run(go())


@pytest.mark.parametrize("rows", [1, 1000])
def test_what_the_session_raises_is_a_failure_of_this_request_only(
    rows: int, artifacts: Artifacts
) -> None:
    async def go() -> None:
        async with serving(artifacts, forest(artifacts, 1e-5)) as served:
            wrong = {"numbers": np.zeros((rows, 9), np.float64)}
            with pytest.raises(Failed, match="revision 'v1' failed to predict: "):
                await served.predict(wrong, rows)
            assert len(await served.predict(houses(rows), rows)) == rows
            assert served.in_hand == 0

    asyncio.run(go())


# ---- large requests -----------------------------------------------------------------------------


def test_small_requests_are_answered_while_a_large_one_is(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with serving(artifacts, forest(artifacts, 0.0005)) as served:
            large = asyncio.create_task(served.predict(houses(10_000), 10_000))
            await until(lambda: served.in_hand)
            for _ in range(100):
                await served.predict(houses(1), 1)
                await asyncio.sleep(0)
            assert not large.done()
            assert len(await large) == 10_000

    asyncio.run(go())


def test_large_requests_take_turns(artifacts: Artifacts) -> None:
    """One of 40 rows, asked last, is answered before two of 10,000 that came first."""

    async def go() -> None:
        async with serving(artifacts, forest(artifacts, 0.0005)) as served:
            ended: list[int] = []

            async def ask(rows: int) -> None:
                await served.predict(houses(rows), rows)
                ended.append(rows)

            await asyncio.gather(ask(10_000), ask(9_000), ask(40))
            assert ended == [40, 9_000, 10_000]

    asyncio.run(go())


def test_a_client_that_leaves_stops_its_large_request(artifacts: Artifacts) -> None:
    async def go() -> None:
        async with serving(artifacts, forest(artifacts, 0.004)) as served:
            large = asyncio.create_task(served.predict(houses(50_000), 50_000))
            await until(lambda: served.in_hand)
            large.cancel()
            await asyncio.gather(large, return_exceptions=True)
            ahead = asyncio.create_task(served.predict(houses(2), 2))
            assert len(await ahead) == 2
            assert served.in_hand == 0

    asyncio.run(go())


# ---- the same bits ------------------------------------------------------------------------------

KINDS = [
    (name, classes)
    for name in (*LIGHT, "sklearn.ensemble:HistGradientBoosting")
    for classes in (None, 2, 3)
]


@pytest.mark.parametrize(("name", "classes"), KINDS)
def test_served_predictions_are_those_of_predict_to_the_last_bit(
    name: str, classes: int | None, artifacts: Artifacts
) -> None:
    if ":" in name:
        name += "Regressor" if classes is None else "Classifier"
    text = classes != 2
    content = exported(name, classes=classes, missing=True, text=text)
    described, rows = signature(text=text, classes=classes), table(missing=True, text=text)
    expected = Exported(content, described).predict(rows)
    facts = found(content, seconds=1e-4)
    form = artifacts.put(compact(content)).digest
    revision = held(
        artifacts.put(content), described, facts=_with(facts, compact=form, seconds=1e-4)
    )

    async def go() -> None:
        async with serving(artifacts, revision) as served:
            for size in (1, 2, 64, 333, len(rows)):  # the last two are more than a part
                answers = await _in_requests(served.predict, _inputs(rows, described), rows, size)
                assert answers.dtype == expected.dtype
                assert answers.tobytes() == expected.tobytes(), size

    asyncio.run(go())


def _with(facts: Facts, *, compact: str, seconds: float) -> Facts:
    return Facts(
        steady=facts.steady,
        missing=facts.missing,
        seconds=seconds,
        size=facts.size,
        compact=compact,
    )


async def _in_requests(
    predict: Callable[..., Awaitable[Any]], inputs: dict[str, Any], rows: Features, size: int
) -> Any:
    parts = []
    for start in range(0, len(rows), size):
        part = {name: values[start : start + size] for name, values in inputs.items()}
        parts.append(await predict(part, min(size, len(rows) - start)))
    return np.concatenate(parts)


# ---- memory -------------------------------------------------------------------------------------

SEVEN_MEGABYTES = 320  # trees

MEASURE = """
import asyncio, gc, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import psutil
from fairlead.artifacts import Artifacts
from fairlead.inference import compact
from fairlead.records import Column, Signature
from fairlead.serving.engine.engine import Engine
from fairlead.serving.plan import Facts, Held, Plan, Split
from fairlead.records import Allowance

ROW = {"numbers": np.zeros((1, 4), np.float32)}
content = Path(sys.argv[2]).read_bytes()
artifacts = Artifacts(Path(sys.argv[1]))
described = Signature(columns=tuple(Column(name=n, kind="number") for n in "abcd"), target="y")
file, form = artifacts.put(content), artifacts.put(compact(content))
facts = Facts(steady=True, missing=False, seconds=1e-5, size=file.size, compact=form.digest)
first = Held(model="m", revision="v1", version=1, file=file.digest, signature=described,
             facts=facts, allowance=Allowance())

def plan(serial, *revisions):
    splits = tuple(Split(model=r.model, route=serial, traffic={r.revision: 100}) for r in revisions)
    return Plan(serial=serial, held=revisions, splits=splits)

async def memory(most=None):
    process, loop = psutil.Process(), asyncio.get_running_loop()
    ends = loop.time() + 10
    gc.collect()
    while most is not None and process.memory_info().rss > most and loop.time() < ends:
        await asyncio.sleep(0.05)  # sessions are freed in threads
    return process.memory_info().rss
"""
SWAPS = """
async def main():
    engine = Engine(artifacts)
    for serial in range(220):
        revision = replace(first, revision=f"v{serial + 1}", version=serial + 1)
        await engine.apply(plan(serial, revision))
        await engine.table["m"].served(revision.revision).predict(ROW, 1)
        if serial == 20:
            await asyncio.sleep(0.5)
            before = await memory()
    after = await memory(before + int(sys.argv[3]))
    print(after - before)
asyncio.run(main())
"""
MODELS = """
async def main():
    engine = Engine(artifacts)
    await engine.apply(plan(1, first))
    await engine.table["m"].served("v1").predict(ROW, 1)
    before = await memory()
    more = [replace(first, model=f"m{n}") for n in range(10)]
    await engine.apply(plan(2, first, *more))
    for name in engine.table:
        await engine.table[name].served("v1").predict(ROW, 1)
    print((await memory() - before) / 10 / file.size)
    print("onnx" in sys.modules)
asyncio.run(main())
"""


def _measured(program: str, tmp_path: Path, content: bytes, *arguments: str) -> list[str]:
    """What the program prints, run by itself."""
    (tmp_path / "model.onnx").write_bytes(content)
    command = [sys.executable, "-c", MEASURE + program]
    paths = [str(tmp_path / "artifacts"), str(tmp_path / "model.onnx")]
    ran = subprocess.run(
        [*command, *paths, *arguments], capture_output=True, text=True, check=False, timeout=280
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.long
def test_memory_is_flat_over_200_swaps(tmp_path: Path) -> None:
    content, allowed = exported("random_forest", trees=SEVEN_MEGABYTES), 8 << 20
    (grown,) = _measured(SWAPS, tmp_path, content, str(allowed))
    assert int(grown) < allowed


def test_a_further_model_takes_less_than_three_times_its_file_and_needs_no_onnx(
    tmp_path: Path,
) -> None:
    times, imported_onnx = _measured(
        MODELS, tmp_path, exported("random_forest", trees=SEVEN_MEGABYTES)
    )
    assert float(times) < 3
    assert imported_onnx == "False"
