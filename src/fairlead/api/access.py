"""Who may ask the control API for what: the tokens with roles, as their file is at this moment."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.api import ledger_rights
from fairlead.api.ledger_rights import Need
from fairlead.errors import Corrupt
from fairlead.server.auth import Role, StoredToken, read_tokens

MAY: Mapping[Role, frozenset[Need]] = {
    "viewer": frozenset({"look", "read"}),
    "worker": frozenset({"look", "store", "work"}),
    "submitter": frozenset({"look", "read", "store", "run"}),
    "promoter": frozenset({"look", "read", "store", "promote"}),
    "admin": frozenset({"look", "read", "store", "work", "run", "promote", "administer"}),
}
OPEN = frozenset({"/api/v1/health", "/openapi.json"})
"""The paths that want no token."""

_READING = frozenset({"GET", "HEAD"})
_NEEDS: Sequence[tuple[frozenset[str], str, Need]] = (  # the first that fits counts
    (frozenset({"GET", "POST", "PATCH", "DELETE"}), "/api/v1/uploads", "store"),
    (frozenset({"PUT"}), "/api/v1/artifacts/", "store"),
    (_READING, "/api/v1/artifacts/", "look"),
    (_READING, "", "read"),
    (frozenset({"POST"}), "/api/v1/runs", "run"),
    (frozenset({"POST"}), "/api/v1/models/", "promote"),
)
_SCHEME = "bearer "
_FIRST_DELAY = 0.1  # seconds, doubled by each further failure
_LONGEST_DELAY = 3.0
_FORGOTTEN = 300.0  # seconds without a failure
_ADDRESSES = 4096  # that are remembered at most


def needed(method: str, path: str) -> Need:
    """What a request needs; what is not known here only an admin may ask for."""
    if method == "POST" and path.startswith("/api/v1/models/") and path.endswith("/retrain"):
        return "run"
    if method == "POST" and path.startswith(ledger_rights.PREFIX):
        return ledger_rights.need(path)
    fitting = (
        need for methods, prefix, need in _NEEDS if method in methods and path.startswith(prefix)
    )
    return next(fitting, "administer")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks.

    Args:
        name: Of the token; "local" where there is none and every request from this machine counts.
        role: What it may ask for.
        sha256: Of the token; empty without.
    """

    name: str
    role: Role
    sha256: str = ""

    @property
    def identity(self) -> str:
        """The name with the token's digest: one of the same name that is added later is another."""
        return f"{self.name} {self.sha256}".rstrip()

    def may(self, need: Need) -> bool:
        """Whether the role lets it."""
        return need in MAY[self.role]


LOCAL = Caller(name="local", role="admin")


class Access:
    """The tokens of the control API. What was revoked is refused from the next request on.

    Args:
        file: Of the tokens, which is looked at for every request.
        private: Whether only this machine can reach the server.

    Raises:
        Corrupt: The file is not what was written.
    """

    def __init__(self, file: Path, *, private: bool) -> None:
        self._file = file
        self._private = private
        self._seen = self._stamp()
        self._tokens = with_role(read_tokens(file))

    def is_open(self) -> bool:
        """Whether every request from this machine counts: there is no token with a role."""
        self._reload()
        return self._private and not self._tokens

    def caller(self, authorization: str) -> Caller | None:
        """Whose token the Authorization header carries; None where it is none that holds.

        Every hash is compared, in constant time each: how long it takes tells nothing.
        """
        self._reload()
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        token = authorization[len(_SCHEME) :].strip().encode("latin-1", "replace")
        return self._found(hashlib.sha256(token).hexdigest())

    def still_holds(self, caller: Caller) -> bool:
        """Whether the caller would be let in now, too: asked during long answers."""
        if not caller.sha256:
            return self.is_open()
        self._reload()
        return self._found(caller.sha256) == caller

    def _found(self, offered: str) -> Caller | None:
        now = time.time()
        found = [
            each
            for each in self._tokens
            if hmac.compare_digest(offered, each.sha256) and each.holds(now)
        ]
        if not found or found[0].role is None:
            return None
        return Caller(name=found[0].name, role=found[0].role, sha256=found[0].sha256)

    def _reload(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        try:
            self._tokens = with_role(read_tokens(self._file))
        except Corrupt:
            return  # half of a file that is being repaired: the same tokens as before
        self._seen = stamp

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def with_role(tokens: Sequence[StoredToken]) -> Sequence[StoredToken]:
    """Those that are for the control API."""
    return [each for each in tokens if each.role is not None]


class Failures:
    """How often each address failed to show a token, and how long it waits for the next answer."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def delay(self, address: str, now: float) -> float:
        """Count one more failure; seconds to wait before it is answered."""
        count, last = self._known.pop(address, (0, now))
        count = 1 if now - last > _FORGOTTEN else count + 1
        self._known[address] = (count, now)
        if len(self._known) > _ADDRESSES:
            self._known.popitem(last=False)
        return float(min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(count - 1, 10)))
