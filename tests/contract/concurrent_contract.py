"""What every ledger does while several processes use it. Inherited as LedgerContract is.

A single thread sees none of the races that named locks, row locks and compare-and-set are for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fairlead.ledger.interface import Ledger
from fairlead.records import Counts, Deployment, Revision, Schedule, Version
from tests.contract.racing import ROUTE, STUDY, race, trials


def flat(outcomes: Sequence[Sequence[Any]]) -> list[Any]:
    return [each for mine in outcomes for each in mine]


def one_wins_each(outcomes: Sequence[Sequence[Any]]) -> bool:
    """Whether in each round all but one met a conflict."""
    return all(
        [each == "conflict" for each in turn].count(False) == 1
        for turn in zip(*outcomes, strict=True)
    )


def register(ledger: Ledger, model: str = "m", versions: int = 3) -> None:
    for number in range(versions):
        manifest = f"{number}" * 64
        ledger.versions.register(
            Version(model=model, number=0, study="s", trial=0, size=1, manifest=manifest)
        )
    ledger.routes.revise(Revision(model=model, name="", version=1))


class ConcurrentContract:
    """Needs the fixture `location`, the URL of a ledger that `ledger` has opened."""

    def test_openings_of_a_study_at_once_make_one_of_the_largest_size(
        self, ledger: Ledger, location: str
    ) -> None:
        race(location, "open")
        assert {study.size for study in ledger.studies.all()} == {12}
        for study in ledger.studies.all():
            kinds = Counter(event.kind for event in ledger.studies.events(study.id))
            assert kinds["opened"] == 1

    def test_trials_that_several_add_at_once_are_there_once(
        self, ledger: Ledger, location: str
    ) -> None:
        ledger.studies.open(STUDY)
        race(location, "add")
        assert ledger.studies.counts(STUDY.id) == Counts(ready=210)
        numbers = [row.trial.number for row in ledger.studies.trials(STUDY.id)]
        assert numbers == list(range(210))

    def test_each_task_is_worked_off_by_one_process(self, ledger: Ledger, location: str) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, trials(0, 300))
        shares = flat(race(location, "work", rounds=1))
        done = flat(shares)
        assert sum(bool(share) for share in shares) > 1
        assert sorted(done) == list(range(300))
        assert ledger.studies.counts(STUDY.id) == Counts(done=300)
        results, mark = ledger.studies.results(STUDY.id)
        assert (len(results), mark) == (300, 300)

    @pytest.mark.parametrize("action", ["reap", "claim lapsed"])
    def test_a_lost_attempt_is_ended_once_by_whoever_comes_first(
        self, ledger: Ledger, location: str, action: str
    ) -> None:
        ledger.studies.open(STUDY)
        outcomes = race(location, action)
        assert all(sorted(turn) == [0, 0, 1] for turn in zip(*outcomes, strict=True))
        kinds = Counter(event.kind for event in ledger.studies.events(STUDY.id))
        assert kinds["lost"] == 10

    def test_of_two_gangs_of_a_task_the_earlier_writes_nothing_after_the_later(
        self, ledger: Ledger, location: str
    ) -> None:
        ledger.studies.open(STUDY)
        told = flat(flat(race(location, "report", processes=2)))
        reports = ledger.fits.reports(STUDY.id)
        assert len(reports) == len(told)
        assert told.count(2) == 200
        named = set(ledger.roots.digests()) - {STUDY.table}
        for number in range(10):
            mine = [report for report in reports if report.progress.trial == number]
            attempts = [report.attempt for report in mine]
            assert attempts == sorted(attempts)
            assert mine[-1].progress.step == 19
            assert mine[-1].progress.checkpoint in named
        assert len(named) == 10

    @pytest.mark.parametrize("action", ["carry", "scale"])
    def test_of_several_who_would_hold_a_lease_one_does(
        self, ledger: Ledger, location: str, action: str
    ) -> None:
        ledger.studies.open(STUDY)
        outcomes = race(location, action)
        assert all(len({*turn}) == 1 for turn in zip(*outcomes, strict=True))

    def test_a_study_that_is_finished_while_others_commit_to_it_counts_right(
        self, ledger: Ledger, location: str
    ) -> None:
        outcomes = race(location, "finish or work")
        assert all(outcomes[0])
        done = flat([number for mine in outcomes[1:] for number in mine])  # type: ignore[arg-type]
        results, _ = ledger.studies.results(STUDY.id)
        assert sorted(done) == sorted(result.number for result in results)
        assert ledger.studies.counts(STUDY.id) == Counts(done=len(results))
        assert ledger.tasks.claim("late", lease=60) is None
        assert ledger.studies.get(STUDY.id).state == "finished"

    def test_of_promotions_at_once_one_wins(self, ledger: Ledger, location: str) -> None:
        register(ledger, versions=30)
        assert one_wins_each(race(location, "promote"))
        history = ledger.versions.history("m")
        assert [promotion.number for promotion in history] == list(range(1, 11))
        before = [None, *(promotion.version for promotion in history)]
        assert [promotion.previous for promotion in history] == before[:-1]
        champion = ledger.versions.champion("m")
        assert champion is not None
        assert champion.number == history[-1].version

    def test_of_judgements_that_counted_the_same_one_is_kept(
        self, ledger: Ledger, location: str
    ) -> None:
        register(ledger)
        assert one_wins_each(race(location, "judge"))
        assert len(ledger.versions.judgements("m")) == 10

    def test_versions_registered_at_once_have_numbers_of_their_own(
        self, ledger: Ledger, location: str
    ) -> None:
        assert sorted(flat(race(location, "register"))) == list(range(1, 31))
        assert [version.number for version in ledger.versions.all("n")] == list(range(1, 31))

    def test_who_asks_for_the_same_revision_at_once_gets_the_same(
        self, ledger: Ledger, location: str
    ) -> None:
        register(ledger)
        answers = race(location, "revise")
        assert answers[0] == answers[1] == answers[2]
        assert answers[0] == [f"v1-{number}" for number in range(2, 12)]
        names = [revision.name for revision in ledger.routes.revisions("m")]
        assert names == ["v1", *answers[0]]

    def test_of_first_routes_at_once_one_is_in_force(self, ledger: Ledger, location: str) -> None:
        for number in range(10):
            register(ledger, f"m{number}", versions=1)
        assert one_wins_each(race(location, "route first"))
        assert [route.number for route in ledger.routes.in_force()] == [1] * 10

    def test_of_changes_of_a_route_at_once_one_wins(self, ledger: Ledger, location: str) -> None:
        register(ledger)
        ledger.routes.change(ROUTE, previous=None)
        assert one_wins_each(race(location, "route next"))
        history = ledger.routes.history("m")
        assert [route.number for route in history] == list(range(1, 12))
        assert ledger.routes.current("m") == history[-1]
        routed = [event.route for event in ledger.routes.events("m") if event.kind == "routed"]
        assert routed == [route.number for route in history]

    def test_deployments_begun_at_once_leave_one_running(
        self, ledger: Ledger, location: str
    ) -> None:
        register(ledger)
        assert sorted(flat(race(location, "deploy"))) == list(range(1, 31))
        states = [ledger.deployments.get("m", number).state for number in range(1, 31)]
        assert Counter(states) == {"superseded": 29, "running": 1}
        assert states[-1] == "running"

    def test_of_servers_that_take_a_deployment_at_once_one_gets_it(
        self, ledger: Ledger, location: str
    ) -> None:
        register(ledger)
        begun = ledger.deployments.begin(
            Deployment(model="m", number=0, revision="v1", steps=(100,))
        )
        taken = race(location, "take", rounds=1)
        assert sorted(flat(taken)) == [0, 0, 1]
        holder = f"s{flat(taken).index(1)}"
        assert ledger.deployments.get("m") == replace(begun, server=holder)

    def test_nothing_observed_of_a_step_outlives_it(self, ledger: Ledger, location: str) -> None:
        register(ledger)
        steps = tuple(range(10, 101, 10))
        ledger.deployments.begin(Deployment(model="m", number=0, revision="v1", steps=steps))
        race(location, "observe or step")
        last = ledger.deployments.get("m")
        assert last.step == 9
        earlier = [replace(last, step=step) for step in range(-1, 9)]
        assert [each for one in earlier for each in ledger.deployments.observations(one)] == []

    def test_of_several_at_once_one_begins_the_due_run(self, ledger: Ledger, location: str) -> None:
        ledger.studies.open(STUDY)
        ledger.schedules.put(Schedule(model="m", every=60.0, due=30.0))
        outcomes = race(location, "begin due")
        began = [run for run in flat(outcomes) if run is not None]
        assert sorted(began) == sorted(run.id for run in ledger.runs.all())
        assert len(began) == len(outcomes[0])
        assert ledger.schedules.get("m").due == 30.0 + 60 * len(began)
