"""What is done with large documents: nothing slow."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import Invalid, TooLarge
from fairlead.records import Column, Signature
from fairlead.serving.protocol import infer, strict
from fairlead.serving.protocol import tensor as tensors
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.infer import parse_infer
from fairlead.serving.protocol.intake import MOST
from fairlead.serving.protocol.rows import parse_rows

NUMBERS = Signature(
    columns=(Column(name="CRIM", kind="number"), Column(name="RM", kind="number")), target="MEDV"
)
MIXED = Signature(
    columns=(Column(name="town", kind="text"), Column(name="RM", kind="number")), target="MEDV"
)
NUMBER = b'{"CRIM":1,"RM":6.5}'
MIX = b'{"town":"at 12:30, {here}","RM":6.5}'
ROWS = 20_000
KEYS = b",".join(b'"%d":1' % number for number in range(40_000))
MANY = b",".join(b'"%d":1' % number for number in range(150_000))


def wide(count: int, kind: Any = "number") -> Signature:
    return Signature(
        columns=tuple(Column(name=f"c{n}", kind=kind) for n in range(count)), target=""
    )


def rows(row: bytes, *last: bytes, end: bytes = b"]}") -> bytes:
    """A large document: so many of the row, and the last ones."""
    return b'{"rows":[' + b",".join((*[row] * ROWS, *last)) + end


def tensor(data: bytes, count: int, *, name: bytes = b"numbers", kind: bytes = b"FP64") -> bytes:
    head = b'"name":"%b","datatype":"%b","shape":[%d,%d]' % (name, kind, count // 2, 2)
    return b'{"inputs":[{%b,"data":%b}]}' % (head, data)


def flat(cell: bytes, count: int, *last: bytes) -> bytes:
    return b"[" + b",".join((*[cell] * (count - len(last)), *last)) + b"]"


def parse(document: bytes, signature: Signature) -> object:
    if document.startswith(b'{"rows"'):
        return parse_rows(document, signature, missing=False, most_rows=100_000)
    return parse_infer(document, None, signature, missing=False, most_rows=100_000)


@pytest.fixture
def nothing_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader in Python is not there."""

    def read(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a document was read slowly")

    monkeypatch.setattr(json, "loads", read)


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize(
    ("document", "signature", "told"),
    [
        (b'{"rows":[{' + KEYS + b"}]}", NUMBERS, "row 1: the model takes no column '0'"),
        (
            b'{"rows":[{"town":"a:b",' + KEYS + b"}]}",
            MIXED,
            "row 1: the model takes no column '0'",
        ),
        (
            rows(NUMBER, NUMBER[:-1] + b"," + KEYS + b"}"),
            NUMBERS,
            "row 20001: the model takes no column '0'",
        ),
        (b'{"rows":[],' + KEYS + b"}", NUMBERS, "Object contains unknown field `0`"),
        (rows(NUMBER, b'{"CRIM":1}'), NUMBERS, "row 20001: the model needs the column 'RM'"),
        (rows(NUMBER, b'{"CRYM":1,"RM":2}'), NUMBERS, "column 'CRYM'; did you mean 'CRIM'?"),
        (rows(NUMBER, b"[1,2]"), NUMBERS, "row 20001 is no object"),
        (
            rows(NUMBER, end=b'],"columns":["RM","CRIM"]}'),
            NUMBERS,
            "row 1 is no array, as `columns` asks for",
        ),
        (
            b'{"columns":["RM","CRIM"],"rows":[' + flat(b"1", 200_000) + b"]}",
            NUMBERS,
            "row 1 has 200000 values where `columns` names 2",
        ),
        (
            b'{"rows":[[1]],"columns":' + flat(b'"RM"', 200_000) + b"}",
            NUMBERS,
            "`columns` names 'RM' twice",
        ),
        (rows(NUMBER, b'{"RM":1,"RM":2,"CRIM":2}'), NUMBERS, "a key twice in one object"),
        (rows(MIX, b'{"RM":1,"RM":2,"town":""}'), MIXED, "a key twice in one object"),
        (rows(MIX, b'{"RM":"6.5","town":""}'), MIXED, "row 20001, column 'RM': '6.5' is text"),
        (rows(MIX, b'{"RM":true,"town":""}'), MIXED, "row 20001, column 'RM': true is a truth"),
        (rows(NUMBER, b'{"RM":"6.5","CRIM":1}'), NUMBERS, "at `$.rows[20000][...]`"),
        (rows(NUMBER, b'{"RM":[],"CRIM":1}'), NUMBERS, "at `$.rows[20000][...]`"),
        (rows(NUMBER, end=b"]"), NUMBERS, "truncated"),
        (rows(NUMBER, b'{"RM":NaN,"CRIM":1}'), NUMBERS, "malformed"),
        (rows(MIX, b'{"RM":1,"town":"\xff"}'), MIXED, "utf-8"),
        (rows(MIX, b'{"RM":1,"town":"\\ud800"}'), MIXED, "is not what it must be"),
        (rows(MIX, b'{"RM":%b,"town":""}' % (b"9" * 400)), MIXED, "closer look"),
        (b"[" * 100_000 + KEYS, NUMBERS, "is not what it must be"),
        (b'{"rows":[{"RM":' + b"[" * 500_000, NUMBERS, "is not what it must be"),
        (rows(NUMBER, b'{"' + b"a\\n" * 9_000 + b'":1}'), NUMBERS, "takes no column"),
        (rows(NUMBER, end=b'],"' + b"a\\n" * 9_000 + b'":1}'), NUMBERS, "unknown field"),
    ],
)
def test_what_is_wrong_with_large_rows_is_told_in_a_line(
    document: bytes, signature: Signature, told: str
) -> None:
    assert len(document) > strict.CLOSELY
    with pytest.raises(Invalid) as caught:
        parse_rows(document, signature, missing=False, most_rows=100_000)
    message = str(caught.value)
    assert told in message
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            tensor(flat(b"0.125", 80_000, b'"x"'), 80_000),
            "input 'numbers': Expected `float | null`",
        ),
        (tensor(flat(b"0.125", 80_000), 80_002), "80000 elements, where its shape"),
        (tensor(flat(b"[1,2]", 50_000, b"[1]"), 100_000), "row 50000 of its data has not the 2"),
        (tensor(flat(b"0.125", 80_000, b"NaN"), 80_000), "malformed"),
        (tensor(flat(b"0.125", 80_000), 80_000)[:-3] + b',"name":""}]}', "input ''"),
        (
            tensor(flat(b"0.125", 80_000), 80_000)[:-3] + b',"shape":[40000,2]}]}',
            "a key twice in one object",
        ),
        (tensor(flat(b"0.125", 80_000), 80_000)[:-1] + b',"inputs":[]}', "a key twice"),
        (b'{"inputs":[],' + KEYS + b"}", "more than 1000 that are not known"),
    ],
)
def test_what_is_wrong_with_a_large_request_for_inference_is_told_in_a_line(
    document: bytes, told: str
) -> None:
    assert len(document) > strict.CLOSELY
    with pytest.raises(Invalid) as caught:
        parse_infer(document, None, NUMBERS, missing=False, most_rows=100_000)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize(
    ("document", "signature"),
    [
        (rows(NUMBER, b'{"RM":9007199254740993,"CRIM":1}'), NUMBERS),
        (rows(NUMBER, b'{"RM":1e20,"CRIM":1}'), NUMBERS),
        (rows(MIX, b'{"RM":1,"town":5.0}'), MIXED),
        (tensor(flat(b"0.125", 80_000, b"1e20"), 80_000), NUMBERS),
        (tensor(flat(b"1", 200_000, b"200"), 200_000, kind=b"INT8"), NUMBERS),
    ],
)
def test_what_needs_a_closer_look_is_asked_for_in_smaller_requests(
    document: bytes, signature: Signature
) -> None:
    with pytest.raises(TooLarge, match=r"a closer look .* at most 262144 bytes; send fewer rows"):
        parse(document, signature)


