"""What each picture shows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.records import FitProgress, FitReport, Result
from fairlead.report import curves, fits, holdout, importance, interval, parallel, scores
from fairlead.report.material import HoldoutPredictions as Predictions
from fairlead.report.material import Material
from fairlead.report.picture import Picture, fence, scale_of, thinned

Make = Callable[..., Material]


def traces(picture: Picture) -> dict[str, dict[str, Any]]:
    assert picture.figure is not None
    return {trace.get("name", ""): trace for trace in picture.figure["data"]}


def numbered(*values: float | None) -> Callable[[Any], float | None]:
    following = iter([*values, *itertools.repeat(values[-1], 1000)])
    return lambda _: next(following)


# ---- score over trials ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "best"), [("mse", [5.0, 4.0, 3.0, 3.0]), ("r2", [5.0, 7.0, 7.0])]
)
def test_the_best_so_far_follows_the_metrics_sign(
    searched: Make, metric: str, best: list[float]
) -> None:
    material = searched(trials=6, metric=metric, score=numbered(5.0, 7.0, 4.0, None, 3.0, 3.0))
    assert traces(scores.draw(material))["best so far"]["y"] == best


def test_failed_trials_are_marked_where_they_failed_and_say_why(searched: Make) -> None:
    material = searched(trials=6, score=numbered(1.0, None, 2.0, None, 3.0))
    failed = traces(scores.draw(material))["failed"]
    assert failed["x"] == [1, 3]
    assert "MemoryError" in failed["text"][0]


def pruned_at_the_end(material: Material, result: Result) -> Material:
    last = replace(material.rows[-1], state="pruned", result=result)
    return replace(material, rows=[*material.rows[:-1], last])


@pytest.mark.parametrize(
    ("result", "mean"),
    [
        (Result(number=3, state="pruned", scores=(4.0, 8.0), curve=(9.0, 4.0)), 6.0),
        (Result(number=3, state="pruned", curve=(9.0, 7.0)), 7.0),
    ],
    ids=["between folds", "after an epoch"],
)
def test_pruned_trials_stand_at_what_they_scored_by_then(
    searched: Make, result: Result, mean: float
) -> None:
    material = pruned_at_the_end(searched(trials=4, score=numbered(1.0)), result)
    pruned = traces(scores.draw(material))["pruned (its score by then)"]
    assert (pruned["x"], pruned["y"]) == ([3], [mean])


# ---- score by epoch -------------------------------------------------------------------------


def test_each_trial_that_was_scored_by_epoch_is_a_line_and_those_that_were_pruned_end_in_a_mark(
    searched: Make,
) -> None:
    material = searched(trials=4, score=numbered(1.0, 2.0, 3.0))
    learned = [
        replace(row, result=replace(row.result, curve=(4.0, 3.0, row.result.score)))
        for row in material.rows[:3]
        if row.result is not None and row.result.score is not None
    ]
    result = Result(number=3, state="pruned", curve=(9.0, 7.0))
    whole = pruned_at_the_end(replace(material, rows=[*learned, material.rows[3]]), result)
    (picture,) = curves.draw(whole)
    lines = traces(picture)
    assert lines["trial 1"]["x"] == [1, 2, 3]
    assert lines["trial 1"]["y"] == [4.0, 3.0, 2.0]
    assert lines["trial 1"]["marker"]["size"] == [0, 0, 0]
    assert lines["trial 3"]["marker"]["size"] == [0, 8]
    assert lines["trial 0"]["line"]["width"] == 3, "the best"
    assert "1 trial within that fold" in picture.caption


def test_there_is_no_picture_by_epoch_where_no_trial_was_scored_so(searched: Make) -> None:
    assert list(curves.draw(searched(trials=4))) == []


def test_of_very_many_trials_some_are_drawn_and_the_best_is(searched: Make) -> None:
    material = searched(trials=500, score=numbered(*(float(500 - n) for n in range(500))))
    rows = [
        replace(row, result=replace(row.result, curve=(1.0, 2.0)))
        for row in material.rows
        if row.result is not None
    ]
    (picture,) = curves.draw(replace(material, rows=rows))
    assert picture.figure is not None
    assert len(picture.figure["data"]) <= curves.MOST_LINES + 1
    assert f"trial {material.ranked[0].number}" in traces(picture)
    assert "200 of 500 trials are drawn" in picture.caption


def test_a_few_terrible_trials_do_not_squeeze_the_others(searched: Make) -> None:
    values = [*(10 + number / 10 for number in range(57)), 1e9, 1e10, 1e11]
    picture = scores.draw(searched(score=numbered(*values)))
    assert picture.figure is not None
    low, high = picture.figure["layout"]["yaxis"]["range"]
    assert low < 10
    assert 15.6 < high < 40
    assert "3 trials beyond the axis" in picture.caption


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.booleans())
def test_a_fence_leaves_the_better_three_quarters_alone(values: list[float], greater: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    limit = fence(values, greater_is_better=greater)
    inside = [v for v in values if limit is None or (v >= limit if greater else v <= limit)]
    assert len(inside) >= 0.75 * len(values)


@given(st.integers(0, 200), st.integers(2, 50))
def test_thinning_keeps_the_ends_and_the_order(many: int, most: int) -> None:
    kept = thinned(range(many), most)
    assert kept == sorted(set(kept))
    assert len(kept) == min(many, most)
    assert many == 0 or (kept[0], kept[-1]) == (0, many - 1)


# ---- parallel coordinates -------------------------------------------------------------------


def test_each_family_has_its_own_parameters(searched: Make) -> None:
    pictures = {picture.title: picture for picture in parallel.draw(searched())}
    axes = {
        title: picture.figure["layout"]["xaxis"]["ticktext"]  # type: ignore[index]
        for title, picture in pictures.items()
    }
    assert axes == {
        "Parameters of forest": ["depth", "leaf", "mse"],  # trees took one value only
        "Parameters of booster": ["rate", "rounds", "mse"],
    }


def test_lines_are_grouped_by_how_good_the_trials_are(searched: Make) -> None:
    [picture, _] = parallel.draw(searched(score=numbered(*range(60))))
    drawn = {name: trace["x"].count(None) for name, trace in traces(picture).items()}
    assert drawn == {"the rest": 15, "better half": 12, "best tenth": 3}


@pytest.mark.parametrize("metric", ["mse", "r2"])
def test_the_best_score_is_on_top(searched: Make, metric: str) -> None:
    material = searched(score=numbered(*range(60)), metric=metric)
    for picture in parallel.draw(material):
        lines = traces(picture)
        ends = {
            name: [y for x, y in zip(t["x"], t["y"], strict=True) if x == 2]
            for name, t in lines.items()
        }
        assert min(ends["best tenth"]) > max(ends["better half"]) > max(ends["the rest"])


def test_all_places_are_on_the_axes(searched: Make) -> None:
    for picture in parallel.draw(searched(score=numbered(1e9, *range(59)))):
        for trace in traces(picture).values():
            assert all(y is None or -0.02 <= y <= 1.02 for y in trace["y"])


def test_one_score_for_all_is_still_a_picture(searched: Make) -> None:
    assert len(list(parallel.draw(searched(score=numbered(2.0))))) == 2


def test_points_of_a_grid_stand_evenly_and_nothing_stands_first() -> None:
    scale = scale_of([50, None, 300, 100, "auto"], spread=False)
    assert [scale.at(value) for value in (None, 50, 100, 300, "auto")] == [0, 0.25, 0.5, 0.75, 1]


def test_a_sample_of_a_range_keeps_its_distances_and_has_round_marks() -> None:
    scale = scale_of([0.0, 30.0, 100.0], spread=True)
    assert (scale.at(0.0), scale.at(30.0), scale.at(100.0)) == (0, 0.3, 1)
    assert [text for text, _ in scale.marks] == ["0", "20", "40", "60", "80", "100"]


def test_a_range_over_decades_is_logarithmic() -> None:
    scale = scale_of([0.001 * 10 ** (index / 5) for index in range(16)], spread=False)
    assert scale.log
    assert scale.at(0.01) == pytest.approx(1 / 3)
    assert {"0.01", "0.1", "1"} <= {text for text, _ in scale.marks}


@given(st.lists(st.floats(-1e9, 1e9), min_size=9, max_size=30, unique=True))
def test_marks_of_a_range_are_few_and_on_the_axis(numbers: list[float]) -> None:
    marks = scale_of(numbers, spread=True).marks
    assert all(0 <= place <= 1 for _, place in marks)
    assert 2 <= len(marks) <= 20


# ---- parameter importance -------------------------------------------------------------------


def forests(material: Material) -> Material:
    return replace(material, rows=[row for row in material.rows if row.trial.family == "forest"])


def test_the_parameter_that_decides_is_the_most_important(searched: Make) -> None:
    shares = importance.importances(forests(searched(trials=200)))
    assert list(shares) == ["depth", "leaf"]
    assert shares["depth"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_parameters_of_several_families_keep_their_family(searched: Make) -> None:
    shares = importance.importances(searched(trials=200))
    names = {"family", "forest: depth", "forest: leaf", "booster: rate", "booster: rounds"}
    assert set(shares) == names


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        ({"trials": 19}, "too few to tell"),
        ({"score": lambda _: 3.0}, "the same score"),
    ],
)
def test_where_importance_cannot_be_told_the_picture_says_why(
    searched: Make, study: dict[str, Any], reason: str
) -> None:
    picture = importance.draw(searched(**study))
    assert picture.figure is None
    assert reason in picture.caption


def test_importance_needs_a_parameter_that_varied(searched: Make) -> None:
    material = forests(searched(score=numbered(*range(60))))
    rows = [replace(row, trial=replace(row.trial, params={"depth": 3})) for row in material.rows]
    assert "more than one value" in importance.draw(replace(material, rows=rows)).caption


# ---- holdout --------------------------------------------------------------------------------


def test_numbers_are_drawn_against_the_line_where_they_are_right(finished: Make) -> None:
    picture = holdout.draw(finished())
    assert picture.figure is not None
    line, points = picture.figure["data"]
    assert line["x"] == line["y"] == [10.0, 41.0]
    assert points["x"] == [10.0, 20.0, 30.0, 40.0]
    assert points["y"] == [11.0, 19.0, 33.0, 41.0]


def test_predictions_that_are_not_finite_are_counted(finished: Make) -> None:
    nan = float("nan")
    material = replace(finished(), holdout=Predictions(true=[1.0, 2.0], predicted=[nan, 2.0]))
    assert "1 predictions are not finite" in holdout.draw(material).caption


def test_many_rows_are_thinned_and_it_says_so(finished: Make) -> None:
    values = [float(number) for number in range(9000)]
    material = replace(finished(), holdout=Predictions(true=values, predicted=values))
    assert "3,000 are drawn" in holdout.draw(material).caption


def test_classes_are_counted_true_by_predicted(finished: Make) -> None:
    picture = holdout.draw(finished(classes=("no", "yes"), metric="accuracy"))
    assert picture.figure is not None
    [cells] = picture.figure["data"]
    assert cells["customdata"] == [[2, 0], [1, 1]]
    assert "3 are right" in picture.caption


def test_a_class_that_no_holdout_row_is_of_is_named(finished: Make) -> None:
    picture = holdout.draw(finished(classes=("no", "yes", "maybe"), metric="accuracy"))
    assert picture.caption.endswith("No row is of class 'maybe'.")
    every = holdout.draw(finished(classes=("no", "yes"), metric="accuracy"))
    assert "No row is of" not in every.caption


def test_without_a_refit_nothing_was_predicted(searched: Make) -> None:
    assert holdout.draw(searched()).figure is None


# ---- the verdict ----------------------------------------------------------------------------


def test_the_interval_is_drawn_around_the_difference(finished: Make) -> None:
    picture = interval.draw(finished())
    assert picture.figure is not None
    [point] = picture.figure["data"]
    assert point["x"] == [0.85]
    assert point["x"][0] + point["error_x"]["array"][0] == pytest.approx(2.125)
    assert point["x"][0] - point["error_x"]["arrayminus"][0] == pytest.approx(-0.25)
    assert "95 % sure" in picture.caption


def test_the_margin_asked_for_is_drawn_where_there_is_one(finished: Make) -> None:
    material = finished()
    promote = material.spec.promote.model_copy(update={"margin": 0.5})
    picture = interval.draw(
        replace(material, spec=material.spec.model_copy(update={"promote": promote}))
    )
    assert picture.figure is not None
    assert [shape["x0"] for shape in picture.figure["layout"]["shapes"]] == [0.0, 0.5]


def test_a_verdict_without_an_interval_is_told_in_words(finished: Make) -> None:
    verdict = {"decision": "cannot judge", "difference": None, "text": "cannot judge: only 12 rows"}
    picture = interval.draw(finished(verdict=verdict))
    assert picture.figure is None
    assert picture.caption == "Cannot judge: only 12 rows"


# ---- seconds --------------------------------------------------------------------------------


def test_seconds_are_summed_and_shown_by_family(searched: Make) -> None:
    picture = scores.draw_seconds(searched())
    assert picture.caption.startswith("30 s of fitting and scoring in all; half of the trials took")
    assert list(traces(picture)) == ["forest", "booster"]


def test_a_trial_that_took_very_long_makes_the_axis_logarithmic(searched: Make) -> None:
    material = searched()
    result = material.rows[0].result
    assert result is not None
    slow = replace(material.rows[0], result=replace(result, seconds=900.0))
    figure = scores.draw_seconds(replace(material, rows=[slow, *material.rows[1:]])).figure
    assert figure is not None
    assert figure["layout"]["yaxis"]["type"] == "log"


@pytest.mark.parametrize("draw", [scores.draw, scores.draw_seconds])
def test_trials_have_whole_numbers_on_their_axis(
    searched: Make, draw: Callable[[Material], Picture]
) -> None:
    few = layout_of(draw(searched(trials=2)))["xaxis"]
    assert (few["dtick"], few["tickformat"]) == (1, ",d")
    assert "dtick" not in layout_of(draw(searched(trials=60)))["xaxis"]


def test_large_scores_are_written_out_and_no_title_stands_on_them(searched: Make) -> None:
    axis = layout_of(scores.draw(searched(score=lambda _: 626_601.5)))["yaxis"]
    assert (axis["exponentformat"], axis["minexponent"], axis["separatethousands"]) == (
        "power",
        6,
        True,
    )
    assert axis["automargin"]
    assert axis["title"]["standoff"] > 0


def layout_of(picture: Picture) -> dict[str, Any]:
    assert picture.figure
    return dict(picture.figure["layout"])


# ---- fits in steps ----------------------------------------------------------------------------


def told(
    trial: int, step: int, *, fold: int | None = 0, attempt: int = 1, **more: Any
) -> FitReport:
    checkpoint = "c" * 64 if step % 20 == 19 else None
    fields = {"accuracy": step / 100, "workers": 1 + step // 50, "checkpoint": checkpoint} | more
    progress = FitProgress(
        trial=trial,
        fold=fold,
        step=step,
        steps=100,
        epoch=1.0,
        loss=1 / (step + 1),
        rows_per_second=1000.0 + step,
        **fields,
    )
    at = 1000.0 + step + 200 * (fold or 0)
    return FitReport(
        id=step, task=trial, attempt=attempt, at=at, progress=progress, checkpointed=None
    )


def test_a_study_without_fits_in_steps_has_no_picture_of_them(finished: Make) -> None:
    assert list(fits.draw(finished())) == []


def test_a_fit_has_a_curve_of_each_fold_with_its_checkpoints(searched: Make) -> None:
    reports = [told(3, step, fold=fold) for fold in (0, 1, None) for step in range(0, 100, 9)]
    curves, _ = fits.draw(replace(searched(), fits={3: reports}))
    assert curves.figure is not None
    losses = [one for one in curves.figure["data"] if one.get("yaxis") != "y2"]
    assert [one["name"] for one in losses] == ["fold 0", "fold 1", "refit", "checkpoint"]
    assert losses[0]["x"][:2] == [1, 10]
    assert losses[0]["y"][:2] == [1.0, 0.1]
    accuracies = [one for one in curves.figure["data"] if one.get("yaxis") == "y2"]
    assert accuracies[0]["y"][1] == 0.09
    assert losses[3]["x"] == [100, 100, 100]
    assert curves.figure["layout"]["updatemenus"] == []
    assert curves.title == "Loss and accuracy by step"


def test_a_regression_has_no_accuracy(searched: Make) -> None:
    reports = [told(3, step, accuracy=None) for step in range(5)]
    curves, _ = fits.draw(replace(searched(), fits={3: reports}))
    assert curves.figure is not None
    assert curves.title == "Loss by step"
    assert "yaxis2" not in curves.figure["layout"]


def test_workers_and_rows_a_second_are_shown_over_time(searched: Make) -> None:
    reports = [told(3, step, attempt=1 + step // 60) for step in range(100)]
    _, picture = fits.draw(replace(searched(), fits={3: reports}))
    found = traces(picture)
    assert (found["ranks"]["x"][-1], found["ranks"]["y"][-1]) == (99.0, 2)
    assert found["checkpoint"]["x"] == [19.0, 39.0, 59.0, 79.0, 99.0]
    assert found["rows/s"]["y"][0] == 1000.0
    assert "1 to 2 ranks" in picture.caption
    assert "1 attempt lost and taken up again" in picture.caption


def test_of_several_trials_the_best_is_shown_and_a_list_chooses(searched: Make) -> None:
    of = {trial: [told(trial, step) for step in range(10)] for trial in (7, 2)}
    for picture in fits.draw(replace(searched(), fits=of)):
        assert picture.figure is not None
        data, (menu,) = picture.figure["data"], picture.figure["layout"]["updatemenus"]
        visible = [one["visible"] for one in data]
        assert visible == [True] * (len(data) // 2) + [False] * (len(data) // 2)
        first, second = menu["buttons"]
        assert (first["label"], second["label"]) == ("trial 7", "trial 2")
        assert first["args"][0]["visible"] == visible
        assert second["args"][0]["visible"] == [not shown for shown in visible]
