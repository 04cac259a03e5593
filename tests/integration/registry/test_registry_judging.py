"""Promises of the gate on real models: who becomes champion, and what is written down."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fairlead.data.features import Features
from fairlead.errors import Failed
from fairlead.ledger.store import open_ledger
from fairlead.records import Candidate, Column, Parity, Promotion, Signature
from fairlead.registry.gate import comparable, unlike
from fairlead.registry.judging import consider
from fairlead.registry.registry import Registry
from fairlead.spec.document import Promote

if TYPE_CHECKING:
    from tests.integration.registry.conftest import Workshop

MODEL = "prices"
COLUMNS = tuple(Column(name=name, kind="number") for name in "abcd")


def test_registering_changes_no_champion(workshop: Workshop) -> None:
    workshop.version(0.0)
    assert workshop.champion() is None


def test_the_same_candidate_keeps_its_number(workshop: Workshop) -> None:
    numbers = [workshop.version(error).number for error in (0.0, 1.0, 0.0)]
    assert numbers == [1, 2, 1]


def test_the_same_model_is_the_same_version_whichever_study_and_trial_found_it(
    workshop: Workshop,
) -> None:
    first = workshop.version(0.5)
    assert workshop.version(0.5, study="t" * 64, trial=7, seconds=9.0) == first
    assert [version.number for version in workshop.ledger.versions.all(MODEL)] == [1]
    assert workshop.registry.candidate(first).study == "s" * 64


def test_the_same_model_of_another_name_is_another_version(workshop: Workshop) -> None:
    made = workshop.candidate(0.5)
    workshop.register(made)
    assert workshop.registry.register(made, model="rents", size=10).model == "rents"


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "mae"},
        {"rows": slice(0, 190)},
        {"parity": None},
        {"signature": Signature(columns=COLUMNS[::-1], target="price")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_model_that_differs_in_what_judging_it_needs_is_another_version(
    workshop: Workshop, changes: dict[str, Any]
) -> None:
    workshop.version(0.5)
    assert workshop.version(0.5, **changes).number == 2


def test_a_model_without_an_exported_form_is_known_by_its_study_and_trial(
    workshop: Workshop,
) -> None:
    made = workshop.candidate(0.5)
    files = {"training_rows.npy": made.files["training_rows.npy"]}
    bare = replace(made, files=files, parity=None, unexportable="no converter")
    candidates = [bare, replace(bare, seconds=3.0), replace(bare, trial=8), made]
    assert [workshop.register(each).number for each in candidates] == [1, 1, 2, 3]


def test_a_damaged_version_is_nobodys_twin_and_stops_no_registration(workshop: Workshop) -> None:
    path = workshop.registry.artifacts.path(workshop.version(0.5).manifest)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    assert workshop.version(1.0).number == 2


@pytest.mark.parametrize("when", ["better", "confident"])
def test_a_model_that_is_constant_but_for_rounding_does_not_beat_the_baseline(
    workshop: Workshop, when: str
) -> None:
    outcome = workshop.consider(workshop.version(0.0, alpha=1e12), when=when)
    assert "no difference" in outcome.verdict.text
    assert (outcome.verdict.decision, outcome.verdict.difference) == ("keep", 0)
    assert workshop.champion() is None


def test_the_first_version_that_beats_the_baseline_becomes_champion(workshop: Workshop) -> None:
    outcome = workshop.consider(workshop.version(0.5))
    assert workshop.champion() == 1
    assert outcome.promotion is not None
    assert outcome.promotion.previous is None
    assert "of the baseline" in outcome.verdict.text
    assert outcome.verdict.rows == 100


def test_a_first_version_worse_than_the_baseline_is_kept(workshop: Workshop) -> None:
    outcome = workshop.consider(workshop.version(30.0))
    assert workshop.champion() is None
    assert outcome.verdict.decision == "keep"
    assert outcome.promotion is None


def test_a_better_version_replaces_the_champion_and_a_worse_one_does_not(
    workshop: Workshop,
) -> None:
    for error in (0.5, 0.0, 2.0):
        workshop.consider(workshop.version(error))
    assert workshop.champion() == 2
    history = workshop.ledger.versions.history(MODEL)
    assert [(entry.version, entry.previous, entry.kind) for entry in history] == [
        (1, None, "gate"),
        (2, 1, "gate"),
    ]
    verdicts = [entry.verdict for entry in workshop.ledger.versions.judgements(MODEL)]
    assert [verdict.decision for verdict in verdicts] == ["promote", "promote", "keep"]
    assert [verdict.judged for verdict in verdicts] == [1, 2, 3]
    assert history[1].verdict == verdicts[1]
    assert "champion v2" in verdicts[2].text


def test_the_score_is_that_of_the_exported_models_on_the_rows(workshop: Workshop) -> None:
    versions = [workshop.version(error) for error in (0.5, 0.0)]
    outcomes = [workshop.consider(version) for version in versions]
    features = workshop.features(slice(200, 300))
    scores = [
        np.mean((workshop.registry.exported(each).predict(features) - workshop.y[200:]) ** 2)
        for each in versions
    ]
    found = outcomes[1].verdict
    assert [found.other, found.candidate] == pytest.approx(scores, rel=1e-12)


def test_rows_that_the_champion_was_trained_on_judge_nobody(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.5, rows=slice(0, 260)), slice(260, 300))
    outcome = workshop.consider(workshop.version(0.0))
    assert outcome.verdict.rows == 40


def test_rows_that_the_candidate_was_trained_on_judge_nobody(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.5))
    outcome = workshop.consider(workshop.version(0.0, rows=slice(0, 250)))
    assert outcome.verdict.rows == 50


def test_fewer_than_30_shared_rows_cannot_judge(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.5, rows=slice(0, 270)), slice(270, 300))
    outcome = workshop.consider(workshop.version(0.0), slice(200, 299))
    assert outcome.verdict.decision == "cannot judge"
    assert "only 29 rows" in outcome.verdict.text
    assert "holdout.by: hash" in outcome.verdict.text
    assert workshop.champion() == 1


def test_no_shared_row_at_all_cannot_judge(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.5), slice(200, 300))
    outcome = workshop.consider(workshop.version(0.0, rows=slice(0, 300)))
    assert outcome.verdict.text.startswith("cannot judge: only 0 rows")


def test_the_champion_is_not_judged_against_itself(workshop: Workshop) -> None:
    version = workshop.version(0.5)
    first = workshop.consider(version)
    again = workshop.consider(version)
    assert again.verdict == first.verdict
    assert again.note == "v1 is the champion already; its verdict was:"
    assert len(workshop.ledger.versions.judgements(MODEL)) == 1
    assert len(workshop.ledger.versions.history(MODEL)) == 1


def test_a_champion_by_a_persons_will_has_no_verdict_but_the_reason(workshop: Workshop) -> None:
    version = workshop.version(30.0)
    workshop.registry.promote(MODEL, version.number, why="the boss says so")
    outcome = workshop.consider(version)
    assert outcome.verdict.text == (
        "champion already: a person made v1 the champion (promote: the boss says so)"
    )
    assert (outcome.note, workshop.ledger.versions.judgements(MODEL)) == (None, [])


def test_rows_that_judged_carry_their_count_along_as_the_holdout_grows(
    workshop: Workshop,
) -> None:
    workshop.consider(workshop.version(0.0), slice(200, 250), when="confident")
    grown = [slice(200, 251), slice(200, 300), slice(210, 300)]
    candidates = [workshop.version(error) for error in (1.0, 2.0, 3.0)]
    verdicts = [
        workshop.consider(version, rows, when="confident").verdict
        for version, rows in zip(candidates, grown, strict=True)
    ]
    assert [verdict.judged for verdict in verdicts] == [2, 3, 4]
    assert verdicts[2].confidence == pytest.approx(1 - 0.05 / (4 * 5))


def test_other_rows_begin_a_count_of_their_own(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.0), slice(200, 240))
    assert workshop.consider(workshop.version(1.0), slice(230, 300)).verdict.judged == 1


def test_the_same_verdict_again_is_not_written_again(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.0))
    worse = workshop.version(1.0)
    assert workshop.consider(worse).verdict == workshop.consider(worse).verdict
    assert len(workshop.ledger.versions.judgements(MODEL)) == 2
    assert workshop.consider(worse, when="always").promotion is not None


def test_a_verdict_is_the_same_again_whoever_was_judged_meanwhile(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.0))
    worse, worst = workshop.version(1.0), workshop.version(2.0)
    first = workshop.consider(worse, when="confident").verdict
    workshop.consider(worst, when="confident")
    assert workshop.consider(worse, when="confident").verdict == first
    assert first.judged == 2
    assert len(workshop.ledger.versions.judgements(MODEL)) == 3


def test_another_champion_or_other_terms_are_another_verdict(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.5))
    worse = workshop.version(1.0)
    workshop.consider(worse)
    workshop.consider(worse, margin=0.1)
    workshop.consider(workshop.version(0.0))
    workshop.consider(worse)
    mine = [e for e in workshop.ledger.versions.judgements(MODEL) if e.version == worse.number]
    assert [(entry.champion, "0.1" in entry.verdict.text) for entry in mine] == [
        (1, False),
        (1, True),
        (3, False),
    ]


def test_a_model_that_cannot_be_exported_is_kept_and_the_verdict_says_why(
    workshop: Workshop,
) -> None:
    made = workshop.candidate(0.0)
    files = {name: file for name, file in made.files.items() if name != "model.onnx"}
    version = workshop.register(
        replace(made, files=files, parity=None, unexportable="no converter for Gadget")
    )
    outcome = workshop.consider(version, when="always")
    assert outcome.verdict.decision == "keep"
    assert "no converter for Gadget" in outcome.verdict.text
    assert workshop.champion() is None
    assert workshop.ledger.versions.judgements(MODEL)[0].verdict == outcome.verdict


FAILED = Parity(rows=100, beyond=3, worst=0.2, tolerance=1e-4, passed=False)


def test_failed_parity_of_a_winner_fails_but_keeps_version_and_verdict(
    workshop: Workshop,
) -> None:
    version = workshop.version(0.0, parity=FAILED)
    with pytest.raises(Failed, match="3 of 100 holdout rows"):
        workshop.consider(version)
    assert workshop.champion() is None
    assert workshop.ledger.versions.get(MODEL, 1) == version
    (entry,) = workshop.ledger.versions.judgements(MODEL)
    assert entry.verdict.decision == "keep"
    assert "further apart than 0.0001" in entry.verdict.text


def test_failed_parity_is_the_first_thing_that_a_verdict_says_whatever_the_score(
    workshop: Workshop,
) -> None:
    workshop.consider(workshop.version(0.0))
    said = "kept, not promoted: its exported form does not predict what was trained: 3 of 100"
    with pytest.raises(Failed, match="3 of 100 holdout rows"):
        workshop.consider(workshop.version(2.0, parity=FAILED))
    entry = workshop.ledger.versions.judgements(MODEL)[-1]
    assert entry.verdict.text.startswith(said)
    assert "of champion v1 on 100 rows; worse by" in entry.verdict.text
    few = workshop.version(0.2, parity=FAILED)
    with pytest.raises(Failed, match="cannot judge"):
        workshop.consider(few, slice(200, 220))
    assert workshop.ledger.versions.judgements(MODEL)[-1].verdict.text.startswith(said)


def test_failed_parity_of_what_nobody_wants_promoted_is_said_and_no_fault(
    workshop: Workshop,
) -> None:
    outcome = workshop.consider(workshop.version(0.1, parity=FAILED), when="never")
    assert outcome.verdict.decision == "keep"
    assert outcome.verdict.text.startswith("kept, not promoted: its exported form does not predict")


def test_failed_parity_names_the_columns_that_float32_rounds(workshop: Workshop) -> None:
    version = workshop.version(0.1, parity=replace(FAILED, rounded=("seen", "born")))
    with pytest.raises(Failed, match=r"columns 'seen', 'born' have numbers beyond 16,777,216 that"):
        workshop.consider(version)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "rent"}, "target 'rent', not 'price'"),
        ({"columns": (*"abc", "e")}, "without 'd' (number); with 'e' (number)"),
        ({"columns": tuple("bacd")}, "the same columns in another order"),
    ],
)
def test_a_champion_of_another_signature_cannot_be_compared(
    workshop: Workshop, changes: dict[str, Any], words: str
) -> None:
    original = workshop.columns, workshop.target
    names = changes.get("columns", tuple("abcd"))
    workshop.columns = tuple(Column(name=name, kind="number") for name in names)
    workshop.target = changes.get("target", "price")
    workshop.consider(workshop.version(0.5))
    workshop.columns, workshop.target = original
    version = workshop.version(0.0)
    outcome = workshop.consider(version)
    assert outcome.verdict.decision == "cannot judge"
    assert words in outcome.verdict.text
    assert workshop.champion() == 1
    assert workshop.consider(version, when="always").promotion is not None


def test_a_champion_of_before_its_columns_had_types_is_compared(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.5))
    workshop.columns = (replace(COLUMNS[0], type="boolean"), *COLUMNS[1:])
    made = workshop.candidate(0.0)
    version = workshop.register(
        replace(made, signature=replace(made.signature, missing=("", "NA", "n/a")))
    )
    assert workshop.consider(version).verdict.decision == "promote"


TEXTS = Signature(columns=(*COLUMNS, Column(name="e", kind="text")), target="price")
CODES = replace(TEXTS, columns=(*COLUMNS, Column(name="e", kind="text", type="number")))


@pytest.mark.parametrize(
    ("mine", "theirs", "texts", "words"),
    [
        (TEXTS, TEXTS, ["a", None], None),
        (TEXTS, CODES, ["a"], "without 'e' (text); with 'e' (number as text)"),
        (replace(TEXTS, missing=("", "?")), replace(TEXTS, missing=("",)), ["a"], None),
        (
            replace(TEXTS, missing=("", "?")),
            replace(TEXTS, missing=("",)),
            ["a", None],
            "other texts stand for a missing one",
        ),
        (replace(TEXTS, missing=("",)), replace(TEXTS, missing=("", "?")), ["a", None], None),
        (
            replace(TEXTS, missing=("",)),
            TEXTS,
            ["a", "NA"],
            "other texts stand for a missing one",
        ),
    ],
)
def test_a_champion_that_would_read_the_texts_otherwise_is_not_compared(
    mine: Signature, theirs: Signature, texts: list[str | None], words: str | None
) -> None:
    known = tuple(sorted(text for text in texts if text is not None))
    codes = [[-1 if text is None else known.index(text)] for text in texts]
    features = Features(
        numbers=np.zeros((len(texts), 4)), text=np.array(codes, np.int32), categories=(known,)
    )
    assert comparable(mine, theirs, features) == (words is None)
    if words is not None:
        assert f"({words})" in unlike(mine, theirs, "champion v1")


def test_a_version_that_was_rolled_back_is_not_brought_back_by_running_it_again(
    workshop: Workshop,
) -> None:
    before = workshop.version(0.5)
    workshop.consider(before)
    better = workshop.version(0.0)
    workshop.consider(better)
    workshop.registry.rollback(MODEL, why="complaints")
    assert workshop.consider(before).verdict.text == (
        "champion already: a person made v1 the champion (rollback: complaints)"
    )
    outcome = workshop.consider(better, when="always")
    assert workshop.champion() == 1
    assert "rollback: complaints" in outcome.verdict.text
    assert outcome.verdict.decision == "keep"


class _Overtaken:
    """The ledger's versions, in which somebody else promotes just before we do."""

    def __init__(self, inner: Any, overtake: Any) -> None:
        self._inner = inner
        self._overtake = overtake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def promote(self, promotion: Promotion, *evidence: Any, **carried: Any) -> Promotion:
        overtake, self._overtake = self._overtake, lambda: None
        overtake()
        return self._inner.promote(promotion, *evidence, **carried)


