"""What a call of the ledger may say: rules that are no rules of a ledger, but of who asks.

An admin's token is that of a server or of who runs one, which carry out whatever there is to do.
Everybody else says of a study only what its spec says, too, and of a deployment only that it is
cancelled: what is done of it, the server that holds it tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from fairlead.api.access import Caller
from fairlead.errors import Invalid, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Run, Study
from fairlead.spec.document import Spec, parse_canonical

_ID = re.compile(r"[0-9a-f]{16}(-[1-9][0-9]{0,8})?")


def check(path: str, arguments: Mapping[str, Any], caller: Caller) -> None:
    """Refuse what the caller may not say.

    Raises:
        Invalid: With what it may be.
    """
    if path in _CHECKS and not caller.may("administer"):
        _CHECKS[path](arguments)


def study_of(ledger: Ledger, study: str) -> Study:
    """The study with this whole id, for callers who may not look which studies there are.

    Raises:
        NotFound: There is none. Nothing is said of others.
    """
    try:
        found = ledger.studies.get(study)
    except NotFound:
        found = None
    if found is None or found.id != study:
        raise NotFound(f"no study has the id {study!r}; a worker's token finds none by a name")
    return found


def _study(arguments: Mapping[str, Any]) -> None:
    study: Study = arguments["study"]
    if not _ID.fullmatch(study.id):
        raise Invalid(f"a study's id must be 16 hexadecimal digits, not {study.id[:200]!r}")
    name = _spec("studies/open", study.spec).name
    if name != study.name:
        raise Invalid(
            f"study {study.id}: its name is {study.name[:200]!r}, and its spec's {name!r}"
        )


def _run(arguments: Mapping[str, Any]) -> None:
    run: Run = arguments["run"]
    _spec("runs/open", run.spec)


def _spec(path: str, text: str) -> Spec:
    try:
        return parse_canonical(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, ("spec", *first["loc"])))
        raise Invalid(f"{path}: {where}: {first['msg']}") from None


def _deployment(arguments: Mapping[str, Any]) -> None:
    deployment: Deployment | None = arguments["deployment"]
    if deployment is not None and (deployment.server, deployment.state) != (None, "undone"):
        raise Invalid(
            f"deployment {deployment.number} of model {deployment.model!r} may be ended as undone; "
            "anything else is for the server that holds it"
        )


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "studies/open": _study,
    "runs/open": _run,
    "deployments/advance": _deployment,
    "routes/change": _deployment,
}
