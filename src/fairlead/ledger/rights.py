"""What the roles of a ledger's database may do, each no more than its programs need.

A worker claims tasks and ends attempts. A server begins the first deployments of champions and
carries deployments out. A controller is whoever runs the commands of a person (`run`, `deploy`,
`promote`): it writes everything, but histories are only appended to. A reader looks. A scaler sees
the number of open tasks alone, by a view (`LOAD`). Nobody of these makes, changes or drops tables:
that is the owner's, who upgrades the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import sqlalchemy as sa

from fairlead.ledger.schema import metadata
from fairlead.ledger.upkeep import TableRights, id_of

Purpose: TypeAlias = Literal["worker", "controller", "server", "reader", "scaler"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


LOAD = "fairlead_load"
"""The view that a scaler of others may read, such as KEDA: one row."""
LOAD_QUERY = """SELECT coalesce(sum(ready), 0)::bigint AS ready,
    coalesce(sum(running), 0)::bigint AS running
FROM studies WHERE NOT paused"""


@dataclass(frozen=True, kw_only=True)
class _May:
    """What may be written in a table; `fixed` are the columns that are not to be changed."""

    insert: bool = False
    change: bool = False
    delete: bool = False
    fixed: frozenset[str] = frozenset()


_READ = _May()
_ADD = _May(insert=True)
_CHANGE = _May(insert=True, change=True)
_ALL = _May(insert=True, change=True, delete=True)
_ADD_AND_DELETE = _May(insert=True, delete=True)

_STUDY = (
    *("number", "id", "name", "spec", "table_digest", "sources", "asked", "size"),
    *("limit_seconds", "limit_memory", "state", "best", "created", "finished"),
    *("priority", "paused", "needs"),
)
# All but what a study is: its counters change with each task.
_COUNT = _May(change=True, fixed=frozenset(_STUDY))
# A shared fit that fails is split into new tasks.
_ATTEMPT = _May(
    insert=True, change=True, fixed=frozenset({"id", "study", "kind", "family", "refit"})
)

_WORKER: Mapping[str, _May] = {
    "studies": _COUNT,
    "trials": _READ,
    "tasks": _ATTEMPT,
    "results": _ADD,
    "events": _ADD,
    "fit_progress": _ADD_AND_DELETE,  # thinned out
    "leaving_workers": _May(delete=True),
    "workers": _ALL,
}
# A server that starts deploys champions that have no route.
_SERVER: Mapping[str, _May] = {
    "revisions": _CHANGE,
    "deployments": _CHANGE,
    "routes": _ADD,
    "routes_in_force": _CHANGE,
    "serving_events": _ADD,
    "servers": _ALL,
    "observations": _ALL,
}
_CONTROLLER: Mapping[str, _May] = {
    "studies": _CHANGE,
    "trials": _ADD,
    "tasks": _CHANGE,
    "results": _ADD,
    "events": _ADD,
    "fit_progress": _ADD_AND_DELETE,
    "versions": _ADD,
    "champions": _CHANGE,
    "judgements": _ADD,
    "judged_rows": _ADD,
    "promotions": _ADD,
    "outbox": _ADD_AND_DELETE,
    "revisions": _CHANGE,
    "deployments": _CHANGE,
    "routes": _ADD,
    "routes_in_force": _CHANGE,
    "serving_events": _ADD,
    "servers": _ALL,
    "observations": _ALL,
    "runs": _CHANGE,
    "schedules": _ALL,
    "leaving_workers": _ADD_AND_DELETE,
    "workers": _ALL,
    "autoscalers": _CHANGE,
    "scaling_decisions": _ADD_AND_DELETE,  # old ones go
    "requests": _ALL,
}


def rights_of(purpose: Purpose) -> Sequence[TableRights]:
    """What a role for this purpose may do, table by table; it may read each that is listed."""
    return [
        _rights(table, may)
        for table in metadata.sorted_tables
        if (may := _may(purpose, table.name)) is not None
    ]


def _may(purpose: Purpose, table: str) -> _May | None:
    """None where it may not even read. A test holds that every table is in `_CONTROLLER`."""
    match purpose:
        case "worker":
            return _WORKER.get(table)
        case "server":
            return _SERVER.get(table, _READ)
        case "scaler":
            return None
        case "controller":
            return _CONTROLLER.get(table, _ALL)
    return _READ


def _rights(table: sa.Table, may: _May) -> TableRights:
    changed = [column.name for column in table.columns if column.name not in may.fixed]
    return TableRights(
        table=table.name,
        insert=may.insert,
        update=tuple(changed) if may.change else (),
        delete=may.delete,
        ids=id_of(table) is not None,
    )