@pytest.mark.parametrize(("rival", "wins"), [(0.0, False), (1.0, True)])
def test_a_version_that_was_overtaken_is_judged_again_against_the_new_champion(
    workshop: Workshop, rival: float, *, wins: bool
) -> None:
    mine, theirs = workshop.version(0.5), workshop.version(rival)

    class Ledger:
        versions = _Overtaken(workshop.ledger.versions, lambda: workshop.consider(theirs))

    registry = Registry(Ledger(), workshop.registry.artifacts)  # type: ignore[arg-type] - one part of it
    outcome = consider(registry, mine, holdout=workshop.holdout(), terms=Promote())
    assert outcome.verdict.against == "champion v2"
    assert outcome.verdict.judged == 2
    assert workshop.champion() == (1 if wins else 2)
    history = workshop.ledger.versions.history(MODEL)
    assert [entry.version for entry in history] == ([2, 1] if wins else [2])
    said = [
        (entry.version, entry.champion, entry.verdict.decision)
        for entry in workshop.ledger.versions.judgements(MODEL)
    ]
    assert said == [(2, None, "promote"), (1, 2, "promote" if wins else "keep")]


_PROCESS = """
import sys, time
from pathlib import Path
import numpy as np
from fairlead.artifacts import Artifacts
from fairlead.data.features import Features
from fairlead.ledger.store import open_ledger
from fairlead.registry.judging import Holdout, consider
from fairlead.registry.registry import Registry
from fairlead.settings import Settings
from fairlead.spec.document import Promote

home, number = Path(sys.argv[1]), int(sys.argv[2])
settings = Settings(home=home)
rows = np.load(home / "rows.npz")
features = Features(numbers=rows["x"], text=np.empty((len(rows["x"]), 0), np.int32))
holdout = Holdout(features=features, true=rows["y"], training=rows["training"], seed=0)
with open_ledger(settings.ledger_url) as ledger:
    registry = Registry(ledger, Artifacts(settings.artifacts_url))
    version = ledger.versions.get("prices", number)
    (home / f"ready-{number}").touch()
    while len(list(home.glob("ready-*"))) < 2:
        time.sleep(0.001)
    print(consider(registry, version, holdout=holdout, terms=Promote()).verdict.text)
"""


