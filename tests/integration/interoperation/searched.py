"""A ledger with a study of three families whose trials ended in every way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairlead.ledger.interface import MAX_FAULTS, Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Claim, NewTask, Params, Result, Study, Trial
from fairlead.settings import Settings
from fairlead.spec.document import Spec, canonical

FOLDS = 3
_LEAVES = {"low": 1, "high": 64}
OVER = [
    {
        "family": "lightgbm",
        "params": {
            "num_leaves": _LEAVES,
            "learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
            "max_depth": [5, None],
            "extra": 7,
        },
    },
    {
        "family": "forest",
        "params": {
            "num_leaves": _LEAVES,
            "max_depth": {"low": 1, "high": 9, "step": 2},
            "max_features": ["sqrt", 0.5, 1, 1.0, True],
        },
    },
    {"family": "ridge", "params": {"alpha": {"low": 0.0, "high": 1.0, "step": 0.1}}},
]


def study_of(name: str = "prices", *, metric: str = "mse", size: int = 12, seed: int = 0) -> Study:
    spec = Spec.model_validate(
        {
            "name": name,
            "data": {"source": "boston", "target": "MEDV", "seed": seed},
            "search": {
                "method": "random",
                "metric": metric,
                "folds": FOLDS,
                "trials": size,
                "over": OVER,
            },
        }
    )
    return Study(
        id=f"{seed:x}" + name.encode().hex().ljust(63, "0"),
        name=name,
        spec=canonical(spec),
        table="a" * 64,
        size=size,
    )


def trial(number: int) -> Trial:
    """A trial of the family that its number says, with values that only all digits tell apart."""
    params: list[Params] = [
        {
            "extra": 7,
            "learning_rate": 0.1 + number / 7e4,
            "max_depth": (5, None)[number % 2],
            "num_leaves": 1 + number % 64,
        },
        {
            "max_depth": 1 + 2 * (number % 5),
            "max_features": ("sqrt", 0.5, 1, 1.0, True)[number % 5],
            "num_leaves": 1 + number % 64,
        },
        {"alpha": (0.0, 0.1, 0.2, 0.3, 0.7)[number % 5]},
    ]
    family = number % 3
    return Trial(
        number=number, family=("lightgbm", "forest", "ridge")[family], params=params[family]
    )


def result(number: int) -> Result:
    """Done; every fifth is pruned, in turns after two folds and after two epochs of the first."""
    scores = tuple(10.0 + ((number * 7919) % 1009) / 3 + fold / 7 for fold in range(FOLDS))
    if number % 10 == 8:
        return Result(
            number=number, state="pruned", seconds=0.125, reason="after 2 epochs", curve=scores[:2]
        )
    if number % 5 == 3:
        return Result(
            number=number, state="pruned", scores=scores[:2], seconds=0.25, reason="after 2 folds"
        )
    return Result(
        number=number, state="done", scores=scores, score=sum(scores) / FOLDS, seconds=0.1 + number
    )


def search(ledger: Ledger, study: Study, *, until: int) -> None:
    """Take the study to where so many trials have ended, trial 4 by failing; one more runs."""
    ledger.studies.open(study)
    tasks = [NewTask(kind="trials", trials=(trial(number),)) for number in range(study.size)]
    ledger.tasks.add(study.id, tasks)
    ended = sum(row.result is not None for row in ledger.studies.trials(study.id))
    claim = _running(ledger, study) if ended else None
    while ended < until:
        claim = claim or claimed(ledger, study)
        number = claim.trials[0].number
        if number == 4:
            for attempt in range(MAX_FAULTS):
                claim = claim if attempt == 0 else claimed(ledger, study)
                ledger.tasks.fault(claim, 'Poisson with negative targets, "quoted"')
        else:
            ledger.tasks.commit(claim, [result(number)])
        claim, ended = None, ended + 1
    if until < study.size:
        claimed(ledger, study)
    else:
        best = min(
            (row.result.score, row.trial.number)
            for row in ledger.studies.trials(study.id)
            if row.result is not None and row.result.score is not None
        )
        ledger.studies.finish(study.id, of=study.size, size=study.size, best=best[1])


def claimed(ledger: Ledger, study: Study) -> Claim:
    claim = ledger.tasks.claim("worker", lease=600.0, study=study.id)
    assert claim is not None
    return claim


def _running(ledger: Ledger, study: Study) -> Claim:
    """The task that ran on is taken again: its worker is dead."""
    ledger.tasks.lose("worker")
    return claimed(ledger, study)


@contextmanager
def opened(home: Path) -> Iterator[Ledger]:
    with open_ledger(Settings(home=home).ledger_url) as ledger:
        yield ledger
