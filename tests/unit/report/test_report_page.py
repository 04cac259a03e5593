"""What the page promises: one file, nothing fetched, nothing of the user's taken for markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import plotly.graph_objects
import pytest

from fairlead.records import Result, Trial, TrialRow
from fairlead.report.material import Material
from fairlead.report.page import render

Make = Callable[..., Material]
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "formaction", "ping", "background"}
HOSTILE = "</script><img src=x onerror=alert(1)><b>&amp;"


class Page(HTMLParser):
    """The elements, the text and the charts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.charts: dict[str, dict] = {}
        self.text = ""
        self._chart: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._chart = dict(attrs).get("data-chart")

    def handle_endtag(self, tag: str) -> None:
        self._chart = None

    def handle_data(self, data: str) -> None:
        if self._chart:
            self.charts[self._chart] = json.loads(data)
        self.text += data

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def read(material: Material) -> Page:
    return Page(render(material, library="/* plotly */"))


def test_the_page_names_nothing_that_a_browser_would_fetch(finished: Make) -> None:
    page = render(finished(), library="")
    assert not [
        (tag, name) for tag, attrs in Page(page).elements for name in attrs if name in FETCHING
    ]
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|url\(|@import|fetch\(|XMLHttp", page)


def test_the_page_forbids_the_browser_to_fetch_anything(finished: Make) -> None:
    policies = [
        attrs["content"] or ""
        for tag, attrs in read(finished()).elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    [policy] = policies
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert set(" ".join(rules.values()).split()) == {"'unsafe-inline'", "data:", "blob:"}


def test_the_library_is_in_the_page_once(finished: Make) -> None:
    assert render(finished(), library="const library = 1;").count("const library = 1;") == 1


def test_text_of_the_users_is_never_taken_for_markup(searched: Make, finished: Make) -> None:
    trials = [
        Trial(number=n, family=HOSTILE, params={HOSTILE: n % 3, "kind": HOSTILE}) for n in range(30)
    ]
    rows = [
        TrialRow(
            trial=trial,
            state="done",
            result=Result(number=trial.number, state="done", scores=(1.0,), score=trial.number % 3),
        )
        for trial in trials
    ]
    rows[7] = TrialRow(
        trial=trials[7],
        state="failed",
        result=Result(number=7, state="failed", reason=HOSTILE),
    )
    over = [{"family": HOSTILE, "params": {HOSTILE: [0, 1, 2], "kind": HOSTILE}}]
    material = finished(
        rows=rows, over=over, classes=(HOSTILE, "b"), verdict={"text": HOSTILE, "against": HOSTILE}
    )
    page = read(replace(material, environment={"python": HOSTILE, "packages": {HOSTILE: HOSTILE}}))
    assert page.tags == read(finished()).tags
    assert page.text.count(HOSTILE) > 5
    texts = json.dumps(page.charts)
    assert "&lt;img src=x" in texts
    assert "<img" not in texts


def test_every_chart_is_a_figure_that_plotly_accepts(finished: Make) -> None:
    for material in (finished(), finished(classes=("no", "yes"), metric="accuracy")):
        charts = read(material).charts
        assert set(charts) == {
            "scores", "parallel-0", "parallel-1", "importance", "holdout", "interval", "seconds",
        }  # fmt: skip
        for chart in charts.values():
            plotly.graph_objects.Figure(chart)


def test_every_chart_has_its_place_and_its_name(finished: Make) -> None:
    page = read(finished())
    places = {attrs["id"]: attrs for tag, attrs in page.elements if attrs.get("class") == "chart"}
    titles = {attrs["id"] for tag, attrs in page.elements if tag == "h2" and "id" in attrs}
    assert set(places) == set(page.charts)
    assert {attrs["aria-labelledby"] for attrs in places.values()} <= titles


def test_a_study_without_a_single_trial_has_a_report(searched: Make) -> None:
    page = read(searched(rows=()))
    assert page.charts == {}
    assert "No trial has a score yet." in page.text


def test_a_study_of_failures_has_a_report(searched: Make) -> None:
    page = read(searched(score=lambda _: None))
    assert set(page.charts) == {"seconds"}
    assert "60 trials failed" in page.text


def test_numbers_that_are_not_finite_do_not_break_the_page(finished: Make) -> None:
    scores = iter([float("inf"), float("-inf"), float("nan"), *range(1, 58)])
    page = read(
        finished(score=lambda _: next(scores), verdict={"low": float("-inf"), "high": float("nan")})
    )
    assert "interval" not in page.charts
    assert len([y for trace in page.charts["scores"]["data"][:2] for y in trace["y"]]) == 57


def test_twelve_thousand_trials_make_a_page_below_a_megabyte(finished: Make) -> None:
    material = finished(trials=12_000)
    assert len(render(material, library="")) < 1_000_000
    assert "3,000 of 12,000 trials are drawn" in read(material).text


@pytest.mark.parametrize("name", ["page.css", "page.js"])
def test_what_the_page_is_made_of_is_in_the_package(name: str) -> None:
    assert resources.files("fairlead.report").joinpath(name).is_file()


def test_the_best_trials_come_first_in_the_table(finished: Make) -> None:
    scores = iter([5.0, 3.0, 4.0, *[9.0] * 57])
    page = render(finished(score=lambda _: next(scores)), library="")
    first = re.findall(r'<tr><td class="number">(\d+)</td>', page)
    assert first[:4] == ["1", "2", "0", "3"]
    assert len(first) == 20


def test_the_details_hold_what_a_run_can_be_repeated_from(finished: Make) -> None:
    text = read(finished()).text
    for part in ("0123456789abcdef", "a" * 64, "b" * 64, "d" * 64, "3.11.7", "2.4.6", '"MEDV"'):
        assert part in text


def test_a_sentence_in_place_of_a_chart_takes_the_width_and_no_height(searched: Make) -> None:
    page = render(searched(trials=5), library="")
    [section] = re.findall(r'<section[^>]*><h2 id="importance-title">.*?</section>', page)
    assert section.startswith('<section class="wide">')
    assert "height:" not in section