def test_two_processes_that_promote_at_once_leave_the_better_one_as_champion(
    workshop: Workshop,
) -> None:
    for error in (0.5, 0.0):
        workshop.version(error)
    home = workshop.settings.home
    np.savez(home / "rows.npz", x=workshop.x[200:], y=workshop.y[200:], training=workshop.y[:200])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(home), str(number)], stdout=subprocess.PIPE
        )
        for number in (1, 2)
    ]
    assert [process.communicate(timeout=120)[0] != b"" for process in processes] == [True, True]
    assert [process.returncode for process in processes] == [0, 0]
    assert workshop.champion() == 2
    changes = [(e.version, e.previous) for e in workshop.ledger.versions.history(MODEL)]
    assert changes in ([(1, None), (2, 1)], [(2, None)])
    judged = workshop.ledger.versions.judgements(MODEL)
    first = [entry.champion for entry in judged if entry.version == 1]
    # Where v2 came first, v1 lost to the champion, not to the baseline.
    assert first[-1] == (2 if len(changes) == 1 else None)


def test_processes_that_judge_at_once_have_a_count_each(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.0))
    home = workshop.settings.home
    np.savez(home / "rows.npz", x=workshop.x[200:], y=workshop.y[200:], training=workshop.y[:200])
    worse = [workshop.version(error).number for error in (1.0, 2.0)]
    processes = [
        subprocess.Popen([sys.executable, "-c", _PROCESS, str(home), str(number)])
        for number in worse
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    judged = workshop.ledger.versions.judgements(MODEL)
    assert sorted(entry.version for entry in judged) == [1, *worse]
    assert [entry.verdict.judged for entry in judged] == [1, 2, 3]


def test_one_model_registered_by_many_at_once_is_one_version(workshop: Workshop) -> None:
    same = [workshop.candidate(0.5, study=letter * 64) for letter in "abcdefgh"]
    together = Barrier(len(same))

    def register(candidate: Candidate) -> int:
        with open_ledger(workshop.settings.ledger_url) as ledger:
            registry = Registry(ledger, workshop.registry.artifacts)
            together.wait()
            return registry.register(candidate, model=MODEL, size=10).number

    with ThreadPoolExecutor(len(same)) as pool:
        assert list(pool.map(register, same)) == [1] * len(same)
    assert [version.number for version in workshop.ledger.versions.all(MODEL)] == [1]
    assert len(workshop.ledger.outbox.pending()) == 1
