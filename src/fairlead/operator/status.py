"""The status of a Study: what people see of it with `kubectl get`, `wait` and `describe`.

A pure function of what the ledger says of its run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fairlead.formatting import plain
from fairlead.operator.conditions import Condition
from fairlead.records import Counts, FitReport, Run, Study

MOST_FITS = 8
"""Fits that a status tells of: an object is to stay small."""
_PHASES = {
    "search": "Searching",
    "refit": "Refitting",
    "register": "Registering",
    "judge": "Judging",
    "deploy": "Deploying",
}
_ENDED = {"done": "Finished", "failed": "Failed", "cancelled": "Cancelled"}


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as the ledger has it at one moment.

    Args:
        run: The run.
        study: Its study.
        counts: How far that is.
        metric: What its trials are scored with.
        best: The best score so far, or in the end.
        workers: Workers of it that are alive.
        waits: Why it does not go on; empty where it does.
        fits: The last report of each fit that goes on.
    """

    run: Run
    study: Study
    counts: Counts
    metric: str
    best: float | None = None
    workers: int = 0
    waits: str = ""
    fits: Sequence[FitReport] = ()


def of_run(view: RunView) -> tuple[dict[str, Any], Sequence[Condition]]:
    """The fields of the status and its conditions, for a run."""
    run, counts = view.run, view.counts
    ended = counts.done + counts.failed + counts.pruned
    fields = {
        "phase": _phase(view),
        "run": run.id,
        "began": datetime.fromtimestamp(run.began, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "study": run.study,
        "trials": f"{ended}/{view.study.size}",
        "failedTrials": counts.failed,
        "metric": view.metric,
        "best": None if view.best is None else float(f"{view.best:.6g}"),
        "version": run.version,
        "verdict": None if run.verdict is None else run.verdict.decision,
        "workers": view.workers,
        "fits": plain(tuple(view.fits[:MOST_FITS])),
        "message": view.waits or (run.verdict.text if run.verdict else "") or run.reason,
    }
    return fields, [_submitted(run), *_ending(run)]


def of_submission(phase: str, message: str) -> tuple[dict[str, Any], Sequence[Condition]]:
    """The same while it is being submitted."""
    return {"phase": phase, "message": message}, []


def of_refusal(reason: str) -> tuple[dict[str, Any], Sequence[Condition]]:
    """The same where it cannot be submitted."""
    refused = Condition(kind="Submitted", status="False", reason="Refused", message=reason)
    failed = Condition(kind="Failed", status="True", reason="Refused", message=reason)
    return {"phase": "Refused", "message": reason}, [refused, failed]


def _phase(view: RunView) -> str:
    if view.run.state != "running":
        return _ENDED[view.run.state]
    return "Paused" if view.study.paused else _PHASES[view.run.stage]


def _submitted(run: Run) -> Condition:
    return Condition(kind="Submitted", status="True", reason="Submitted", message=f"run {run.id}")


def _ending(run: Run) -> Sequence[Condition]:
    if run.state == "running":
        return [Condition(kind="Finished", status="False", reason="Running")]
    if run.state == "done":
        text = "" if run.verdict is None else run.verdict.text
        reason = "Judged" if run.verdict else "Done"
        return [Condition(kind="Finished", status="True", reason=reason, message=text)]
    reason = "Cancelled" if run.state == "cancelled" else "RunFailed"
    return [
        Condition(kind="Finished", status="False", reason=reason, message=run.reason),
        Condition(kind="Failed", status="True", reason=reason, message=run.reason),
    ]