@pytest.mark.usefixtures("nothing_slow")
def test_a_closer_look_at_many_inputs_is_as_small_as_at_one() -> None:
    signature = wide(30)
    inputs = [
        {"name": f"c{n}", "datatype": "FP64", "shape": [2_000], "data": [1e20] * 2_000}
        for n in range(30)
    ]
    document = json.dumps({"inputs": inputs}).encode()
    assert len(document) // 30 < strict.CLOSELY < len(document)
    with pytest.raises(TooLarge, match="closer look"):
        parse_infer(document, None, signature, missing=False, most_rows=2_000)


@pytest.mark.usefixtures("nothing_slow")
def test_large_requests_that_only_look_odd_are_taken() -> None:
    assert parse_rows(rows(MIX), MIXED, missing=False, most_rows=ROWS).rows == ROWS
    nulls = rows(b'{"CRIM":null,"RM":null}')
    assert parse_rows(nulls, NUMBERS, missing=True, most_rows=ROWS).rows == ROWS
    known = tensor(flat(b"0.125", 80_000), 80_000)
    more = known[:-3] + b',"x":{"a":"b:c","d":[{"e":1}]}}],"y":{"z":1},"outputs":[]}'
    for document in (known, more):
        assert parse_infer(document, None, NUMBERS, missing=False, most_rows=40_000).rows == 40_000


