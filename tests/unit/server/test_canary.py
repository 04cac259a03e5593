"""The canary judge."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.records import Bounds, Observed, StepObservation
from fairlead.server.canary import (
    CanaryMetrics,
    Passed,
    Regressed,
    Undecided,
    duration,
    judge,
    percentile,
    stability,
    total,
)
from fairlead.serving.telemetry.counters import LATENCY_EDGES

BOUNDS = Bounds(hold=30.0, requests=100)
DECILES = np.array([-1.28155, -0.84162, -0.5244, -0.25335, 0.0, 0.25335, 0.5244, 0.84162, 1.28155])


def seen(
    rng: np.random.Generator,
    requests: int,
    *,
    failing: float = 0.0,
    refusing: float = 0.0,
    median: float = 0.004,
    shift: float = 0.0,
) -> Observed:
    """A step's observations, drawn: log-normal seconds and normal predictions."""
    seconds = median * rng.lognormal(0.0, 0.5, requests)
    counts = np.bincount(np.searchsorted(LATENCY_EDGES, seconds), minlength=len(LATENCY_EDGES) + 1)
    predictions = rng.normal(shift, 1.0, requests)
    bins = np.bincount(np.searchsorted(DECILES, predictions), minlength=len(DECILES) + 1)
    return Observed(
        requests=requests,
        errors=int(rng.binomial(requests, failing)),
        refused=int(rng.binomial(requests, refusing)),
        latency=tuple(counts.tolist()),
        bins=tuple(bins.tolist()),
    )


def share_sent_back(
    runs: int,
    requests: int,
    others: int,
    *,
    failing: float = 0.0,
    refusing: float = 0.0,
    worse: float = 0.0,
    **odd: float,
) -> float:
    rng = np.random.default_rng(7)
    usual = {"failing": failing, "refusing": refusing}
    backs = 0
    for _ in range(runs):
        candidate = seen(rng, requests, **{**usual, "failing": failing + worse, **odd})
        verdict = judge(
            BOUNDS, candidate=candidate, others=seen(rng, others, **usual), seconds=31.0
        )
        backs += isinstance(verdict, Regressed)
    return backs / runs


@pytest.mark.parametrize(("requests", "others"), [(100, 900), (500, 500), (2000, 200), (100, 20)])
@pytest.mark.parametrize("failing", [0.0, 0.02])
def test_an_equal_revision_is_sent_back_in_fewer_than_one_step_of_a_hundred(
    requests: int, others: int, failing: float
) -> None:
    assert share_sent_back(1000, requests, others, failing=failing) < 0.01


def test_a_revision_that_fails_in_a_tenth_of_its_requests_is_sent_back() -> None:
    assert share_sent_back(300, 100, 900, worse=0.1) > 0.95


def test_a_revision_that_fails_in_a_twentieth_is_sent_back_once_it_has_five_hundred_requests() -> (
    None
):
    assert share_sent_back(300, 500, 500, worse=0.05) > 0.95


def test_a_revision_that_takes_ten_times_as_long_is_sent_back() -> None:
    assert share_sent_back(300, 100, 900, median=0.04) > 0.95


def test_a_revision_that_takes_four_times_as_long_is_sent_back_after_five_hundred_requests() -> (
    None
):
    assert share_sent_back(300, 500, 500, median=0.016) > 0.9


def test_a_revision_whose_predictions_moved_by_a_standard_deviation_is_sent_back() -> None:
    assert share_sent_back(300, 100, 900, shift=1.0) > 0.95


def test_a_small_move_of_the_predictions_is_let_pass() -> None:
    assert share_sent_back(300, 500, 500, shift=0.2) < 0.01


def test_a_judge_that_saw_too_little_waits_and_says_what_is_missing() -> None:
    few = Observed(requests=37, latency=(37,))
    assert judge(BOUNDS, candidate=few, others=few, seconds=60.0) == Undecided(
        reason="37 of 100 requests so far"
    )
    many = Observed(requests=370, latency=(370,))
    assert judge(BOUNDS, candidate=many, others=many, seconds=12.0) == Undecided(
        reason="12 of 30 s so far"
    )


def test_a_revision_that_always_fails_is_sent_back_before_the_step_is_over() -> None:
    verdict = judge(
        BOUNDS,
        candidate=Observed(requests=6, errors=6),
        others=Observed(requests=54),
        seconds=1.0,
    )
    assert verdict == Regressed(reason="6 of its 6 requests failed, against 0 of 54 of the others'")


def test_a_revision_that_refuses_what_others_take_is_sent_back() -> None:
    verdict = judge(
        BOUNDS,
        candidate=Observed(requests=28, refused=12),
        others=Observed(requests=360),
        seconds=1.0,
    )
    told = "12 of its 40 requests were refused (4xx), against 0 of 360 of the others'"
    assert verdict == Regressed(reason=told)


def test_clients_that_are_refused_everywhere_speak_against_nobody() -> None:
    verdict = judge(
        BOUNDS,
        candidate=Observed(requests=80, refused=20),
        others=Observed(requests=720, refused=180),
        seconds=31.0,
    )
    assert verdict == Passed()
    assert share_sent_back(1000, 100, 900, refusing=0.2) < 0.01


def test_beside_others_that_cannot_answer_a_revision_has_to_work_by_itself() -> None:
    gone = Observed(requests=900, errors=900)
    bad, good = Observed(requests=100, errors=60), Observed(requests=100)
    verdict = judge(BOUNDS, candidate=bad, others=gone, seconds=31.0)
    assert verdict == Regressed(
        reason="60 of its 100 requests failed, against 900 of 900 of the others'"
    )
    assert judge(BOUNDS, candidate=good, others=gone, seconds=31.0) == Passed()


