"""What a Study needs next, and what its status says: rules over records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fairlead.operator import decide, status
from fairlead.operator.conditions import Report, conditions
from fairlead.operator.decide import Noted, Submission, next_step
from fairlead.operator.handlers import changes, goes_on, noted_of
from fairlead.operator.study_object import StudyObject
from fairlead.records import Counts, Run, Study, Verdict

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)


def body(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "boston", "namespace": "ml", "uid": "u-1", "generation": 3},
        "spec": {"data": {"source": "boston"}, "search": {"trials": 4}, **spec},
    }


def test_what_was_never_submitted_is_submitted() -> None:
    assert next_step("a", None, None) == decide.Submit()


def test_a_job_that_submits_what_was_asked_for_before_is_not_waited_for() -> None:
    earlier = Submission(digest="old", state="running")
    assert next_step("a", None, earlier) == decide.Submit()


def test_a_job_at_work_is_waited_for_with_its_reason() -> None:
    at_work = Submission(digest="a", state="running", text="no room")
    assert next_step("a", None, at_work) == decide.AwaitSubmission(why="no room")


def test_what_came_of_the_job_is_noted() -> None:
    done = Submission(digest="a", state="succeeded", text="study.1")
    refused = Submission(digest="a", state="refused", text="spec.yaml:3:1: no")
    assert next_step("a", None, done) == decide.NoteRun(run="study.1")
    assert next_step("a", None, refused) == decide.NoteRefusal(reason="spec.yaml:3:1: no")


def test_a_job_that_came_to_nothing_is_no_refusal() -> None:
    lost = Submission(digest="a", state="lost", text="the ledger is away; trying again")
    again = decide.SubmitAgain(why="the ledger is away; trying again")
    assert next_step("a", None, lost) == again
    assert next_step("a", Noted(digest="old", run="r"), lost) == again


def test_what_is_noted_is_followed_and_never_submitted_again() -> None:
    assert next_step("a", Noted(digest="a", run="r"), None) == decide.FollowRun(run="r")
    assert next_step("a", Noted(digest="a", run=None), None) == decide.Rest()


def test_what_is_asked_for_anew_is_submitted_again() -> None:
    assert next_step("b", Noted(digest="a", run="r"), None) == decide.Submit()
    assert next_step("b", Noted(digest="a", run=None), None) == decide.Submit()


def test_the_document_has_the_name_of_the_object_and_nothing_of_the_cluster() -> None:
    study = StudyObject.read(
        body(workers={"min": 1, "max": 3}, resources={"cpu": 2}, files={"m.py": "x"}, deploy=True)
    )
    assert study.document == {
        "name": "boston",
        "data": {"source": "boston"},
        "search": {"trials": 4},
    }
    assert (study.workers.least, study.workers.most, study.workers.cpu) == (1, 3, "2")
    assert (study.files, study.deploy) == ({"m.py": "x"}, True)


def test_a_name_in_the_document_goes_before_that_of_the_object() -> None:
    assert StudyObject.read(body(name="other")).document["name"] == "other"


@pytest.mark.parametrize(
    ("train", "starts"),
    [
        (None, False),
        ({"workers": 2}, False),
        ({"engine": "kubernetes"}, True),
        ({"engine": "tfjob"}, True),
        ({"engine": "trainjob"}, True),
        ({"engine": "spark"}, False),
        ({"engine": "spark", "master": "spark://host:7077"}, False),
        ({"engine": "spark", "master": "k8s://https://kubernetes.default.svc"}, True),
    ],
)
def test_the_fits_of_a_study_start_pods_where_its_engine_does(
    train: dict[str, Any] | None, *, starts: bool
) -> None:
    assert StudyObject.read(body(train=train)).starts_pods is starts


def test_other_workers_are_no_other_submission() -> None:
    one, more = StudyObject.read(body()), StudyObject.read(body(workers={"max": 64}))
    other = StudyObject.read(body(files={"m.py": "x"}))
    assert one.digest == more.digest
    assert one.digest != other.digest


def test_more_workers_at_least_than_the_usual_most_are_as_many() -> None:
    workers = StudyObject.read(body(workers={"min": 10})).workers
    assert (workers.least, workers.most) == (10, 10)


RUN = Run(id="s.1", study="s", spec="{}")
STUDY = Study(id="s", name="boston", spec="{}", table="t", size=30)
VIEW = status.RunView(
    run=RUN, study=STUDY, counts=Counts(done=10, failed=1, pruned=1), metric="mse"
)
VERDICT = Verdict(
    decision="promote",
    text="better by 1.2",
    against="the baseline",
    metric="mse",
    rows=99,
    judged=1,
)


def said(view: status.RunView) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    fields, told = status.of_run(view)
    return fields, {one.kind: (one.status, one.reason) for one in told}


def test_a_run_that_searches_is_neither_finished_nor_failed() -> None:
    fields, told = said(replace(VIEW, best=10.1234567, workers=3))
    assert (fields["phase"], fields["trials"], fields["best"]) == ("Searching", "12/30", 10.1235)
    assert fields["workers"] == 3
    assert told == {"Submitted": ("True", "Submitted"), "Finished": ("False", "Running")}


def test_a_paused_study_says_so() -> None:
    assert said(replace(VIEW, study=replace(STUDY, paused=True)))[0]["phase"] == "Paused"


def test_a_run_that_is_done_is_finished_with_its_verdict() -> None:
    done = replace(RUN, state="done", version=4, verdict=VERDICT)
    fields, told = said(replace(VIEW, run=done))
    assert (fields["phase"], fields["version"], fields["verdict"]) == ("Finished", 4, "promote")
    assert fields["message"] == "better by 1.2"
    assert told["Finished"] == ("True", "Judged")
    assert "Failed" not in told


@pytest.mark.parametrize(("state", "reason"), [("failed", "RunFailed"), ("cancelled", "Cancelled")])
def test_a_run_that_failed_says_why(state: Any, reason: str) -> None:
    fields, told = said(replace(VIEW, run=replace(RUN, state=state, reason="no trial succeeded")))
    assert fields["message"] == "no trial succeeded"
    assert (told["Finished"], told["Failed"]) == (("False", reason), ("True", reason))


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    running = status.of_run(VIEW)[1]
    before = conditions(running, [], 3, NOW)
    after = conditions(running, before, 4, LATER)
    assert [one["lastTransitionTime"] for one in after] == ["2026-11-29T12:00:00Z"] * 2
    done = status.of_run(replace(VIEW, run=replace(RUN, state="done")))[1]
    ended = {one["type"]: one for one in conditions(done, after, 4, LATER)}
    assert ended["Submitted"]["lastTransitionTime"] == "2026-11-29T12:00:00Z"
    assert ended["Finished"]["lastTransitionTime"] == "2026-11-29T13:00:00Z"


def report(view: status.RunView, *, over: bool = False) -> Report:
    fields, told = status.of_run(view)
    return Report(
        fields=fields, conditions=told, noted=Noted(digest="a", run=view.run.id), over=over
    )


def test_what_has_not_changed_is_not_written() -> None:
    before = changes({}, report(VIEW), 3, NOW)
    assert noted_of(before) == Noted(digest="a", run="s.1")
    assert changes(before, report(VIEW), 3, LATER) == {}


def test_a_study_goes_on_until_it_is_settled_and_again_when_it_is_changed() -> None:
    done = replace(VIEW, run=replace(RUN, state="done", verdict=VERDICT))
    of = {**body(), "status": changes({}, report(VIEW), 3, NOW)}
    assert goes_on(body=of)
    of["status"] |= changes(of["status"], report(done, over=True), 3, NOW)
    assert not goes_on(body=of)
    of["metadata"] = {**of["metadata"], "generation": 4}
    assert goes_on(body=of)


def test_a_refusal_takes_the_run_of_before_away_once_it_is_noted() -> None:
    before = changes({}, report(VIEW), 3, NOW)
    fields, told = status.of_refusal("spec.yaml:4:3: search.trials must be at least 1")
    unnoted = {**before, **changes(before, Report(fields=fields, conditions=told), 4, LATER)}
    assert noted_of(unnoted) == Noted(digest="a", run="s.1")
    refused = Report(fields=fields, conditions=told, noted=Noted(digest="b", run=None), over=True)
    after = {**before, **changes(before, refused, 4, LATER)}
    assert noted_of(after) == Noted(digest="b", run=None)
    assert (after["phase"], after["run"]) == ("Refused", None)
