"""Strict JSON: UTF-8, one value, no duplicate key, no NaN, no lone surrogate, bounded depth.

A byte order mark before the document is left out (`unmarked`), as it is of files.

Documents are decoded by msgspec, which refuses all of these but duplicate keys. Each key has a
colon, so a document with no more colons outside of texts than decoded keys has no duplicate.

A document that is refused may be read once more, as it was written (`written`), to find out what
is wrong with it, or what it says nevertheless. That takes 20 times as long, so it is for small
documents; for a large one the decoder's own message is passed on.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairlead.errors import Invalid, TooLarge
from fairlead.serving.protocol.wording import brief

Kind = TypeVar("Kind")
Marked: TypeAlias = NDArray[np.bool_]

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a decoder raises
CLOSELY = 1 << 18  # bytes of a document that may be read as it was written: 0.1 s at worst
_IGNORED = 1_000  # keys of a large document that may be ignored
_SMALL = 1 << 20  # bytes of a document in which nothing can be so many that it takes long
_KEYS = 1_000  # of one object, which any request may have
_COSTLY = 10_000  # numbers of a document that may each take up to 10 us to read
_LEAST = 5 * _COSTLY  # bytes of so many of them, for 1e308 is the shortest
_ANY = msgspec.json.Decoder(msgspec.Raw)
_AT_ONCE = 1 << 16  # bytes of a document that are looked through together
_CLOSER = (
    "what is sent needs a closer look (a fraction where text is wanted, or a number of 2**53 or "
    f"more), which is for JSON documents of at most {CLOSELY} bytes; send fewer rows at once"
)
_DEEP = "the body holds too many arrays or objects inside each other"


class Written(str):
    """A number as it was written."""

    __slots__ = ()


def unmarked(document: bytes) -> bytes:
    """The document without UTF-8's byte order mark, which a parser may ignore (RFC 8259, 8.1)."""
    return document.removeprefix(codecs.BOM_UTF8)


def read(decoder: msgspec.json.Decoder[Kind], document: bytes | msgspec.Raw) -> Kind:
    """Decode a document, without a look at keys that are given twice (`check_keys`).

    Raises:
        Invalid: It is not strict JSON, or not what the decoder is for.
    """
    try:
        return decoder.decode(document)
    except MALFORMED as error:
        raise explained(document, error) from None


def check_size(document: bytes, most: int, columns: int) -> None:
    """Refuse a document of many small values before it is decoded.

    Two bytes can become a float of 24 bytes and a place in a list, three an empty list of 56. Each
    value but the first follows a comma or what opens an array or an object. A new key costs ten
    times as much as one that each row has, so one object may not have many either.

    Args:
        document: As it came.
        most: Values that it may hold.
        columns: Of the model.

    Raises:
        TooLarge: It holds more, or an object of it has far more keys than the model has columns.
    """
    if len(document) <= _SMALL and sum(map(document.count, _OPENINGS)) <= most:
        return
    most_keys = max(columns, _KEYS)
    values = 0
    for commas, arrays, objects, ends, found in _outside_texts(document, b",[{}:"):
        values += commas + arrays + objects
        if values > most:
            raise TooLarge(f"the JSON document holds more than {most} values; send fewer rows")
        if found > most_keys and not objects + ends:  # all in one object
            raise TooLarge(
                f"an object of the JSON document has more than {most_keys} keys, where the model "
                f"has {columns} columns"
            )


def check_exponents(document: bytes) -> None:
    """Refuse a document of many numbers that take long to read, before it is decoded.

    An ordinary number is read in 0.02 us. msgspec takes a slow way, longer with the exponent, for
    those of 1e290 and more (9 us), below 2.3e-308 (6 us), and right between two doubles as far as
    19 digits tell (1e23 or 9007199254740993.0: 0.3 us; with 20 digits at 1e-200: 3 us). So those
    of an exponent that has three digits are counted, and those of 20 digits and any exponent;
    floats that are written by `repr` have 17. Without an exponent it takes as many digits to come
    as far, at most 0.03 us a digit, which the size of a body bounds.

    Args:
        document: As it came.

    Raises:
        TooLarge: It holds too many.
    """
    if len(document) <= _LEAST or document.count(b"e") + document.count(b"E") <= _COSTLY:
        return
    if _costly(document) > _COSTLY and _costly(_without_texts(document)) > _COSTLY:
        raise TooLarge(
            f"the JSON document holds more than {_COSTLY} numbers with an exponent of three "
            "digits, or of 20 digits and an exponent, which take long to read; write 0 for what is "
            "next to nothing, and at most 17 digits, or send fewer rows at once"
        )


