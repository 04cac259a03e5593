"""Promises of the gate: who is promoted, on what evidence, and in what words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairlead.metrics import METRICS
from fairlead.records import Verdict
from fairlead.registry import bootstrap, gate
from fairlead.registry.gate import BASELINE, Evidence, compared
from fairlead.spec.document import Promote

MSE = METRICS["mse"]


def case(rows: int = 100, *, better: float = 1.0, seed: int = 0) -> gate.Case:
    """A candidate whose errors are `better` times smaller than those of champion v3."""
    rng = np.random.default_rng(seed)
    true = rng.normal(scale=9, size=rows)
    return gate.Case(
        true=true,
        candidate=true + rng.normal(size=rows),
        other=true + better * rng.normal(size=rows),
        against="champion v3",
        judged=1,
        seed=7,
    )


def verdict(put: gate.Case, metric: str = "mse", **terms: object) -> Verdict:
    return gate.judge(put, metric=METRICS[metric], terms=Promote.model_validate(terms))


def test_a_candidate_with_smaller_errors_is_promoted() -> None:
    assert verdict(case(better=1.5)).decision == "promote"


def test_a_candidate_with_larger_errors_is_kept() -> None:
    assert verdict(case(better=0.7)).decision == "keep"


def test_the_same_predictions_are_no_improvement() -> None:
    put = case()
    found = verdict(replace(put, other=put.candidate))
    assert (found.decision, found.difference, found.low, found.high) == ("keep", 0, 0, 0)
    assert "no difference" in found.text


ALL = ["better", "confident"]


@pytest.mark.parametrize("when", ALL)
@pytest.mark.parametrize("metric", ["mse", "rmse", "mae", "r2"])
@pytest.mark.parametrize("mean", [0.0, 0.4, 1e6])
def test_a_gain_that_rounding_to_float32_makes_is_no_difference(
    when: str, metric: str, mean: float
) -> None:
    rng = np.random.default_rng(0)
    true = mean + rng.normal(scale=0.5, size=2000)
    other = np.full(2000, mean)
    # Every row is nearer to the truth, by the last bit: a gain that resampling is sure of.
    closer = (other + np.sign(true - mean) * np.spacing(np.float32(max(mean, 0.5)))).astype(float)
    assert METRICS[metric].gain(
        METRICS[metric].score(true, closer), METRICS[metric].score(true, other)
    )
    put = replace(case(), true=true, candidate=closer, other=other)
    found = verdict(put, metric, when=when)
    assert (found.decision, found.difference, found.low, found.high) == ("keep", 0, 0, 0)
    assert "no difference" in found.text


@pytest.mark.parametrize("when", ALL)
def test_a_small_gain_that_rounding_cannot_make_counts(when: str) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=2000)
    other = np.zeros(2000)
    put = replace(case(), true=true, candidate=other + 1e-5 * np.sign(true), other=other)
    assert verdict(put, when=when).decision == "promote"


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1", "log_loss", "roc_auc"])
@pytest.mark.usefixtures("few_scores")
def test_probabilities_that_rounding_tells_apart_are_the_same(metric: str) -> None:
    true = np.tile([0, 1], 100)
    even = np.full((200, 2), 0.5, dtype=np.float32)
    leaning = even + np.spacing(np.float32(0.5)) * (2 * np.eye(2, dtype=np.float32)[true] - 1)
    put = replace(case(), true=true, candidate=leaning, other=even)
    assert METRICS[metric].score(true, leaning) != METRICS[metric].score(true, even)
    found = verdict(put, metric)
    assert (found.decision, found.difference) == ("keep", 0)


def test_a_probability_that_is_almost_none_differs_from_one_that_is_little() -> None:
    true = np.zeros(100, dtype=np.int64)
    unlikely, less = (np.tile([p, 1 - p], (100, 1)) for p in (1e-5, 2e-6))
    put = replace(case(), true=true, candidate=unlikely, other=less)
    assert verdict(put, "log_loss").decision == "promote"


@pytest.mark.parametrize("low", [-0.0, -1e-9, 0.0])
def test_no_number_is_a_negative_nothing(low: float) -> None:
    seen = Evidence(
        candidate=756752.0, other=756752.0, difference=0.0, low=low, high=-0.0, confidence=0.95
    )
    text = compared(seen, metric=MSE, against="champion v1", rows=100, judged=1)
    assert text == (
        "mean squared error 756752 against 756752 of champion v1 on 100 rows; no difference "
        "(95 % interval of the gain 0 to 0); these rows have judged 1 candidate"
    )


def test_a_gain_of_exactly_the_margin_is_not_enough() -> None:
    put = case(better=1.5)
    gain = verdict(put).difference
    assert verdict(put, margin=gain).decision == "keep"
    assert verdict(put, margin=np.nextafter(gain, 0)).decision == "promote"


def test_confident_wants_the_whole_interval_above_the_margin() -> None:
    put = case(better=1.5)
    found = verdict(put, when="confident")
    assert found.decision == "promote"
    assert found.low > 0
    assert verdict(put, when="confident", margin=found.low).decision == "keep"
    assert verdict(put, when="confident", margin=np.nextafter(found.low, 0)).decision == "promote"


def test_the_more_candidates_the_rows_have_judged_the_wider_the_interval_that_decides() -> None:
    put = case(better=1.5)
    found = [verdict(replace(put, judged=k), when="confident") for k in (1, 2, 5, 20, 1000)]
    lows = [each.low for each in found]
    assert lows == sorted(lows, reverse=True)
    assert len(set(lows)) == len(lows)
    assert found[-1].decision == "keep"


def test_what_confident_spends_on_any_number_of_candidates_sums_to_alpha_at_most() -> None:
    terms = Promote(when="confident", confidence=0.95)
    spent = [1 - gate.confidence_of(terms, k) for k in range(1, 10_000)]
    assert spent[0] == pytest.approx(0.025)
    assert 0.0499 < sum(spent) <= 0.05


def test_better_shows_the_interval_at_the_confidence_of_the_spec() -> None:
    wide, narrow = (verdict(case(), confidence=c) for c in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (wide.confidence, narrow.confidence) == (0.99, 0.8)


def test_always_promotes_what_is_worse_and_says_so() -> None:
    found = verdict(case(better=0.5), when="always")
    assert found.decision == "promote"
    assert "worse by" in found.text
    assert "promote.when is always" in found.text


def test_never_keeps_what_is_better_and_shows_how_much() -> None:
    found = verdict(case(better=2), when="never")
    assert found.decision == "keep"
    assert "better by" in found.text
    assert "promote.when is never" in found.text


@pytest.mark.parametrize("when", ["better", "confident"])
@pytest.mark.parametrize(("rows", "words"), [(29, "29 rows"), (1, "1 row of"), (0, "0 rows")])
def test_fewer_than_30_rows_judge_nobody(when: str, rows: int, words: str) -> None:
    found = verdict(case(rows, better=100), when=when)
    assert found.decision == "cannot judge"
    assert found.text.startswith("cannot judge: only " + words)
    assert "holdout.by: hash" in found.text
    assert found.low is None


def test_a_first_version_with_few_rows_is_told_of_the_one_model_there_is() -> None:
    text = verdict(replace(case(29), against=BASELINE)).text
    assert text == (
        "cannot judge: only 29 rows of the holdout are new to the model, and 30 are needed; with "
        "more rows of data, or a larger data.holdout.share, there are"
    )
    assert "new to both models" in verdict(case(29)).text


DIAGNOSES = ("benign", "malign", "unclear")


@pytest.mark.usefixtures("few_scores")
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1", "log_loss", "roc_auc"])
@pytest.mark.parametrize("rows", [20, 60])
def test_a_verdict_names_the_classes_that_its_rows_lack(metric: str, rows: int) -> None:
    rng = np.random.default_rng(0)
    true = np.tile([0, 2], rows // 2)
    mine, theirs = (rng.dirichlet(np.ones(3), rows) for _ in range(2))
    put = replace(case(), true=true, candidate=mine, other=theirs, classes=DIAGNOSES)
    for when in ("better", "always", "never"):
        assert "; no row of class 'malign' is among them" in verdict(put, metric, when=when).text
    every = replace(put, true=np.arange(rows) % 3)
    assert "among them" not in verdict(every, metric).text


def test_a_verdict_on_amounts_speaks_of_no_classes() -> None:
    assert "among them" not in verdict(case()).text


def test_30_rows_judge() -> None:
    assert verdict(case(30, better=3)).decision == "promote"


def test_always_and_never_need_no_rows() -> None:
    assert verdict(case(5), when="always").decision == "promote"
    assert verdict(case(5), when="never").decision == "keep"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("when", ["better", "confident", "always", "never"])
def test_a_prediction_that_is_no_number_is_never_promoted(value: float, when: str) -> None:
    put = case(better=100)
    put.candidate[3] = value
    found = verdict(put, when=when)
    assert found.decision == "keep"
    assert "NaN or infinity for 1 row of 100" in found.text


def test_a_class_probability_that_is_no_number_is_never_promoted() -> None:
    true = np.tile([0, 1], 30)
    wrong = np.full((60, 2), 0.5)
    right = np.eye(2)[true]
    right[5, 1] = np.nan
    put = replace(case(), true=true, candidate=right, other=wrong)
    assert verdict(put, "accuracy", when="always").decision == "keep"


def test_a_champion_that_predicts_no_numbers_cannot_be_compared() -> None:
    put = case()
    assert put.other is not None
    put.other[:2] = np.nan
    found = verdict(put)
    assert found.decision == "cannot judge"
    assert "champion v3 predicts NaN or infinity for 2 rows" in found.text


def test_predictions_too_large_for_their_score_cannot_be_judged() -> None:
    put = case()
    found = verdict(replace(put, candidate=np.full(100, 1e300)))
    assert found.decision == "cannot judge"
    assert "mse has no finite value" in found.text


def test_a_champion_of_another_kind_cannot_be_compared() -> None:
    put = replace(case(), other=None, incomparable="champion v3 has other columns")
    assert verdict(put).text == "cannot judge: champion v3 has other columns"
    assert verdict(put, when="always").decision == "promote"


def test_the_verdict_is_a_sentence_with_its_numbers() -> None:
    true = np.zeros(102)
    candidate, other = np.full(102, 9.81**0.5), np.full(102, 11.40**0.5)
    put = replace(case(), true=true, candidate=candidate, other=other, judged=2)
    assert verdict(put).text == (
        "promoted: mean squared error 9.81 against 11.40 of champion v3 on 102 rows; "
        "better by 1.59 (95 % interval of the gain 1.59 to 1.59); "
        "these rows have judged 2 candidates"
    )


def test_the_verdict_on_one_that_is_kept_says_what_was_asked_for() -> None:
    text = verdict(case(better=0.9), when="confident", margin=0.25).text
    assert text.startswith(
        "kept, not promoted: mean squared error 0.916 against 1.023 of champion v3"
    )
    assert "(97.5 % interval of the gain -" in text
    assert text.endswith("promote.when is confident, so the whole interval must be above 0.25")


def test_a_score_that_should_be_high_counts_the_other_way_round() -> None:
    true = np.tile([0, 1, 2], 40)
    right, wrong = np.eye(3)[true], np.eye(3)[np.roll(true, 1)]
    put = replace(case(), true=true, candidate=right, other=wrong)
    assert verdict(put, "accuracy").difference == 1
    assert verdict(replace(put, candidate=wrong, other=right), "accuracy").difference == -1


CLASSES = [metric.name for metric in METRICS.values() if metric.task == "classification"]
NUMBERS = [metric.name for metric in METRICS.values() if metric.task == "regression"]


@pytest.mark.parametrize("metric", NUMBERS)
def test_every_metric_of_numbers_tells_better_from_worse(metric: str) -> None:
    good = case(better=2)
    bad = replace(good, candidate=good.other, other=good.candidate)
    assert verdict(good, metric).decision == "promote"
    assert verdict(bad, metric).decision == "keep"


@pytest.fixture
def few_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few resamples as there may be: scikit-learn's scores of classes take a while."""
    monkeypatch.setattr(bootstrap, "SCORED_RESAMPLES", bootstrap.MIN_RESAMPLES)


