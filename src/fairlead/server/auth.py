"""Bearer tokens: the file of an installation's tokens, and which of them a server accepts.

Tokens are in $FAIRLEAD_HOME/tokens.json, readable by its owner alone, and only their SHA-256. They
are not in the ledger: they say nothing about models, and a ledger is copied and shared more readily
than what gives access. Servers follow the file while they run. Requests are checked in the serving
processes (serving/http/guard.py).
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from fairlead import atomic
from fairlead.errors import Corrupt, Invalid, NextStep, NotFound
from fairlead.server.events import ServerEvent, ServerNotice, ServerWarning
from fairlead.serving.http.guard import hashed

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BYTES = 32
Role: TypeAlias = Literal["viewer", "worker", "submitter", "promoter", "admin"]
_HASH = r"^[0-9a-f]{64}$"


def accepted_tokens(known: tuple[str, ...], *, own: str, private: bool) -> tuple[str, ...]:
    """The tokens that a server accepts.

    Args:
        known: Hashes of those of the installation.
        own: Hash of the server's own, which nobody else has.
        private: Whether only this machine can reach the server.

    Returns:
        Hashes; none where every request from this machine is accepted; the server's own alone where
        there is no other and other machines could reach it.
    """
    return () if private and not known else (*known, own)


class TokenAuthenticator:
    """The tokens that a server accepts, as the file of tokens changes.

    Args:
        own: Hash of the server's own token.
        private: Whether only this machine can reach the server.
        tokens: Hashes of those that are accepted at first.
        on_event: Called when they change.
    """

    def __init__(
        self,
        *,
        own: str,
        private: bool,
        tokens: tuple[str, ...],
        on_event: Callable[[ServerEvent], None],
    ) -> None:
        self._own, self._private, self._on_event = own, private, on_event
        self._known = tokens
        self._fault = ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that processes are to accept, as `accepted_tokens`."""
        return accepted_tokens(self._known, own=self._own, private=self._private)

    def reload(self, file: Path) -> None:
        """Read the file again; where that fails, all stays as it is."""
        try:
            known = serving_tokens(read_tokens(file), time.time())
        except Corrupt as error:
            self._warn_once(str(error))
            return
        self._fault = ""
        if known != self._known:
            self._known = known
            self._on_event(_change(len(known), private=self._private))

    def _warn_once(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            text = f"{fault}; the server accepts the same tokens as before"
            self._on_event(ServerWarning(text=text))


def _change(count: int, *, private: bool) -> ServerEvent:
    if count:
        return ServerNotice(
            text=f"tokens changed: {count} accepted from now on, no request without a token"
        )
    if private:
        return ServerNotice(
            text="the last token was removed: every request from this machine is accepted"
        )
    add = NextStep("token.add", {"name": None}, "adds one")
    return ServerWarning(
        text="the last token was removed, and other machines can reach this server: no request is "
        "accepted until there is a token",
        next_steps=(add,),
    )


@dataclass(frozen=True, kw_only=True)
class StoredToken:
    """What is stored of a token."""

    name: str
    sha256: str
    created: float  # seconds since the epoch
    role: Role | None = None  # what it may ask the control API for; None: it is for serving
    expires: float | None = None  # seconds since the epoch; None: never

    def holds(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    tokens: list[StoredToken]


def read_tokens(file: Path) -> Sequence[StoredToken]:
    """The tokens, by name; none where there is no file.

    Raises:
        Corrupt: The file is not what was written.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Corrupt(f"reading the tokens in {str(file)!r}: {error.strerror or error}") from error
    return _parsed(content, file)


def serving_tokens(tokens: Sequence[StoredToken], now: float) -> tuple[str, ...]:
    """Hashes of those that let requests for predictions in: without a role, and not expired."""
    return tuple(each.sha256 for each in tokens if each.role is None and each.holds(now))


def add_token(
    file: Path, name: str, *, role: Role | None = None, expires: float | None = None
) -> str:
    """Make a token and store its hash.

    Args:
        file: Of the tokens; created if it does not exist.
        name: Whose it is, or what it is for.
        role: What it may ask the control API for; None for a token of serving.
        expires: When, in seconds since the epoch; None for never.

    Returns:
        The token, which is stored nowhere.

    Raises:
        Invalid: The name is not valid, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"adding token {name!r}: a name is made of letters, digits, '.', '_' and '-', and has "
            "at most 64 of them"
        )
    token = secrets.token_urlsafe(_BYTES)
    with _changing(file) as tokens:
        if any(each.name == name for each in tokens):
            raise Invalid(f"adding token {name!r}: there is one; remove it first, or choose a name")
        tokens.append(
            StoredToken(
                name=name, sha256=hashed(token), created=time.time(), role=role, expires=expires
            )
        )
    return token


def remove_token(file: Path, name: str) -> None:
    """Remove a token.

    Raises:
        NotFound: There is none of this name.
    """
    with _changing(file) as tokens:
        rest = [each for each in tokens if each.name != name]
        if len(rest) == len(tokens):
            names = ", ".join(each.name for each in tokens) or "there are none"
            raise NotFound(f"removing token {name!r}: there is no such token; tokens: {names}")
        tokens[:] = rest


def _parsed(content: bytes, file: Path) -> Sequence[StoredToken]:
    try:
        tokens = msgspec.json.decode(content, type=_Document).tokens
    except msgspec.DecodeError as error:
        raise _damaged(file, str(error)) from error
    odd = next((each for each in tokens if not re.match(_HASH, each.sha256)), None)
    if odd:
        raise _damaged(file, f"what is stored of {odd.name!r} is no SHA-256")
    return sorted(tokens, key=lambda each: each.name)


def _damaged(file: Path, what: str) -> Corrupt:
    return Corrupt(
        f"reading the tokens in {str(file)!r}: {what}; repair the file, or delete it and add the "
        "tokens again"
    )


@contextmanager
def _changing(file: Path) -> Iterator[list[StoredToken]]:
    """The tokens, to be changed; written at the end, one writer after the other."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file.parent):
            tokens = list(read_tokens(file))
            yield tokens
            _write(file, tokens)
    except OSError as error:
        raise Invalid(f"writing the tokens in {str(file)!r}: {error.strerror or error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(file: Path, tokens: list[StoredToken]) -> None:
    content = msgspec.json.format(msgspec.json.encode(_Document(tokens=tokens)), indent=1)
    atomic.write(file, content + b"\n", mode=atomic.PRIVATE)
