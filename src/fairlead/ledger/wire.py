"""The calls of a ledger as they go over a network: what both ends of it agree on.

A call is `PART/METHOD`, such as tasks/claim, with its arguments by name as one JSON object; its
answer is one JSON value. Both follow from the Protocols in interface.py alone: each argument and
answer is read as its type hint says, so that a new method needs nothing here. Numbers that are not
finite have no JSON, and no record has them.

Both ends must have the same Protocols and records: a client tells their `shape`, a digest.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Protocol, get_type_hints

import msgspec

from fairlead import records
from fairlead.errors import Invalid
from fairlead.ledger import interface

_LARGEST = (1 << 63) - 1
_MOST_ASKED = (1 << 31) - 1  # of what is asked for at once
_ODD = re.compile(rb"\\u0000|[0-9]{19}|[0-9.][eE]\+?[0-9]")
"""What is in each body with a NUL or with a number of more than 64 bits; others need no look."""

SHAPE_HEADER = "Fairlead-Shape"

KEPT = frozenset(
    {
        *("tasks/claim", "tasks/commit", "tasks/commit_and_claim", "tasks/commit_refit"),
        *("tasks/fault", "tasks/release"),
        *("versions/register", "versions/judge", "versions/promote"),
        *("routes/revise", "routes/change", "routes/mark", "routes/note"),
        *("deployments/begin", "runs/open", "runs/advance"),
        *("studies/finish", "autoscaling/decided"),
        *("schedules/begin", "schedules/note", "schedules/remove"),
    }
)
"""The calls that carry a key, and whose answer is kept with what they write: carried out again they
would do more, or be refused although they were done. Each is one transaction, and answers what its
function returns. All others may be carried out again, and nothing is kept of them."""


class Clock(Protocol):
    """What a ledger has beside its parts."""

    def now(self) -> float:
        """The ledger's clock."""
        ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of a part.

    Args:
        part: Name of the part.
        name: Of the method.
        signature: Of its arguments, without `self`.
        arguments: A struct of them.
        answers: Reads its answer.
    """

    part: str
    name: str
    signature: inspect.Signature
    arguments: type[msgspec.Struct]
    answers: msgspec.json.Decoder[Any]

    @property
    def path(self) -> str:
        """Of the call."""
        return f"{self.part}/{self.name}"

    def encoded(self, *args: Any, **kwargs: Any) -> bytes:
        """The arguments of a call.

        Raises:
            Invalid: One cannot be said, such as a number that is not finite.
        """
        named = self.signature.bind(*args, **kwargs).arguments
        plain = msgspec.to_builtins(named, str_keys=True, enc_hook=_number)
        try:
            return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode()
        except ValueError as error:
            raise Invalid(f"{self.path}: {error}") from error

    def decoded(self, body: bytes) -> dict[str, Any]:
        """The arguments of a call, by name.

        Raises:
            Invalid: They are not what the method takes.
        """
        try:
            found = msgspec.json.decode(body, type=self.arguments)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"{self.path}: {error}") from error
        arguments = {name: getattr(found, name) for name in found.__struct_fields__}
        for name, why in _unkeepable(arguments, look=bool(_ODD.search(body))):
            raise Invalid(f"{self.path}: {name} {why}")
        return arguments

    def answer(self, body: bytes) -> Any:
        """What the method returned.

        Raises:
            Invalid: It is not what the method returns.
        """
        try:
            return self.answers.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"{self.path}: the answer cannot be read: {error}") from error


def encoded_answer(value: Any) -> bytes:
    """What a method returned, as it is sent."""
    return msgspec.json.encode(value, enc_hook=_number)


@cache
def parts() -> Mapping[str, type]:
    """The Protocols by the names of the ledger's parts, and its clock."""
    properties = {
        name: found for name, found in vars(interface.Ledger).items() if isinstance(found, property)
    }
    hints = {name: get_type_hints(found.fget)["return"] for name, found in properties.items()}
    return {**hints, "clock": Clock}


def names(part: str) -> list[str]:
    """The names of a part's methods."""
    return [name for name in vars(parts()[part]) if not name.startswith("_")]


@cache
def method(part: str, name: str) -> Method | None:
    """The method of this name; None where there is none."""
    if part not in parts() or name not in names(part):
        return None
    function: Callable[..., Any] = getattr(parts()[part], name)
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    taken = [each for each in signature.parameters.values() if each.name != "self"]
    arguments = msgspec.defstruct(
        f"{part}_{name}",
        [_field(each, hints[each.name]) for each in taken],
        kw_only=True,
        forbid_unknown_fields=True,
    )
    return Method(
        part=part,
        name=name,
        signature=signature.replace(parameters=taken),
        arguments=arguments,
        answers=msgspec.json.Decoder(hints["return"]),
    )


@cache
def shape() -> str:
    """A digest of the Protocols and of the records that they take and give."""
    said = [
        f"{part}.{name}{inspect.signature(getattr(protocol, name))}"
        for part, protocol in parts().items()
        for name in names(part)
    ]
    for kind in vars(records).values():
        if isinstance(kind, type) and is_dataclass(kind):
            said += [f"{kind.__name__}.{each.name}: {each.type}" for each in fields(kind)]
    return hashlib.sha256("\n".join(sorted(said)).encode()).hexdigest()[:16]


def _unkeepable(arguments: Mapping[str, Any], *, look: bool) -> Iterator[tuple[str, str]]:
    """The arguments that no database can take, and why."""
    limit = arguments.get("limit", 1)
    if not 1 <= limit <= _MOST_ASKED:
        yield "limit", f"must be 1 to {_MOST_ASKED}, not {str(limit)[:40]}"
    for name, value in arguments.items() if look else ():
        for leaf in _leaves(value):
            if isinstance(leaf, str) and "\0" in leaf:
                yield name, "must have no NUL in its texts"
            elif isinstance(leaf, int) and not -_LARGEST <= leaf <= _LARGEST:
                yield name, f"must have numbers of at most 64 bits, not {str(leaf)[:40]}"


def _leaves(value: Any) -> Iterator[Any]:
    """The texts and numbers of an argument, but for those in mappings: they are kept as JSON."""
    if is_dataclass(value):
        for each in fields(value):
            yield from _leaves(getattr(value, each.name))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _field(parameter: inspect.Parameter, hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, hint
    return parameter.name, hint, parameter.default


def _number(value: object) -> float:
    """A float of a kind of its own, such as numpy's."""
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON")