@pytest.mark.parametrize("metric", CLASSES)
@pytest.mark.usefixtures("few_scores")
def test_every_metric_of_classes_tells_better_from_worse(metric: str) -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 90)
    sure, unsure = (_probabilities(true, weight, rng) for weight in (2.0, 0.3))
    good = replace(case(), true=true, candidate=sure, other=unsure)
    found = verdict(good, metric)
    assert found.decision == "promote"
    assert found.low <= found.difference <= found.high
    assert verdict(replace(good, candidate=unsure, other=sure), metric).decision == "keep"


def _probabilities(true: np.ndarray, weight: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.dirichlet(np.ones(3), len(true)) + weight * np.eye(3)[true]
    return noise / noise.sum(axis=1, keepdims=True)


def test_a_metric_that_the_rows_leave_undefined_cannot_judge() -> None:
    true = np.zeros(50, dtype=np.int64)
    put = replace(case(), true=true, candidate=np.full((50, 2), 0.5), other=np.full((50, 2), 0.5))
    found = verdict(put, "roc_auc")
    assert found.decision == "cannot judge"
    assert "roc_auc has no finite value on these 50 rows" in found.text


@pytest.mark.usefixtures("few_scores")
def test_a_class_too_rare_for_most_resamples_cannot_be_judged() -> None:
    # Of 5 classes with one row each, a resample hardly ever has all: no ranking score is left.
    true = np.r_[np.zeros(55, dtype=np.int64), 1, 2, 3, 4, 5]
    flat = np.full((60, 6), 1 / 6)
    found = verdict(replace(case(), true=true, candidate=flat, other=flat), "roc_auc")
    assert found.decision == "cannot judge"
    assert "a class is too rare" in found.text


def test_the_baseline_of_numbers_is_the_training_mean() -> None:
    assert gate.baseline(np.array([1.0, 2.0, 6.0]), None, 2).tolist() == [3.0, 3.0]


def test_the_baseline_of_classes_predicts_the_majority_with_the_training_shares() -> None:
    found = gate.baseline(np.array([2, 2, 0, 2]), 4, 3)
    assert found.tolist() == [[0.25, 0, 0.75, 0]] * 3
    assert found.argmax(axis=1).tolist() == [2, 2, 2]


def test_the_first_version_must_beat_the_baseline() -> None:
    put = case()
    against = gate.baseline(put.true, None, 100)
    found = verdict(replace(put, other=against, against=BASELINE))
    assert found.decision == "promote"
    assert "of the baseline (always the mean of the training target)" in found.text
    found = verdict(replace(put, candidate=against, other=against, against=BASELINE))
    assert found.decision == "keep"
