"""Several processes do the same to one ledger at the same time, many times over.

    python -m tests.contract.racing URL ACTION PROCESSES ROUNDS

They are forked by a process that has loaded everything but opened nothing, so that all of them are
there at once. Prints a line of JSON for each process: what came of each of its rounds.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fairlead.errors import Conflict, Lost
from fairlead.ledger.interface import Ledger
from fairlead.ledger.requests import AnsweredMeanwhile
from fairlead.ledger.store import open_ledger, requests_of
from fairlead.records import (
    Allowance,
    Answer,
    Autoscaler,
    Basis,
    Claim,
    Deployment,
    FitProgress,
    Judgement,
    NewTask,
    Promotion,
    Request,
    Result,
    Revision,
    Route,
    Run,
    StepObservation,
    Study,
    Trial,
    Verdict,
    Version,
)
from tests.contract.ledger_contract import commit_and_claim
from tests.support.waiting import wait_until

STUDY = Study(id="5" * 64, name="boston", spec="{}", table="7" * 64, size=100_000)
VERDICT = Verdict(
    decision="keep", text="", against="", metric="mse", rows=1, judged=1, candidate=0.0
)
ROUTE = Route(model="m", number=0, traffic={"v1": 100}, kind="set", why="", details="d" * 64)

Attempt = Callable[[], object]
"""The second half of a round: what rests on that which the first half saw."""


def trials(first: int, last: int) -> list[NewTask]:
    return [
        NewTask(kind="trials", trials=(Trial(number=number, family="f", params={}),))
        for number in range(first, last)
    ]


def work(ledger: Ledger, me: int) -> list[int]:
    """Claim and commit until there is nothing left, and tell the trials."""
    done: list[int] = []
    claim = ledger.tasks.claim(f"w{me}", lease=60)
    while claim:
        number = claim.trials[0].number
        try:
            following = commit_and_claim(ledger, claim, [Result(number=number, state="done")])
            done.append(number)
        except Lost:
            following = ledger.tasks.claim(f"w{me}", lease=60)
        claim = following
    return done


def finish_or_work(ledger: Ledger, me: int, number: int) -> Attempt:
    """One finishes the study while the others commit to it; it is extended in between."""
    size = 1000 + number
    if me == 0:
        ledger.studies.open(replace(STUDY, size=size))
        ledger.tasks.add(STUDY.id, trials(50 * number, 50 * number + 50))
        return lambda: ledger.studies.finish(STUDY.id, of=size, size=size, best=None)
    return lambda: work(ledger, me)


def open_larger(ledger: Ledger, me: int, number: int) -> Attempt:
    study = replace(STUDY, id=f"{number}", size=10 + me)
    return lambda: ledger.studies.open(study).size


def promote(ledger: Ledger, me: int, number: int) -> Attempt:
    champion = ledger.versions.champion("m")
    previous = champion.number if champion else None
    promotion = Promotion(
        model="m",
        number=0,
        version=3 * number + me + 1,
        previous=previous,
        kind="promote",
        why=str(me),
    )
    return lambda: ledger.versions.promote(promotion).number


def judge(ledger: Ledger, me: int, _number: int) -> Attempt:
    basis = Basis(judgements=len(ledger.versions.judgements("m")), sample=b"")
    judgement = Judgement(model="m", version=me + 1, champion=None, rows="r", verdict=VERDICT)
    return lambda: ledger.versions.judge(judgement, basis)


def register(ledger: Ledger, me: int, number: int) -> Attempt:
    manifest = f"{me}-{number}".ljust(64, "0")
    version = Version(model="n", number=0, study="s", trial=0, size=1, manifest=manifest)
    return lambda: ledger.versions.register(version).number


def revise(ledger: Ledger, _me: int, number: int) -> Attempt:
    revision = Revision(model="m", name="", version=1, allowance=Allowance(queue=number + 1))
    return lambda: ledger.routes.revise(revision).name


def route_first(ledger: Ledger, me: int, number: int) -> Attempt:
    route = replace(ROUTE, model=f"m{number}", why=str(me), traffic={"v1": 100})
    return lambda: ledger.routes.change(route, previous=None).number


def route_next(ledger: Ledger, me: int, _number: int) -> Attempt:
    current = ledger.routes.current("m")
    previous = current.number if current else None
    route = replace(ROUTE, why=str(me))
    return lambda: ledger.routes.change(route, previous=previous).number


def deploy(ledger: Ledger, _me: int, _number: int) -> Attempt:
    deployment = Deployment(model="m", number=0, revision="v1", steps=(100,))
    return lambda: ledger.deployments.begin(deployment).number


def take(ledger: Ledger, me: int, _number: int) -> Attempt:
    return lambda: len(ledger.deployments.take(f"s{me}", lease=60))


def observe_or_step(ledger: Ledger, me: int, number: int) -> Attempt:
    """One takes the deployment to its next step while the others observe the one before."""
    (deployment,) = ledger.deployments.running()
    if me == 0:
        return lambda: ledger.deployments.advance(replace(deployment, step=number)).step
    observation = StepObservation(
        model="m",
        deployment=deployment.number,
        step=deployment.step,
        server=f"s{me}",
        seconds=1.0,
        revisions={},
    )
    return lambda: ledger.deployments.observe(observation)


def answer_once(ledger: Ledger, me: int, number: int) -> Attempt:
    """All of them ask for it under one key, and none of them has found an answer."""
    version = Version(
        model="m", number=0, study="s", trial=me, size=1, manifest=f"{me}-{number}".ljust(64, "0")
    )
    request = Request(caller="ann", key=str(number), digest="d")
    assert requests_of(ledger).find(request) is None

    def ask() -> str:
        with requests_of(ledger).once(request) as opened:
            opened.answer_with(lambda _: Answer(body=str(me).encode()))
            try:
                ledger.versions.register(version)
            except AnsweredMeanwhile:
                assert opened.is_answered_elsewhere
        answer = requests_of(ledger).find(request)
        assert answer is not None
        return answer.body.decode()

    return ask


def begin_due(ledger: Ledger, me: int, number: int) -> Attempt:
    schedule = ledger.schedules.get("m")
    mine = replace(schedule, holder=f"c{me}")
    run = Run(id="", study=STUDY.id, spec=f"{me} {number}")

    def attempt() -> object:
        if not ledger.schedules.take(schedule, f"c{me}", lease=60):
            return None
        return ledger.schedules.begin(mine, run, due=schedule.due + 60).id

    return attempt


def reap(ledger: Ledger, me: int, number: int) -> Attempt:
    """A worker is known to be dead, by several who look after it."""
    if me == 0:
        ledger.tasks.add(STUDY.id, trials(number, number + 1))
        assert ledger.tasks.claim(f"dead{number}", lease=60)
    return lambda: ledger.tasks.lose(f"dead{number}")


def claim_lapsed(ledger: Ledger, me: int, number: int) -> Attempt:
    """A lease has ended, and several want the task."""
    if me == 0:
        ledger.tasks.add(STUDY.id, trials(number, number + 1))
        dead = ledger.tasks.claim("dead", lease=1e-9)
        assert dead
        wait_until(lambda: ledger.now() > dead.lease_ends)  # clocks of databases tick in ms

    def attempt() -> int:
        return int(ledger.tasks.claim(f"w{me}", lease=60) is not None)

    return attempt


def report(ledger: Ledger, me: int, number: int) -> Attempt:
    """A lease has ended, and the gang that had it tells of its fit while another takes the task."""
    if me == 0:
        ledger.tasks.add(STUDY.id, trials(number, number + 1))
    claim = ledger.tasks.claim("dead", lease=1e-9) if me == 0 else None
    if claim:
        wait_until(lambda: ledger.now() > claim.lease_ends)

    def attempt() -> list[int]:
        held = claim or _claimed_when_free(ledger, f"w{me}")
        told = []
        with suppress(Lost):
            for step in range(20):
                checkpoint = f"{held.attempt:x}{number:x}{step:02x}".rjust(64, "a")
                progress = FitProgress(
                    trial=number,
                    fold=0,
                    step=step,
                    steps=20,
                    epoch=0.0,
                    loss=1.0,
                    accuracy=None,
                    rows_per_second=1.0,
                    workers=me,
                    checkpoint=checkpoint,
                )
                ledger.fits.report(held, progress)
                told.append(held.attempt)
        return told

    return attempt


def _claimed_when_free(ledger: Ledger, worker: str) -> Claim:
    """A claim passes over a task that another is writing of at that moment."""
    found: list[Claim] = []

    def claim() -> bool:
        found.extend(filter(None, [ledger.tasks.claim(worker, lease=60)]))
        return bool(found)

    wait_until(claim)
    return found[0]


def carry(ledger: Ledger, me: int, number: int) -> Attempt:
    """Several controllers see the same run."""
    if me == 0:
        ledger.runs.open(Run(id="", study=STUDY.id, spec=f"{number}"))

    def attempt() -> str | None:
        run = next(one for one in ledger.runs.all(STUDY.id) if one.spec == f"{number}")
        return ledger.runs.take(run.id, f"c{me}", lease=60).holder

    return attempt


def scale(ledger: Ledger, me: int, number: int) -> Attempt:
    wanted = Autoscaler(name=f"a{number}", holder=f"h{me}")
    return lambda: ledger.autoscaling.take(wanted, lease=60).holder


ACTIONS: Mapping[str, Callable[[Ledger, int, int], Attempt]] = {
    "add": lambda ledger, _me, number: partial(
        ledger.tasks.add, STUDY.id, trials(20 * number, 20 * number + 30)
    ),
    "work": lambda ledger, me, _number: lambda: work(ledger, me),
    "finish or work": finish_or_work,
    "open": open_larger,
    "promote": promote,
    "judge": judge,
    "register": register,
    "revise": revise,
    "route first": route_first,
    "route next": route_next,
    "deploy": deploy,
    "take": take,
    "observe or step": observe_or_step,
    "reap": reap,
    "claim lapsed": claim_lapsed,
    "report": report,
    "carry": carry,
    "scale": scale,
    "answer once": answer_once,
    "begin due": begin_due,
}


def race(url: str, action: str, *, processes: int = 3, rounds: int = 10) -> list[list[Any]]:
    """What came of each round, for each of the processes: its value, or the error's code."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.contract.racing", url, action, str(processes), str(rounds)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _rounds(arguments: Sequence[str], me: int, together: Any, told: Any) -> None:
    url, action, _, rounds = arguments
    outcomes: list[Any] = []
    with open_ledger(url) as ledger:
        for number in range(int(rounds)):
            together.wait()
            attempt = ACTIONS[action](ledger, me, number)
            together.wait()
            try:
                outcomes.append(attempt())
            except Conflict as error:
                outcomes.append(error.code)
    told.send(outcomes)


def main(arguments: Sequence[str]) -> None:
    count = int(arguments[2])
    forking = multiprocessing.get_context("fork")
    together = forking.Barrier(count, timeout=60)
    ends = []
    for me in range(count):
        mine, theirs = forking.Pipe(duplex=False)
        process = forking.Process(target=_rounds, args=(arguments, me, together, theirs))
        process.start()
        theirs.close()
        ends.append((process, mine))
    for process, end in ends:
        sys.stdout.write(f"{json.dumps(end.recv())}\n")
        process.join()


if __name__ == "__main__":
    main(sys.argv[1:])