# ---- before anything is decoded -------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        b'{"rows":[{' + MANY + b"}]}",
        b'{"rows":[{"CRIM":"}{",' + MANY.replace(b'":', b'}{\\"":') + b"}]}",
        b'{"inputs":[],"parameters":{' + MANY + b"}}",
    ],
)
def test_an_object_of_far_more_keys_than_columns_is_refused(document: bytes) -> None:
    assert len(document) > 1 << 20
    for parse in (
        lambda: parse_rows(document, NUMBERS, missing=False, most_rows=100_000),
        lambda: parse_infer(document, None, NUMBERS, missing=False, most_rows=100_000),
    ):
        with pytest.raises(TooLarge, match="more than 1000 keys, where the model has 2 columns"):
            parse()


def test_a_row_of_as_many_columns_as_the_model_has_is_taken_however_many_they_are() -> None:
    signature = wide(100_000)
    row = {column.name: 0.125 for column in signature.columns}
    body = json.dumps({"rows": [row]}).encode()
    assert len(body) > 1 << 20
    assert parse_rows(body, signature, missing=False, most_rows=1).rows == 1


def test_more_values_than_can_be_read_soon_are_too_large_whatever_the_model_has() -> None:
    signature, row = wide(100), b"[" + b",".join([b"1"] * 100) + b"]"
    names = json.dumps([column.name for column in signature.columns]).encode()
    body = b'{"columns":' + names + b',"rows":[' + b",".join([row] * (MOST // 100)) + b"]}"
    with pytest.raises(TooLarge, match=f"more than {MOST} values; send fewer rows"):
        parse_rows(body, signature, missing=False, most_rows=100_000)
    given = {"binary_data_size": 4}
    text = {"name": "text", "datatype": "BYTES", "shape": [MOST // 100 + 1, 100]}
    head = json.dumps({"inputs": [{**text, "parameters": given}]}).encode()
    with pytest.raises(TooLarge, match=f"texts; at most {MOST} may"):
        parse_infer(head + bytes(4), len(head), wide(100, "text"), missing=False, most_rows=100_000)


def test_inputs_that_are_strange_cost_no_work_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def located(*_: object) -> NoReturn:
        raise AssertionError("an input was looked at")

    monkeypatch.setattr(infer, "located", located)
    for name, told in (("CRIM", "'CRIM' is there twice"), ("x", "'x': the model takes none")):
        one = {"name": name, "shape": [1], "datatype": "FP32", "data": [1]}
        document = json.dumps({"inputs": [one] * 10_000}).encode()
        with pytest.raises(Invalid, match=told):
            parse_infer(document, None, NUMBERS, missing=False, most_rows=100_000)


# ---- numbers that take long to read ---------------------------------------------------------

SLOW = [
    b"3e-310",
    b"-5E-324",
    b"1e308",
    b"1.7976931348623157e+308",
    b"3e-0000000310",
    b"300000000e-318",
    b"12345678901234567890e-99",
    b"0.12345678901234567891e9",
]
QUICK = [
    b"1e-05",
    b"1e-005",
    b"-1.2345678901234567e-05",
    b"1.234567890123456789e+01",
    b"0E0",
    b"0.1",
]
TEXT = Signature(columns=(Column(name="eel", kind="text"),), target="")


@pytest.fixture
def nothing_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> NoReturn:
        raise AssertionError("a document was decoded")

    for name in ("infer._REQUEST", "rows._ROWS", "rows._NUMBERS"):
        monkeypatch.setattr(f"fairlead.serving.protocol.{name}", SimpleNamespace(decode=decode))


def column(cell: bytes, count: int, name: bytes = b"CRIM") -> bytes:
    return b'{"columns":["%b"],"rows":%b}' % (name, flat(b"[%b]" % cell, count))


@pytest.mark.usefixtures("nothing_decoded")
@pytest.mark.parametrize("number", SLOW)
def test_many_numbers_that_take_long_are_refused_before_one_is_read(number: bytes) -> None:
    for document in (column(number, 10_001), tensor(flat(number, 10_002), 10_002)):
        with pytest.raises(TooLarge, match="holds more than 10000 numbers with an exponent"):
            parse(document, NUMBERS)


@pytest.mark.parametrize("number", [*SLOW, *QUICK])
def test_a_few_numbers_that_take_long_are_read_as_any(number: bytes) -> None:
    strict.check_exponents(column(number, 10_000))


@pytest.mark.parametrize("number", QUICK)
def test_numbers_of_small_exponents_may_be_many(number: bytes) -> None:
    strict.check_exponents(column(number, 30_000))


def test_texts_that_look_like_numbers_that_take_long_may_be_many() -> None:
    document = column(rb'"e123 \" 1e-310"', 30_000, b"eel")
    assert parse_rows(document, TEXT, missing=False, most_rows=30_000).rows == 30_000


def test_the_data_of_a_large_tensor_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    flat_decoder, decoded = DATATYPES["FP64"].flat, []

    def decode(data: msgspec.Raw) -> object:
        decoded.append(data)
        return flat_decoder.decode(data)

    kind = replace(DATATYPES["FP64"], flat=SimpleNamespace(decode=decode))  # type: ignore[arg-type] # counts
    monkeypatch.setattr(tensors, "datatype", lambda _: kind)
    for data in (flat(b"0.125", 80_000, b"1e20"), flat(b"0.1", 80_001), flat(b"1", 80_000, b'"x"')):
        decoded.clear()
        with pytest.raises(Invalid):
            parse(tensor(data, 80_000), NUMBERS)
        assert len(decoded) == 1


# ---- keys outside of texts ------------------------------------------------------------------

TEXTS = st.text(st.sampled_from('\\":{}[],a'), max_size=6)


def keys_of(document: Any) -> int:
    match document:
        case dict():
            return len(document) + sum(map(keys_of, document.values()))
        case list():
            return sum(map(keys_of, document))
    return 0


@given(
    st.recursive(
        st.none() | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    ),
    st.integers(0, 40),
)
def test_keys_are_told_from_texts_wherever_a_document_is_taken_apart(
    document: Any, before: int
) -> None:
    pad = b" " * ((1 << 16) - before)
    assert strict.keys(pad + json.dumps(document).encode()) == keys_of(document)
