"""JSON, read strictly.

Belongs here: what every document of a client must keep, whatever it says: UTF-8, one value, no
key twice, no NaN, no half of a character, bounded depth. Does not: what documents say.

Documents are decoded by msgspec, which refuses all of these but keys given twice. Each key has a
colon, so a document with no more colons than decoded keys has none twice; only another one (it
has a colon in some text, or keys that are not known) is read again, slowly.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

import msgspec

from fairlead.errors import Invalid, TooLarge

Kind = TypeVar("Kind")

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a decoder raises
_ANY = msgspec.json.Decoder(msgspec.Raw)
_AT_ONCE = 1 << 16  # bytes of a document that are taken apart together


class Written(str):
    """A number as it was written."""

    __slots__ = ()


def read(decoder: msgspec.json.Decoder[Kind], document: bytes | msgspec.Raw) -> Kind:
    """Decode a document, without a look at keys that are given twice (`check_keys`).

    Raises:
        Invalid: It is not strict JSON, or not what the decoder is for.
    """
    try:
        return decoder.decode(document)
    except MALFORMED as error:
        raise explained(document, error) from None


def check_size(document: bytes, most: int) -> None:
    """Refuse a document of many small values before it is decoded.

    Two bytes can become a float of 24 bytes and a place in a list, three an empty list of 56. Each
    value but the first follows a comma or what opens an array or an object.

    Args:
        document: As it came.
        most: Values that it may hold.

    Raises:
        TooLarge: It holds more.
    """
    if _openings(document) <= most:
        return
    found = 0
    for part in _outside_texts(document):
        found += _openings(part)
        if found > most:
            raise TooLarge(f"the JSON document holds more than {most} values; send fewer rows")


def _openings(part: bytes) -> int:
    return part.count(b",") + part.count(b"[") + part.count(b"{")


def _outside_texts(document: bytes) -> Iterator[bytes]:
    """What stands outside of strings, part by part, so that memory stays flat."""
    unescaped = document.replace(rb"\\", b"").replace(rb"\"", b"")
    inside = False
    for start in range(0, len(unescaped), _AT_ONCE):
        pieces = unescaped[start : start + _AT_ONCE].split(b'"')
        yield b" ".join(pieces[int(inside) :: 2])
        inside ^= len(pieces) % 2 == 0


def check_keys(document: bytes, decoded: int) -> None:
    """Refuse a key given twice in one object.

    Args:
        document: That was decoded without a fault.
        decoded: How many keys came out of it; fewer are safe, and slower.

    Raises:
        Invalid: Names the key.
    """
    if document.count(b":") != decoded:
        written(document)


def explained(document: bytes | msgspec.Raw, error: Exception) -> Invalid:
    """What is wrong with a document that a decoder refused."""
    try:
        written(bytes(document))
    except Invalid as clearer:
        return clearer
    return Invalid(f"the body is not what it must be: {error}")


def written(document: bytes) -> Any:
    """Read a document as it was written: numbers are `Written`, objects dicts, arrays lists.

    Raises:
        Invalid: It is not strict JSON.
    """
    try:
        value = _loads(document)
        if b"\\u" in document:
            _ANY.decode(document)
    except UnicodeDecodeError as error:
        raise Invalid(f"the body is not UTF-8: byte {error.start} begins no character") from None
    except RecursionError:
        raise Invalid("the body holds too many arrays or objects inside each other") from None
    except msgspec.DecodeError:
        raise Invalid(
            "the body holds half of a character, a \\u escape without its other"
        ) from None
    except ValueError as error:
        raise Invalid(f"the body is not JSON: {error}") from None
    return value


def _loads(document: bytes) -> Any:
    return json.loads(
        document.decode(),
        object_pairs_hook=_once,
        parse_int=Written,
        parse_float=Written,
        parse_constant=_refuse,
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise Invalid(f"the body has the key {twice[:80]!r} twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise Invalid(f"the body is not JSON: {constant} is no number; null is a missing one")
