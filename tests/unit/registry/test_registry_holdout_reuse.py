"""How many candidates the same rows have judged."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.records import Judgement, Verdict
from fairlead.registry.holdout_reuse import SAMPLE, Question, sample, shared, tally

HASHES = np.random.default_rng(0).integers(0, 2**64, size=200_000, dtype=np.uint64)
ROWS = {
    name: sample(HASHES[rows])
    for name, rows in {
        "100": slice(0, 100),
        "101": slice(0, 101),
        "1000": slice(0, 1000),
        "half": slice(50, 150),
        "less": slice(51, 151),
        "none": slice(1000, 1100),
    }.items()
}


def judgement(
    version: int, rows: str, *, champion: int = 1, judged: int = 1, difference: float | None = 0.5
) -> Judgement:
    verdict = Verdict(
        decision="keep",
        text="",
        against="",
        metric="mse",
        rows=100,
        judged=judged,
        difference=difference,
    )
    return Judgement(model="m", version=version, champion=champion, rows=rows, verdict=verdict)


def question(version: int, rows: str, *, champion: int = 1) -> Question:
    return Question(version=version, champion=champion, rows=rows, sample=ROWS[rows])


def test_rows_that_judged_nobody_begin_at_one() -> None:
    assert tally(question(2, "100"), [], {}) == 1


@pytest.mark.parametrize("rows", ["100", "101", "1000", "half"])
def test_rows_that_are_mostly_the_same_carry_their_count_along(rows: str) -> None:
    earlier = [judgement(2, "100"), judgement(3, "100")]
    assert tally(question(4, rows), earlier, ROWS) == 3


@pytest.mark.parametrize("rows", ["less", "none"])
def test_rows_that_are_mostly_others_begin_anew(rows: str) -> None:
    assert tally(question(4, rows), [judgement(2, "100")], ROWS) == 1


def test_a_set_that_shrinks_keeps_its_count() -> None:
    assert tally(question(4, "100"), [judgement(2, "1000")], ROWS) == 2


def test_the_same_question_keeps_the_count_that_it_had_whoever_came_after() -> None:
    earlier = [judgement(2, "100", judged=7), judgement(3, "100", judged=8)]
    assert tally(question(2, "100"), earlier, ROWS) == 7


def test_a_verdict_that_says_again_what_was_said_counts_once() -> None:
    assert tally(question(3, "100"), [judgement(2, "100")] * 2, ROWS) == 2


@pytest.mark.parametrize(("champion", "rows"), [(5, "100"), (1, "101")])
def test_a_version_that_comes_back_with_another_question_counts_once_more(
    champion: int, rows: str
) -> None:
    assert tally(question(2, rows, champion=champion), [judgement(2, "100")], ROWS) == 2


def test_a_verdict_without_a_comparison_counts_nothing() -> None:
    assert tally(question(3, "100"), [judgement(2, "100", difference=None)], ROWS) == 1


def test_rows_that_an_older_ledger_does_not_know_count_as_the_same() -> None:
    assert tally(question(3, "100"), [judgement(2, "e" * 64)], ROWS) == 2


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        (slice(0, 150_000), slice(0, 200_000), 1.0),
        (slice(0, 100_000), slice(40_000, 140_000), 0.6),
        (slice(0, 100_000), slice(60_000, 160_000), 0.4),
        (slice(0, 20_000), slice(10_000, 200_000), 0.5),
        (slice(0, 2_000), slice(1_000, 30_000), 0.5),
    ],
)
def test_of_many_rows_a_sample_tells_what_is_shared(one: slice, other: slice, share: float) -> None:
    mine, theirs = sample(HASHES[one]), sample(HASHES[other])
    assert shared(mine, theirs) == shared(theirs, mine) == pytest.approx(share, abs=0.1)


def test_a_sample_has_one_size_however_many_rows_there_are() -> None:
    assert len(sample(HASHES)) == 8 * SAMPLE


def test_too_few_known_rows_to_tell_count_as_the_same() -> None:
    assert shared(sample(HASHES[:40]), sample(HASHES[40:])) == 1.0


def test_rows_that_repeat_themselves_count_once() -> None:
    assert sample(np.repeat(HASHES[:10], 3)) == sample(HASHES[:10])


def test_no_rows_share_nothing() -> None:
    assert shared(sample(HASHES[:0]), sample(HASHES[:10])) == 0.0