def check_keys(document: bytes, decoded: int, unread: Callable[[], int] = int) -> None:
    """Refuse a key given twice in one object.

    Args:
        document: That was decoded without a fault.
        decoded: How many keys came out of it.
        unread: How many more there are in what is ignored; asked of large documents only.

    Raises:
        Invalid: Names the key, if the document is not large.
    """
    if document.count(b":") == decoded:
        return
    extra = keys(document) - decoded
    if extra <= 0:
        return
    if len(document) <= CLOSELY:
        written(document)
    elif extra > _IGNORED or extra > unread():
        raise Invalid(
            f"the body has a key twice in one object, or more than {_IGNORED} that are not known"
        )


def keys(document: bytes | msgspec.Raw) -> int:
    """How many keys a document has, one that is given twice counted twice."""
    return sum(found for (found,) in _outside_texts(bytes(document), b":"))


def explained(document: bytes | msgspec.Raw, error: Exception) -> Invalid:
    """What is wrong with a document that a decoder refused."""
    if isinstance(error, RecursionError):
        return Invalid(_DEEP)
    if len(document) <= CLOSELY:
        try:
            written(bytes(document))
        except Invalid as clearer:
            return clearer
    return Invalid(f"the body is not what it must be: {brief(error)}")


# ---- what stands outside of texts -----------------------------------------------------------

_OPENINGS = (b",", b"[", b"{")
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_BLANK = np.uint8(ord(" "))
_PLACES = np.arange(_AT_ONCE, dtype=np.int32)


def _outside_texts(document: bytes, marks: bytes) -> Iterator[list[int]]:
    """How often each of these characters stands outside of texts, part by part of the document.

    What is right up to a fault of the document is all that is needed: no decoder goes beyond.
    """
    for part, outside in _parts(document):
        yield [int(np.count_nonzero((part == mark) & outside)) for mark in marks]


def _without_texts(document: bytes) -> bytes:
    """The document with blanks in place of its texts."""
    return b"".join(np.where(outside, part, _BLANK).tobytes() for part, outside in _parts(document))


def _parts(document: bytes) -> Iterator[tuple[NDArray[np.uint8], Marked]]:
    """A document part by part, and where each stands outside of texts."""
    inside = escaping = False
    for start in range(0, len(document), _AT_ONCE):
        part = np.frombuffer(document, np.uint8, min(_AT_ONCE, len(document) - start), start)
        quotes, escaping = _quotes(part, escaping=escaping)
        outside = np.bitwise_xor.accumulate(quotes.view(np.uint8)) == inside
        inside = not outside[-1]
        yield part, outside


def _quotes(part: NDArray[np.uint8], *, escaping: bool) -> tuple[Marked, bool]:
    """Where texts begin and end, and whether the first character of the next part is escaped.

    A character is escaped where an odd number of backslashes stands right before it.
    """
    slashes = part == _BACKSLASH
    quotes = part == _QUOTE
    if not (escaping or slashes.any()):
        return quotes, False
    places = _PLACES[: len(part)]
    others = np.maximum.accumulate(np.where(slashes, np.int32(-1 - escaping), places))
    odd = (places - others) & 1 == 1
    quotes[1:] &= ~odd[:-1]
    quotes[0] &= not escaping
    return quotes, bool(odd[-1])


# ---- numbers that take long -----------------------------------------------------------------

_LOWER = bytes.maketrans(b"E", b"e")
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)


def _costly(document: bytes) -> int:
    """How many numbers take long to read, texts that look like one among them.

    Some clients write 1e-005: one zero before an exponent is none of its digits.
    """
    shapes = document.translate(_LOWER, b"+-.").replace(b"e0", b"e").translate(_ZEROS)
    return shapes.count(b"e000") + shapes.count(b"0" * 20 + b"e")


# ---- as it was written ----------------------------------------------------------------------


def written(document: bytes, whole: int = 0) -> Any:
    """Read a document as it was written: numbers are `Written`, objects dicts, arrays lists.

    Args:
        document: Or a part of one.
        whole: Bytes of the whole one, if it is a part.

    Raises:
        Invalid: It is not strict JSON.
        TooLarge: It is too large for that.
    """
    if max(len(document), whole) > CLOSELY:
        raise TooLarge(_CLOSER)
    try:
        value = _loads(document)
        if b"\\u" in document:
            _ANY.decode(document)
    except UnicodeDecodeError as error:
        raise Invalid(f"the body is not UTF-8: byte {error.start} begins no character") from None
    except RecursionError:
        raise Invalid(_DEEP) from None
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
