"""Rows a second of a fit that processes share, against TensorFlow's own strategy and a plain loop.

    .venv-distributed/bin/python benchmarks/shared_fits.py [ROUNDS]
    .venv-distributed/bin/python benchmarks/shared_fits.py --weak MBIT [MBIT ...]     # as root
    .venv-distributed/bin/python benchmarks/shared_fits.py --starts [ROUNDS]

The net is the small convolutional one of the family keras, the rows are MNIST's 10,000 images. The
first form takes 128 rows a step, whoever computes them, and gives ratios of runs side by side. The
second gives each process 128 rows, so that the work of each is the same however many there are, in
a network namespace whose loopback is as fast as the link of a driver would be.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from timing import ROOT

from fairlead.data import catalog

BATCH, STEPS, WARM = 128, 300, 20
PEER = ROOT / "benchmarks" / "peers" / "keras_loop.py"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to train the net."""

    name: str
    workers: int
    mode: str = ""  # of Fairlead's; none: the peer
    parts: int = 1
    batch: int = BATCH
    engine: str = "local"


PLAIN = Way(name="a plain loop", workers=1)
BY_HAND = Way(name="MultiWorkerMirroredStrategy by hand, 2 processes", workers=2)
ALLREDUCE = Way(name="allreduce, 2 processes", workers=2, mode="allreduce")
EXACT = Way(name="exact, 2 processes, 2 parts", workers=2, mode="exact", parts=2)
WAYS = (
    PLAIN,
    Way(name="exact, 1 process, 1 part", workers=1, mode="exact"),
    Way(name="exact, 1 process, 2 parts", workers=1, mode="exact", parts=2),
    Way(name="exact, 1 process, 8 parts", workers=1, mode="exact", parts=8),
    BY_HAND,
    ALLREDUCE,
    EXACT,
    Way(name="exact, 2 processes, 8 parts", workers=2, mode="exact", parts=8),
)
STARTS = (
    Way(name="local, exact", workers=2, mode="exact", parts=2),
    Way(name="local, allreduce", workers=2, mode="allreduce"),
    Way(name="spark, exact", workers=2, mode="exact", parts=2, engine="spark"),
)
MARKS = ("study", "network", "asked", "ranks", "first_step")


def main() -> None:
    """Measure what is asked for."""
    asked = sys.argv[1:]
    if asked[:1] == ["--one"]:
        print(json.dumps(fairlead(Way(**json.loads(asked[1])))))
    elif asked[:1] == ["--weak"]:
        weak([int(one) for one in asked[1:]])
    elif asked[:1] == ["--starts"]:
        starts(int(asked[1]) if asked[1:] else 3)
    else:
        strong(int(asked[0]) if asked else 3)


# ---- one run -----------------------------------------------------------------------------------


def fairlead(way: Way) -> dict[str, float]:
    """Train the net in this process, with the ranks that the way has."""
    from fairlead.artifacts import Artifacts
    from fairlead.data import store
    from fairlead.gang.steps import Alone, take_steps
    from fairlead.records import Trial
    from fairlead.settings import Settings
    from fairlead.spec.document import Spec
    from fairlead.study import plan as plans
    from fairlead.training.computation import FitOpener
    from fairlead.training.driver import DriverSetting, GangDriver
    from fairlead.training.study_context import StudyContext

    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = Settings(home=folder)
        plan = plans.make(Spec.model_validate(document(way)), base=folder, settings=home)
        artifacts = Artifacts(home.artifacts_url)
        context = StudyContext(
            spec=plan.spec.model_dump_json(),
            table=store.save(plan.table, artifacts),
            sources={},
            artifacts=artifacts,
            study="benchmark",
        )
        context.prepare(folds=False)
        clock = Clock(started=started, batch=way.batch)
        clock.mark("study")
        params: Any = dict(plan.spec.search.over[0].params or {})
        job = context.job(Trial(number=0, family="keras", params=params), None)
        network: Any = FitOpener(artifacts)(job)
        clock.mark("network")
        assert plan.spec.train is not None
        gang: Any = Alone(computation=network)
        if plan.spec.train.is_shared:
            setting = DriverSetting(
                train=plan.spec.train, threads=1, artifacts=artifacts.root, logs=home.logs
            )
            driver = GangDriver(setting)
            stack.callback(driver.close)
            gang = driver.open(job)
            clock.mark("asked")
            threading.Thread(target=clock.mark_ranks, args=[gang, way.workers], daemon=True).start()
        take_steps(network, gang, clock.step)
        return clock.figures()


