"""What the report says in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fairlead.report import words
from fairlead.report.material import Material

Make = Callable[..., Material]


def test_a_finished_study_is_told_from_its_search_to_its_standing(finished: Make) -> None:
    scores = iter([None, None, 9.25, 8.125, *[9.0] * 56])
    assert list(words.story(finished(score=lambda _: next(scores)))) == [
        (
            "60 trials of forest and booster on boston (regression), by random search, each scored "
            "on 2 folds; 2 trials failed."
        ),
        "Trial 0 is the first that failed: MemoryError: over the limit.",
        (
            "Trial 3 is the best, with a cross-validated mse of 8.125: booster with "
            "rate=0.568464, rounds=48."
        ),
        "Refitted on 404 training rows, its mse on 4 holdout rows is 7.25.",
        "It is version 3 of the model prices, and its champion.",
    ]


def test_a_study_that_goes_on_says_how_far_it_is(searched: Make) -> None:
    material = searched()
    waiting = replace(material.rows[-1], state="waiting", result=None)
    study = replace(material.study, state="searching", finished=None)
    material = replace(material, study=study, rows=[*material.rows[:-1], waiting])
    assert next(iter(words.story(material))).startswith("59 of 60 trials so far of forest and")


def test_a_study_without_a_good_trial_says_that_there_is_no_model(searched: Make) -> None:
    told = list(words.story(searched(score=lambda _: None)))
    assert told[0].endswith("; 60 trials failed.")
    assert told[1:] == [
        "Trial 0 is the first that failed: MemoryError: over the limit.",
        "No trial succeeded, so there is no model.",
    ]


def test_a_refit_that_failed_says_why(searched: Make) -> None:
    material = replace(searched(), not_refitted="killed by SIGKILL (after 3 attempts)")
    assert list(words.story(material))[-1] == (
        "Refitting the best trial failed, so there is no model: killed by SIGKILL (after 3 "
        "attempts)."
    )


@pytest.mark.parametrize(
    ("champion", "end"),
    [
        (3, "and its champion."),
        (2, "the champion is version 2."),
        (None, "which has no champion yet."),
    ],
)
def test_it_says_who_is_champion(finished: Make, champion: int | None, end: str) -> None:
    assert list(words.story(replace(finished(), champion=champion)))[-1].endswith(end)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0.0123, "0.012 s"),
        (9.5, "9.5 s"),
        (42.4, "42 s"),
        (183.0, "3 min 3 s"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_durations_read_well(duration: float, text: str) -> None:
    assert words.seconds(duration) == text


def test_a_verdict_is_what_was_decided_and_why() -> None:
    assert words.verdict("kept, not promoted: a: b") == ("Kept, not promoted", "a: b")
    assert words.verdict("undecided") == ("Undecided", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (12000, "12,000"),
        (0.93, "0.93"),
        (11.24512, "11.245"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "said"),
    [(626_601.494, "626,601"), (12_345.6, "12,346"), (1234.56, "1234.6"), (0.123456, "0.12346")],
)
def test_a_large_score_is_written_out_as_the_command_line_has_it(value: float, said: str) -> None:
    assert words.number(value) == said
