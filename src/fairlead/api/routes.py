"""The routes: each asks `control/` and writes what comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.responses import Response

from fairlead.api import ledger_calls, pages, schemas, serving, transfers
from fairlead.api.feed import Follower
from fairlead.api.installation import BEARER, ONCE, TEXT, Asked, By, Changing, ModelName, On, named
from fairlead.api.pages import Cursor, IfNoneMatch, Limit, Page
from fairlead.api.submitting import Order
from fairlead.control import fleet, models, routes, schedules, submitted
from fairlead.formatting import plain
from fairlead.records import FitReport, NumberedEvent, Promotion, Run
from fairlead.registry.registry import Known
from fairlead.study.outcome import trial_json
from fairlead.version import VERSION

_LARGEST = 2**63 - 1
_MOST_TRIALS = 2**31 - 1


RunId = Annotated[str, named("A run's id, or its study's id or name.")]
StudyId = Annotated[str, named("A study's id, the beginning of one, or a name (the newest).")]


health = APIRouter(prefix="/api/v1")
router = APIRouter(prefix="/api/v1", dependencies=BEARER)
ROUTERS = (health, router, transfers.router, serving.router)


@health.get("/health", response_model=schemas.Health)
async def answers() -> Response:
    """Say that the server is there; needs no token, and no thread that may wait for a database."""
    return pages.answer({"status": "ok", "version": VERSION})


# ---- runs -----------------------------------------------------------------------------------


@router.get("/runs", response_model=Page[submitted.RunRow], tags=["runs"])
def list_runs(on: On, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The runs, the newest first."""
    after = pages.read(cursor, str)
    found = submitted.overview(on.stores.ledger, after=after, limit=limit + 1)
    return pages.page(found[:limit], found[limit - 1].run.id if len(found) > limit else None)


_MADE: dict[int | str, dict[str, Any]] = {
    201: {"description": "A new run.", "model": Run},
    200: {"description": "The run of this study and spec that goes on.", "model": Run},
}


@router.post("/runs", responses=_MADE, tags=["runs"], dependencies=ONCE)
async def submit_run(on: On, once: Asked, body: schemas.SubmitBody) -> Response:
    """Submit a spec for controllers and workers to carry out, its data and code with it."""
    spec = body.spec if isinstance(body.spec, str) else json.dumps(body.spec)
    order = Order(
        settings=on.settings,
        spec=spec,
        files=body.files,
        fresh=body.fresh,
        deploy=body.deploy,
        priority=body.priority,
    )
    return await on.submissions.carried_out(order, once)


@router.get(
    "/runs/{run}", response_model=submitted.RunRow, responses=pages.UNCHANGED, tags=["runs"]
)
def get_run(on: On, run: RunId, if_none_match: IfNoneMatch = None) -> Response:
    """One run, and how far its study is."""
    found = submitted.find(on.stores.ledger, run)
    return pages.resource(submitted.row(on.stores.ledger, found), if_none_match)


@router.get("/runs/{run}/fits", response_model=Page[FitReport], tags=["runs"])
def list_running_fits(on: On, run: RunId) -> Response:
    """What each fit that goes on told last, of those that are made in steps."""
    found = submitted.find(on.stores.ledger, run)
    return pages.page(on.stores.ledger.fits.running(found.study), None)


@router.post("/runs/{run}/cancel", response_model=Run, tags=["runs"], dependencies=ONCE)
def cancel_run(on: On, by: By, run: RunId, body: schemas.CancelBody) -> Response:
    """End a run; asked again, it stays cancelled."""
    ledger = on.stores.ledger
    why = f"{body.why} (by {by.name})" if body.why else f"by {by.name}"
    return pages.answer(submitted.cancel(ledger, submitted.find(ledger, run, to_change=True), why))


@router.post("/runs/{run}/pause", response_model=Run, tags=["runs"], dependencies=ONCE)
def pause_run(on: On, by: By, run: RunId) -> Response:
    """Let the ready tasks of a run wait; asked again, they still do."""
    ledger = on.stores.ledger
    return pages.answer(
        submitted.pause(ledger, submitted.find(ledger, run, to_change=True), by=by.name)
    )


@router.post("/runs/{run}/resume", response_model=Run, tags=["runs"], dependencies=ONCE)
def resume_run(on: On, by: By, run: RunId) -> Response:
    """Let the tasks of a run be taken again; asked again, they still are."""
    ledger = on.stores.ledger
    return pages.answer(
        submitted.resume(ledger, submitted.find(ledger, run, to_change=True), by=by.name)
    )


