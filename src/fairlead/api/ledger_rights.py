"""Who may call which method of the ledger.

A method that is not named here is an admin's alone. Workers have what their loop asks for and no
more: no list, no result of others, nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

Need: TypeAlias = Literal["look", "read", "store", "work", "run", "promote", "administer"]
"""What a request needs; "look" is what workers and all who may read share, "store" to put files."""

PREFIX = "/api/v1/ledger/"
_TRIALS = 64 << 20
"""Bytes of a call that puts tasks in: a grid of 100,000 trials is put in by one of 13 MB."""
_WRITES = 4 << 20
"""Bytes of another call that may write: a spec, the results of a task's trials."""
_READS = 64 << 10

NEEDS: Mapping[str, Mapping[str, Need]] = {
    "clock": {"now": "look"},
    "studies": {
        "open": "run",
        "get": "look",
        "all": "read",
        "counts": "read",
        "ended": "read",
        "trials": "read",
        "page": "read",
        "trials_page": "read",
        "leading": "read",
        "result": "read",
        "spans": "read",
        "results": "read",
        "prioritize": "run",
        "pause": "run",
        "resume": "run",
        "events": "read",
    },
    "histories": {"last": "read", "mark": "read", "is_settled": "read", "lines": "read"},
    "tasks": {
        "add": "run",
        "claim": "work",
        "heartbeat": "work",
        "commit": "work",
        "commit_and_claim": "work",
        "commit_refit": "work",
        "fault": "work",
        "release": "work",
        "lose": "work",
        "ask_to_leave": "work",
        "is_leaving": "work",
        "refit": "read",
        "waiting": "read",
        "subjects": "read",
        "running": "read",
        "open": "read",
    },
    "fits": {"report": "work", "note": "work", "reports": "read", "running": "read"},
    "versions": {
        "all": "read",
        "get": "read",
        "champion": "read",
        "judge": "promote",
        "samples": "read",
        "judgements": "read",
        "last_judgement": "read",
        "promote": "promote",
        "history": "read",
    },
    "outbox": {"pending": "read"},
    "routes": {
        "revise": "promote",
        "revisions": "read",
        "current": "read",
        "in_force": "read",
        "get": "read",
        "change": "promote",
        "history": "read",
        "note": "promote",
        "events": "read",
    },
    "deployments": {
        "begin": "promote",
        "get": "read",
        "author": "read",
        "running": "read",
        "advance": "promote",
        "observations": "read",
    },
    "servers": {"alive": "read", "silent": "read"},
    "workers": {"seen": "work", "gone": "work", "alive": "read", "silent": "read"},
    "runs": {
        "open": "run",
        "get": "read",
        "all": "read",
        "page": "read",
        "orphans": "read",
        "cancel": "run",
    },
    "schedules": {
        "put": "run",
        "get": "read",
        "all": "read",
        "remove": "run",
        "pause": "run",
        "resume": "run",
    },
    "autoscaling": {"load": "read", "all": "read", "decisions": "read"},
}


def need(path: str) -> Need:
    """What a call needs, by the path of its request."""
    part, _, name = path.removeprefix(PREFIX).partition("/")
    return NEEDS.get(part, {}).get(name, "administer")


def most(path: str) -> int:
    """Bytes that the body of a call may have, by the path of its request."""
    if path == f"{PREFIX}tasks/add":
        return _TRIALS
    return _READS if need(path) in {"look", "read"} else _WRITES