def test_a_step_in_which_everything_is_refused_is_not_waited_for_without_end() -> None:
    everything = Observed(refused=100)
    assert judge(BOUNDS, candidate=everything, others=everything, seconds=31.0) == Passed()
    assert isinstance(
        judge(BOUNDS, candidate=everything, others=Observed(), seconds=31.0), Regressed
    )


def test_refusals_before_a_step_are_none_of_it() -> None:
    before, now = Observed(requests=4, refused=5), Observed(requests=9, refused=5)
    assert now - before == Observed(requests=5)


@pytest.mark.parametrize("one", [Observed(requests=1, errors=1), Observed(refused=1)])
def test_one_unlucky_request_sends_nobody_back_early(one: Observed) -> None:
    verdict = judge(BOUNDS, candidate=one, others=Observed(requests=9), seconds=1.0)
    assert isinstance(verdict, Undecided)


def test_looking_every_second_does_not_send_an_equal_revision_back() -> None:
    rng = np.random.default_rng(3)
    backs = 0
    for _ in range(200):
        candidate, others = Observed(), Observed()
        for second in range(30):
            candidate += seen(rng, 3, failing=0.02)
            others += seen(rng, 27, failing=0.02)
            verdict = judge(BOUNDS, candidate=candidate, others=others, seconds=float(second))
            backs += isinstance(verdict, Regressed)
    assert backs == 0


def test_where_nobody_else_serves_only_errors_speak_against_a_revision() -> None:
    alone = Observed(requests=200, errors=1, latency=(0,) * 20 + (200,), bins=(200, 0))
    assert judge(BOUNDS, candidate=alone, others=Observed(), seconds=31.0) == Passed()
    failing = Observed(requests=200, errors=20)
    assert isinstance(judge(BOUNDS, candidate=failing, others=Observed(), seconds=31.0), Regressed)


def test_a_percentile_is_the_end_of_its_bucket() -> None:
    assert percentile((95, 4, 1)) == LATENCY_EDGES[0]
    assert percentile((94, 5, 1)) == LATENCY_EDGES[1]
    assert percentile(()) is None
    assert percentile((*(0,) * len(LATENCY_EDGES), 10)) is None


def test_the_stability_index_is_that_of_the_book() -> None:
    # Ten equal bins against one in which a tenth moved from the first bin to the last.
    one, other = (1000,) * 10, (500, *(1000,) * 8, 1500)
    expected = (0.1 - 0.05) * np.log(0.1 / 0.05) + (0.1 - 0.15) * np.log(0.1 / 0.15)
    assert stability(one, other) == pytest.approx(expected, rel=1e-2)
    assert stability(one, one) == 0.0


def observed(
    server: str, *, requests: int, edges: tuple[float, ...] = (0.5,), bins: tuple[int, ...] = (1, 2)
) -> StepObservation:
    candidate = Observed(requests=requests, errors=1, latency=(3,), bins=bins)
    return StepObservation(
        model="m",
        deployment=1,
        step=0,
        server=server,
        seconds=requests / 10,
        revisions={"v1": Observed(requests=10 * requests), "v2": candidate},
        edges=edges,
    )


def test_what_all_servers_have_observed_adds_up() -> None:
    seen = [observed("a", requests=4), observed("b", requests=70, bins=(0, 0, 5))]
    expected = Observed(requests=74, errors=2, latency=(6,), bins=(1, 2, 5))
    assert total(seen, ["v2"]) == expected
    assert total(seen, ["v1"]).requests == 740
    assert total(seen, ["v1", "v2"]).requests == 814
    assert total(seen, ["v3"]) == total([], ["v2"]) == Observed()


def test_predictions_that_are_counted_over_different_edges_are_not_compared() -> None:
    seen = [observed("a", requests=4), observed("b", requests=70, edges=(0.7,))]
    assert total(seen, ["v2"]) == Observed(requests=74, errors=2, latency=(6,))


def test_requests_of_several_servers_are_enough_where_those_of_each_are_too_few() -> None:
    seen = [observed(name, requests=40) for name in "abc"]
    alone, together = (
        judge(BOUNDS, candidate=total(some, ["v2"]), others=total(some, ["v1"]), seconds=31.0)
        for some in (seen[:1], seen)
    )
    assert alone == Undecided(reason="40 of 100 requests so far")
    assert together == Passed()


def test_a_step_has_lasted_for_as_long_as_one_server_has_observed_it() -> None:
    seen = [observed("a", requests=400), observed("b", requests=20), observed("ended", requests=4)]
    assert duration(seen, ["a", "b"]) == 40.0
    assert duration(seen, ["a", "b", "follows since just now"]) == 0.0


def test_a_server_is_heard_before_a_step_is_over() -> None:
    seen = [observed("a", requests=400), observed("has just begun", requests=11)]
    assert duration(seen, ["a", "has just begun"]) == 1.1


class Processes:
    """What is known of the processes' counts, and until when."""

    def __init__(self) -> None:
        self.until = 10.0
        self.requests = 0

    def metrics(self) -> CanaryMetrics:
        return CanaryMetrics(
            lambda: {("m", "v2"): Observed(requests=self.requests)}, lambda: self.until
        )


def test_golden_rows_that_are_told_of_late_are_no_traffic_of_the_step() -> None:
    processes = Processes()
    metrics = processes.metrics()
    assert metrics.baseline(after=11.0) is None  # a process has not told yet of what it was asked
    processes.until, processes.requests = 11.5, 64
    baseline = metrics.baseline(after=11.0)
    assert baseline is not None
    processes.requests = 70
    processes.until = 14.0
    counted, seconds = metrics.since(baseline, "m", ["v1", "v2"])
    assert counted == {"v1": Observed(), "v2": Observed(requests=6)}
    assert seconds == 2.5