@router.post("/runs/{run}/adjust", response_model=Run, tags=["runs"], dependencies=ONCE)
def adjust_run(on: On, by: By, run: RunId, body: schemas.AdjustBody) -> Response:
    """Change how many trials a run has, and how urgent it is; answers the run that goes on."""
    ledger = on.stores.ledger
    found = submitted.find(ledger, run, to_change=True)
    changed = submitted.adjust(
        ledger, found, trials=body.trials, priority=body.priority, by=by.name
    )
    return pages.answer(changed)


# ---- studies --------------------------------------------------------------------------------


@router.get("/studies", response_model=Page[schemas.StudyRow], tags=["studies"])
def list_studies(on: On, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The studies, the newest first."""
    ledger = on.stores.ledger
    found = ledger.studies.page(after=pages.read(cursor, str), limit=limit + 1)
    rows = [submitted.study_summary(ledger, study) for study in found[:limit]]
    return pages.page(rows, found[limit - 1].id if len(found) > limit else None)


@router.get(
    "/studies/{study}",
    response_model=schemas.StudyDetails,
    responses=pages.UNCHANGED,
    tags=["studies"],
)
def get_study(on: On, study: StudyId, if_none_match: IfNoneMatch = None) -> Response:
    """One study."""
    ledger = on.stores.ledger
    found = ledger.studies.get(study)
    more = {
        "priority": found.priority,
        "paused": found.paused,
        "created": found.created,
        "finished": found.finished,
        "spec": found.spec,
    }
    return pages.resource({**submitted.study_summary(ledger, found), **more}, if_none_match)


@router.get("/studies/{study}/trials", response_model=Page[schemas.TrialRow], tags=["studies"])
def list_trials(on: On, study: StudyId, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The trials of a study, in the order in which they were put in: by number."""
    ledger = on.stores.ledger
    found = ledger.studies.get(study)
    rows, following = ledger.studies.trials_page(
        found.id, after=pages.read(cursor, tuple[pages.Number, pages.Number]), limit=limit
    )
    return pages.page([trial_json(row) for row in rows], following)


@router.get("/studies/{study}/events", response_model=Page[schemas.EventRow], tags=["studies"])
def list_events(on: On, study: StudyId, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The history of a study, the oldest line first; /events follows it."""
    ledger = on.stores.ledger
    found = ledger.studies.get(study)
    lines = ledger.histories.lines(
        after=pages.read(cursor, pages.Number) or 0,
        upto=on.horizon.settled(),
        limit=limit + 1,
        study=found.id,
    )
    following = lines[limit - 1].id if len(lines) > limit else None
    return pages.page([_event(line) for line in lines[:limit]], following)


@router.get("/studies/{study}/fits", response_model=Page[FitReport], tags=["studies"])
def list_fits(
    on: On,
    study: StudyId,
    trial: Annotated[int | None, Query(ge=0, le=_MOST_TRIALS)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What the fits of a study (of a trial) told that are made in steps, the oldest first."""
    ledger = on.stores.ledger
    found = ledger.fits.reports(
        ledger.studies.get(study).id,
        trial=trial,
        after=pages.read(cursor, pages.Number) or 0,
        limit=limit + 1,
    )
    return pages.page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _event(line: NumberedEvent) -> dict[str, Any]:
    return {"id": line.id, **plain(line.event)}


# ---- models ---------------------------------------------------------------------------------


@router.get("/models", response_model=Page[schemas.ModelRow], tags=["models"])
def list_models(on: On, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The models, by name, and what is live."""
    after = pages.read(cursor, str) or ""
    found = models.summaries(on.stores, after=after, limit=limit + 1)
    rows = [models.summary_json(each) for each in found[:limit]]
    return pages.page(rows, rows[-1]["model"] if len(found) > limit else None)


@router.get(
    "/models/{model}",
    response_model=models.ModelDetails,
    responses=pages.UNCHANGED,
    tags=["models"],
)
def get_model(on: On, model: ModelName, if_none_match: IfNoneMatch = None) -> Response:
    """The versions of a model, and its champion."""
    return pages.resource(models.details(on.stores, model), if_none_match)


@router.get(
    "/models/{model}/history",
    response_model=models.ModelHistory,
    responses=pages.UNCHANGED,
    tags=["models"],
)
def get_history(on: On, model: ModelName, if_none_match: IfNoneMatch = None) -> Response:
    """Who became champion, and the verdicts of the gate, the oldest first."""
    return pages.resource(models.history(on.stores, model), if_none_match)


@router.get("/models/{model}/route", response_model=routes.ModelTraffic, tags=["models"])
def get_route(on: On, model: ModelName) -> Response:
    """The revisions of a model, their traffic and state, and the deployment that runs."""
    return pages.answer(routes.traffic(on.stores, model))


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What came of a request to change the champion; null where the version was it already."""

    promotion: Promotion | None


@router.post("/models/{model}/promote", response_model=Changed, tags=["models"], dependencies=ONCE)
def promote(
    on: On, by: By, changing: Changing, model: ModelName, body: schemas.PromoteBody
) -> Response:
    """Make a version the champion, where the champion is the one that the request names.

    Asked again, it changes nothing: the version is the champion by then.
    """
    changing.of(Promotion, lambda promotion: Changed(promotion=promotion))
    promoted = models.promote(
        on.stores,
        on.settings,
        model,
        body.version,
        why=f"{body.why} (by {by.name})",
        known=Known(champion=body.previous),
    )
    return pages.answer(Changed(promotion=promoted.promotion))


@router.post("/models/{model}/rollback", response_model=Changed, tags=["models"], dependencies=ONCE)
def rollback(
    on: On, by: By, changing: Changing, model: ModelName, body: schemas.RollbackBody
) -> Response:
    """Make the champion before the champion again, where it is the one that the request names.

    Asked again, it is refused: the champion is another by then.
    """
    changing.of(Promotion, lambda promotion: Changed(promotion=promotion))
    rolled_back = models.roll_back(
        on.stores,
        on.settings,
        model,
        why=f"{body.why} (by {by.name})",
        known=Known(champion=body.previous),
    )
    return pages.answer(Changed(promotion=rolled_back.promotion))


@router.post("/models/{model}/retrain", responses=_MADE, tags=["models"], dependencies=ONCE)
async def retrain(on: On, once: Asked, model: ModelName, body: schemas.RetrainBody) -> Response:
    """Submit the spec of a model's champion again, with its code as it was, on today's data."""
    order = Order(
        settings=on.settings,
        model=model,
        source=body.source,
        files=body.files,
        deploy=body.deploy,
    )
    return await on.submissions.carried_out(order, once)


# ---- the ledger -----------------------------------------------------------------------------

router.add_api_route(
    "/ledger/{part}/{name}",
    ledger_calls.call,
    methods=["POST"],
    summary="Carry out a method of the ledger",
    description=(
        "For programs of the same Fairlead (FAIRLEAD_LEDGER=https://...): the arguments by name "
        "in, what the method returned out. What methods there are may change with any version."
    ),
    response_class=Response,
    responses={200: {"content": {"application/json": {"schema": {}}}}},
    tags=["ledger"],
)


# ---- schedules ------------------------------------------------------------------------------


@router.get("/schedules", response_model=Page[schedules.ScheduleRow], tags=["models"])
def list_schedules(on: On, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """What is trained again regularly, by model, and what came of the last time."""
    after = pages.read(cursor, str) or ""
    found = schedules.overview(on.stores.ledger, after=after, limit=limit + 1)
    following = found[limit - 1].schedule.model if len(found) > limit else None
    return pages.page(found[:limit], following)


# ---- fleet and events -----------------------------------------------------------------------


@router.get("/fleet", response_model=fleet.Fleet, tags=["fleet"])
def get_fleet(on: On) -> Response:
    """The workers that are alive, what each has in hand, and tasks that none of them takes."""
    return pages.answer(fleet.fleet(on.stores.ledger))


def _study_id(on: On, study: Annotated[str, Query(max_length=300, pattern=TEXT)]) -> str:
    return on.stores.ledger.studies.get(study).id


async def _follower(on: On, study: Annotated[str, Depends(_study_id)]) -> AsyncIterator[Follower]:
    with on.feed.following(study) as follower:
        yield follower


@router.get(
    "/events",
    response_class=Response,  # EventSourceResponse here would take the function for a generator
    responses={200: {"content": {"text/event-stream": {}}}},
    tags=["events"],
)
async def follow_events(
    request: Request,
    on: On,
    by: By,
    follower: Annotated[Follower, Depends(_follower)],
    last_event_id: Annotated[int, Header(ge=0, le=_LARGEST)] = 0,
) -> Response:
    """The history of a study as server-sent events, from its beginning and as it goes on.

    With `Last-Event-ID`, from the line after that one: each line comes once.

    While a fit goes on that is made in steps, its last report comes whenever there is a newer one:
    an event named `fit` without an id, whose data is as an entry of /studies/{study}/fits.
    """

    def go_on() -> bool:
        return on.access.still_holds(by) and not request.app.state.stopping()

    async def lines() -> AsyncIterator[bytes]:
        async for line in on.feed.lines(follower, last_event_id, go_on=go_on):
            if line is None:
                yield format_sse_event(comment="")
            elif isinstance(line, FitReport):
                text = json.dumps(plain(line), ensure_ascii=False)
                yield format_sse_event(event="fit", data_str=text)
            else:
                text = json.dumps(_event(line), ensure_ascii=False)
                yield format_sse_event(data_str=text, id=str(line.id))

    return EventSourceResponse(lines(), headers={"Cache-Control": "no-cache"})