def document(way: Way) -> dict[str, Any]:
    """The spec of a fit of enough epochs."""
    epochs = -(-(STEPS + WARM) * way.batch // 8000)
    params = {"net": "conv", "batch": way.batch, "epochs": epochs}
    return {
        "name": "benchmark",
        "data": {"source": "mnist"},
        "search": {"method": "grid", "folds": 2, "over": [{"family": "keras", "params": params}]},
        "train": {
            "workers": way.workers,
            "mode": way.mode,
            "microbatches": way.parts,
            "engine": way.engine,
        },
    }


class Clock:
    """When the first step was taken, and how fast those after the warm ones are."""

    def __init__(self, *, started: float, batch: int) -> None:
        self._started = started
        self._batch = batch
        self._marks: dict[str, float] = {}
        self._seen = 0
        self._begun = 0.0
        self._last = 0.0
        self._rows = 0

    def mark(self, name: str) -> None:
        """Something is there for the first time."""
        self._marks.setdefault(name, time.monotonic() - self._started)

    def mark_ranks(self, gang: Any, count: int) -> None:
        """Wait until so many ranks are there."""
        while gang.alive() < count:
            time.sleep(0.01)
        self.mark("ranks")

    def step(self, result: Any) -> None:
        now = time.monotonic()
        self.mark("first_step")
        self._seen += result.rows  # a step of mode allreduce is a round of batches
        if self._seen <= WARM * self._batch or not self._begun:
            self._begun = now
        elif self._rows < STEPS * self._batch:
            self._rows += result.rows
            self._last = now

    def figures(self) -> dict[str, float]:
        return {
            **self._marks,
            "rows_per_second": self._rows / (self._last - self._begun),
        }


def peer(way: Way) -> dict[str, float]:
    """The loop by hand: one process, or as many under the strategy."""
    images = catalog.ENTRIES["mnist"].carried
    assert images is not None
    labels = images.with_name(images.name.replace("images-idx3", "labels-idx1"))
    command = [sys.executable, str(PEER), str(images), str(labels), str(STEPS), str(way.batch)]
    if way.workers == 1:
        return figures_of([command])
    port = free_port(way.workers)
    ranks = [
        [*command, str(rank), str(port), str(way.workers)] for rank in reversed(range(way.workers))
    ]
    return figures_of(ranks)


def measured(way: Way) -> dict[str, float]:
    """Run one way in processes of its own."""
    if not way.mode:
        return peer(way)
    return figures_of([[sys.executable, __file__, "--one", json.dumps(asdict(way))]])


def figures_of(commands: Sequence[Sequence[str]]) -> dict[str, float]:
    """Start them all; what the last one prints."""
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for command in commands
    ]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{commands[-1]} ended with {[one.returncode for one in started]}")
    found: dict[str, float] = json.loads(printed[-1].splitlines()[-1])
    return found


def free_port(count: int) -> int:
    """The first of so many ports in a row that nothing listens on."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


# ---- tables ------------------------------------------------------------------------------------


def strong(rounds: int) -> None:
    """The same step, whoever computes it: each way once a round, in turn."""
    found = in_turn(WAYS, rounds)
    print(f"{'':52}{'first step':>12}{'rows/s':>10}{'of the plain loop':>19}")
    for way in WAYS:
        first, rows = (median(found[way.name], key) for key in ("first_step", "rows_per_second"))
        share = ratio(found[way.name], found[PLAIN.name])
        print(f"{way.name:52}{first:>10.1f} s{rows:>10.0f}{share:>18.2f}x")
    print(f"exact costs {ratio(found[ALLREDUCE.name], found[EXACT.name]):.2f} times allreduce,")
    print(f"and {ratio(found[BY_HAND.name], found[EXACT.name]):.2f} times the strategy by hand")


def starts(rounds: int) -> None:
    """What the first step waits for: seconds since the mark before."""
    found = in_turn(STARTS, rounds)
    print(f"{'seconds':20}" + "".join(f"{mark:>12}" for mark in (*MARKS, "in all")))
    for way in STARTS:
        at = [0.0, *(median(found[way.name], mark) for mark in MARKS)]
        steps = [later - earlier for earlier, later in itertools.pairwise(at)]
        print(f"{way.name:20}" + "".join(f"{one:>12.1f}" for one in (*steps, at[-1])))


def in_turn(ways: Sequence[Way], rounds: int) -> dict[str, list[dict[str, float]]]:
    """The figures of each way by its name: each once a round, in turn."""
    found: dict[str, list[dict[str, float]]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            found[way.name].append(measured(way))
            print(f"  {way.name}: {found[way.name][-1]}", file=sys.stderr, flush=True)
    return found


def median(runs: Sequence[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def ratio(one: Sequence[dict[str, float]], other: Sequence[dict[str, float]]) -> float:
    """The median of the ratios of runs of the same round."""
    pairs = zip(one, other, strict=True)
    return statistics.median(a["rows_per_second"] / b["rows_per_second"] for a, b in pairs)


def weak(bandwidths: Sequence[int]) -> None:
    """The same work for each process, over links of these bandwidths."""
    print(f"{'link':>12}{'':4}{'mode':12}" + "".join(f"{n:>4} rows/s" for n in (1, 2, 4)))
    for mbit in bandwidths:
        with limited(mbit) as enter:
            for mode in ("exact", "allreduce"):
                rates = []
                for count in (1, 2, 4):
                    way = Way(
                        name=mode,
                        workers=count,
                        mode=mode if count > 1 else "exact",
                        parts=count,
                        batch=BATCH * count,
                    )
                    command = [sys.executable, __file__, "--one", json.dumps(asdict(way))]
                    rates.append(figures_of([[*enter, *command]])["rows_per_second"])
                print(f"{mbit:>7} Mbit{'':4}{mode:12}" + "".join(f"{r:>11.0f}" for r in rates))


@contextmanager
def limited(mbit: int) -> Iterator[list[str]]:
    """A network namespace with a loopback of this bandwidth; gives what enters it."""
    name = f"fairlead-{os.getpid()}"
    ip = ["ip", "netns"]
    subprocess.run([*ip, "add", name], check=True)
    try:
        inside = [*ip, "exec", name]
        subprocess.run([*inside, "ip", "link", "set", "lo", "mtu", "1500", "up"], check=True)
        tbf = f"tc qdisc add dev lo root tbf rate {mbit}mbit burst 256kb latency 400ms"
        subprocess.run([*inside, *tbf.split()], check=True)
        yield inside
    finally:
        subprocess.run([*ip, "del", name], check=True)


if __name__ == "__main__":
    main()
