"""Truth values, numbers used as text and dates: one value, however a request writes it.

What is right is computed by pandas, and is what `read_rows` reads of a file of the same rows.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fairlead.data.dates import parts
from fairlead.data.lexicon import MISSING
from fairlead.data.rows import read_rows
from fairlead.errors import Invalid, InvalidData, TooLarge
from fairlead.inference import _inputs
from fairlead.records import Column, Signature
from fairlead.serving.protocol import strict
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.infer import model_metadata, parse_infer
from fairlead.serving.protocol.rows import parse_rows

Inputs = Mapping[str, NDArray[Any]]
Row = dict[str, Any]

SIGNATURE = Signature(
    columns=(
        Column(name="zip", kind="text", type="number"),
        Column(name="RM", kind="number"),
        Column(name="sold", kind="number", type="boolean"),
        Column(name="town", kind="text"),
        Column(name="when", kind="date"),
        Column(name="AGE", kind="number"),
        Column(name="new", kind="text", type="boolean"),
    ),
    target="MEDV",
    missing=("", "NA", "999"),
)
NUMBERS = ["RM", "sold", *(f"when.{part}" for part in ("year", "month", "dayofweek", "hour"))]
NUMBERS += ["when.days", "AGE"]
TEXT = ["zip", "town", "new"]
ROW: Row = {
    "zip": 2138,
    "RM": 6.5,
    "sold": True,
    "town": "Salem",
    "when": "2020-01-31T18:30",
    "AGE": 65,
    "new": False,
}
SLOWLY: Row = {"AGE": 1e20}  # makes a document need a second look


def as_rows(rows: Sequence[Row]) -> bytes:
    return json.dumps({"rows": rows}).encode()


def as_arrays(rows: Sequence[Row]) -> bytes:
    names = [*rows[0]][::-1]
    return json.dumps(
        {"columns": names, "rows": [[row[n] for n in names] for row in rows]}
    ).encode()


def as_large_rows(rows: Sequence[Row]) -> bytes:
    return as_rows(rows) + b" " * strict.CLOSELY


def parse(body: bytes, *, missing: bool = True, signature: Signature = SIGNATURE) -> Inputs:
    return parse_rows(body, signature, missing=missing, most_rows=10_000).inputs


def infer(
    inputs: Sequence[Row], binary: bytes = b"", *, missing: bool = True, most_rows: int = 10_000
) -> Inputs:
    document = json.dumps({"inputs": inputs}).encode()
    length = len(document) if binary else None
    found = parse_infer(document + binary, length, SIGNATURE, missing=missing, most_rows=most_rows)
    return found.inputs


def tensor(name: str, datatype: str, data: Sequence[Any], width: int = 0) -> Row:
    shape = [len(data) // width, width] if width else [len(data)]
    return {"name": name, "datatype": datatype, "shape": shape, "data": list(data)}


def packed(name: str, datatype: str, data: Sequence[Any], width: int = 0) -> tuple[Row, bytes]:
    """The same tensor with its data in binary."""
    made = tensor(name, datatype, data, width)
    del made["data"]
    content = (
        b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)
        if datatype == "BYTES"
        else np.array(data, STORED[datatype]).tobytes()
    )
    return {**made, "parameters": {"binary_data_size": len(content)}}, content


STORED = {
    "BOOL": "u1",
    "INT8": "<i1",
    "INT64": "<i8",
    "UINT64": "<u8",
    "FP32": "<f4",
    "FP64": "<f8",
}
STORED |= {"FP16": "<f2"}


def column_of(inputs: Inputs, name: str) -> list[Any]:
    """What the model gets of one column."""
    if name in TEXT:
        return list(inputs["text"][:, TEXT.index(name)])
    at = [place for place, n in enumerate(NUMBERS) if n.split(".")[0] == name]
    return [tuple(row) if len(at) > 1 else row[0] for row in inputs["numbers"][:, at].tolist()]


def parts_by_pandas(text: str) -> tuple[float, ...]:
    moment = pd.Timestamp(text)
    if moment.tz is not None:
        moment = moment.tz_convert("UTC").tz_localize(None)
    days = (moment.normalize() - pd.Timestamp(0)).days
    return moment.year, moment.month, moment.day_of_week, moment.hour, days


# ---- plain rows -----------------------------------------------------------------------------

CODES = [
    *((written, "1") for written in ("1", "1.0", '"1"', '"1.0"', '"+1"', '"01"', "1e0", '" 1 "')),
    *((written, "1.5") for written in ("1.5", '"1.50"', "15e-1", '"+1.5"')),
    *((written, "0") for written in ("0", "-0", "-0.0", '"00"', '"-0"')),
    *((written, "") for written in ("null", '"NA"', '""', '" "', '"999"', "999", "999.0")),
    ("9007199254740993", "9007199254740993"),
    ('"9007199254740993"', "9007199254740993"),
    ("-36893488147419103233", "-36893488147419103233"),
    ('"' + "9" * 5_000 + '"', "9" * 5_000),
    ("9" * 5_000, "9" * 5_000),
    ("1e400", "1e400"),
    ("true", "True"),
    ('"a1"', "a1"),
    ('"1,5"', "1,5"),
    ('"nan"', "nan"),
]
TRUTHS = [
    *((written, 1.0) for written in ("true", "1", "1.0", "1e0")),
    *((written, 0.0) for written in ("false", "0", "0.0", "-0", "-0.0")),
    ("null", None),
]
TRUTH_TEXTS = [
    *((written, "True") for written in ("true", '"true"', '"True"', '"TRUE"', "1", "1.0", '"01"')),
    *((written, "False") for written in ("false", '"false"', '" FALSE "', "0", "-0", '"0.0"')),
    *((written, "2") for written in ("2", "2.0", '"2"', '"2.00"')),
    *((written, "") for written in ("null", '"NA"', '""')),
    ('"yes"', "yes"),
]
DATES = [
    "2020-01-31",
    "2020-02-29T18:30",
    "1969-12-31T23:59:59.999999",
    "2020-01-31 18:30:00",
    "2024-03-01T00:30:00+02:00",
    "2024-03-01T00:30:00Z",
    "1700-01-01",
    " 2020-01-31 ",
]


def written_rows(name: str, cell: str, **more: Any) -> bytes:
    row = json.dumps({**ROW, name: "HERE", **more})
    return b'{"rows":[' + row.replace('"HERE"', cell).encode() + b"]}"


def written_arrays(name: str, cell: str, **more: Any) -> bytes:
    row = {**ROW, name: "HERE", **more}
    values = json.dumps([*row.values()]).replace('"HERE"', cell)
    return f'{{"columns":{json.dumps([*row])},"rows":[{values}]}}'.encode()


def written_largely(name: str, cell: str, **more: Any) -> bytes:
    return written_rows(name, cell, **more) + b" " * strict.CLOSELY


Form = Callable[..., bytes]
FORMS = pytest.mark.parametrize(
    ("form", "more"),
    [
        (written_rows, {}),
        (written_arrays, {}),
        (written_rows, SLOWLY),
        (written_arrays, SLOWLY),
        (written_largely, {}),
    ],
    ids=["rows", "arrays", "rows read slowly", "arrays read slowly", "a large document"],
)


def _fits(form: Form, cell: str) -> bool:
    """A number that the decoder has no place for is read slowly, and so not in large documents."""
    return form is not written_largely or cell not in {"1e400", "9" * 5_000}


@FORMS
@pytest.mark.parametrize(("cell", "code"), CODES, ids=lambda value: str(value)[:12])
def test_a_number_used_as_text_is_one_text(form: Form, more: Row, cell: str, code: str) -> None:
    if _fits(form, cell):
        assert column_of(parse(form("zip", cell, **more)), "zip") == [code]


@FORMS
@pytest.mark.parametrize(("cell", "truth"), TRUTHS)
def test_a_truth_value_is_1_or_0(form: Form, more: Row, cell: str, truth: float | None) -> None:
    wanted = np.array([truth], float)
    np.testing.assert_array_equal(column_of(parse(form("sold", cell, **more)), "sold"), wanted)
    assert not np.signbit(parse(form("sold", cell, **more))["numbers"][:, 1]).any()


@FORMS
@pytest.mark.parametrize(("cell", "text"), TRUTH_TEXTS)
def test_a_truth_value_used_as_text_is_one_text(
    form: Form, more: Row, cell: str, text: str
) -> None:
    assert column_of(parse(form("new", cell, **more)), "new") == [text]


@FORMS
@pytest.mark.parametrize("date", DATES)
def test_a_date_is_its_parts(form: Form, more: Row, date: str) -> None:
    found = column_of(parse(form("when", json.dumps(date), **more)), "when")
    assert found == [parts_by_pandas(date.strip())]


@FORMS
@pytest.mark.parametrize("cell", ["null", '""', '" "'])
def test_a_missing_date_has_missing_parts(form: Form, more: Row, cell: str) -> None:
    assert np.isnan(column_of(parse(form("when", cell, **more)), "when")).all()


@FORMS
@pytest.mark.parametrize(
    ("name", "cell", "told"),
    [
        ("sold", "2", "2 is no truth value (true, false, 1 or 0)"),
        ("sold", "0.5", "0.5 is no truth value"),
        ("sold", "1" * 400, "is no truth value"),
        ("sold", '"true"', "'true' is text, not a truth value; a truth value is written without"),
        ("sold", '"1"', "'1' is text, not a truth value"),
        ("when", '"31.01.2020"', "'31.01.2020' is no date of ISO 8601"),
        ("when", '"2020-02-30"', "'2020-02-30' is no date of ISO 8601"),
        ("when", '"2020-W05-1"', "is no date of ISO 8601"),
        ("when", '"20200131"', "is no date of ISO 8601"),
        ("when", '"0001-01-01T00:00+23:00"', "is no date of ISO 8601"),
        ("when", '"NA"', "'NA' is no date of ISO 8601"),
        ("when", "1577836800000", "1577836800000 is no date; a date is a text of ISO 8601"),
        ("when", "true", "true is no date"),
        ("RM", "true", "true is a truth value, not a number; write 1"),
    ],
)
def test_what_a_column_does_not_hold_is_refused_at_the_cell(
    form: Form, more: Row, name: str, cell: str, told: str
) -> None:
    with pytest.raises(Invalid) as caught:
        parse(form(name, cell, **more))
    message = str(caught.value)
    assert message.startswith(f"row 1, column {name!r}: ")
    assert told in message
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize("name", ["zip", "sold", "when", "new"])
@pytest.mark.parametrize("cell", ["[1]", "{}"])
def test_an_array_or_an_object_is_no_value(name: str, cell: str) -> None:
    with pytest.raises(Invalid, match=f"row 1, column '{name}': an array or an object is no value"):
        parse(written_rows(name, cell))


@FORMS
@pytest.mark.parametrize(("name", "what"), [("when", "date"), ("sold", "truth value")])
def test_what_is_missing_is_refused_where_the_model_takes_none(
    form: Form, more: Row, name: str, what: str
) -> None:
    told = f"row 1, column '{name}': the {what} is missing, and the model was trained without"
    with pytest.raises(Invalid, match=told):
        parse(form(name, "null", **more), missing=False)


def test_the_row_is_named_where_several_are_sent() -> None:
    rows = [ROW, {**ROW, "when": None}, {**ROW, "when": "soon"}]
    with pytest.raises(Invalid, match="row 3, column 'when': 'soon' is no date"):
        parse(as_rows(rows))
    with pytest.raises(Invalid, match="row 2, column 'when': the date is missing"):
        parse(as_rows(rows[:2]), missing=False)


def test_a_part_of_a_date_is_no_column_of_a_row() -> None:
    with pytest.raises(Invalid, match=r"no column 'when\.year'; did you mean"):
        parse(as_rows([{**ROW, "when.year": 2020}]))


def test_equal_numbers_and_truth_values_in_one_column_stay_apart() -> None:
    cells = [1, True, 1.0, "1", 2**60, float(2**60), None, 0, False]
    found = column_of(parse(as_rows([{**ROW, "zip": cell} for cell in cells])), "zip")
    assert found == ["1", "True", "1", "1", str(2**60), repr(2.0**60), "", "0", "False"]


def test_texts_are_missing_as_the_version_recorded_it() -> None:
    for missing, wanted in ((("",), "NA"), (("", "NA"), ""), ((), "NA"), (None, ""), (MISSING, "")):
        signature = replace(SIGNATURE, missing=missing)
        found = parse(as_rows([{**ROW, "town": "NA", "zip": "NA"}]), signature=signature)
        assert [column_of(found, name) for name in ("town", "zip")] == [[wanted], [wanted]]


@pytest.mark.parametrize("more", [{}, SLOWLY])
def test_a_model_of_nothing_else_is_asked_alike(more: Row) -> None:
    for column, cell, wanted in (
        (Column(name="when", kind="date"), "1970-01-02", [[1970, 1, 4, 0, 1]]),
        (Column(name="sold", kind="number", type="boolean"), True, [[1]]),
    ):
        signature = Signature(columns=(column,), target="y")
        body = as_rows([{column.name: cell}])
        assert parse(body, signature=signature)["numbers"].tolist() == wanted
        assert parse(body, signature=signature)["numbers"].dtype == np.float32
        assert parse(body, signature=signature).keys() == {"numbers"}


# ---- fast, slow, and files ------------------------------------------------------------------

NUMBER = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-3, 3).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.0", "0.0", "-0", "-0.0", "1e0", "2.50", "12E1", "1.10e1"]),
)
WORD = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.from_regex(r"\A ?[+-]?0{0,2}[0-9]{0,3}(\.[0-9]{0,2})?(e[0-9])? ?\Z"),
    st.sampled_from(["true", "TRUE", " False", "NA", "999", "None", "1_000", "٣"]),
).map(json.dumps)
MOMENT = st.one_of(
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.dates().map(str),
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}(:[0-9]{2}){0,2}(Z|[+-]05:00)?)?\Z"),
    st.text(max_size=12).filter(str.isprintable),
).map(json.dumps)
BARE = st.sampled_from(["true", "false", "null"])
CELLS = {"zip": NUMBER | WORD | BARE, "new": NUMBER | WORD | BARE}
CELLS |= {"sold": NUMBER | BARE, "when": MOMENT | st.just("null"), "town": NUMBER | WORD | BARE}


def read(body: bytes) -> Inputs | str:
    try:
        return parse(body)
    except Invalid as error:
        return str(error)


def same(one: Inputs, other: Inputs) -> bool:
    return (
        one["numbers"].tobytes() == other["numbers"].tobytes()
        and one["text"].tolist() == other["text"].tolist()
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=4))
@example([{"zip": "1", "new": "1", "sold": "1", "when": '"2020-01-31"', "town": "true"}])
@example([{"zip": "1", "new": "2.0", "sold": "2", "when": '"\\u0662020-01-31"', "town": '"a"'}])
def test_the_fast_and_the_slow_reader_read_what_a_file_of_these_rows_says(
    rows: list[dict[str, str]],
) -> None:
    def lines(age: str) -> list[str]:
        return [
            "{" + ",".join(f'"{n}":{c}' for n, c in {"RM": "1", "AGE": age, **row}.items()) + "}"
            for row in rows
        ]

    fast, slow = (read(b'{"rows":[%b]}' % ",".join(lines(age)).encode()) for age in ("0", "1e20"))
    expected = of_a_file("\n".join(lines("0")).encode())
    if expected is None:
        assert isinstance(fast, str)
        assert isinstance(slow, str)
        return
    assert not isinstance(fast, str), fast
    assert not isinstance(slow, str), slow
    assert same(fast, expected)
    slow["numbers"][:, -1] = 0
    assert same(slow, expected)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOMENT | st.just("null"), min_size=1, max_size=3))
@example(['"2020-W05-1"', "null"])
@example(['"20200131"'])
@example(['"0001-01-01T00:00+23:00"'])
def test_many_dates_are_read_as_each_alone(moments: list[str]) -> None:
    cells = [json.loads(moment) for moment in moments] * 24
    signature = Signature(columns=(Column(name="when", kind="date"),), target="y")
    body = json.dumps({"columns": ["when"], "rows": [[cell] for cell in cells]}).encode()
    try:
        wanted = [parts((cell or "").strip()) for cell in cells]
    except ValueError as error:
        with pytest.raises(Invalid, match=re.escape(str(error))):
            parse(body, signature=signature)
        return
    np.testing.assert_array_equal(parse(body, signature=signature)["numbers"], wanted)


def of_a_file(lines: bytes) -> Inputs | None:
    """What predict reads of JSON lines; None where it refuses them."""
    try:
        return _inputs(read_rows(BytesIO(lines), SIGNATURE, format="jsonl"), SIGNATURE)
    except InvalidData:
        return None


# ---- the Open Inference Protocol ------------------------------------------------------------

BY_COLUMN = {
    "RM": ("FP32", [6.5, 5.0, 4.0]),
    "AGE": ("FP64", [65.0, 1.0, 2.0]),
    "town": ("BYTES", ["Salem", "NA", "999"]),
    "zip": ("INT64", [1, 2**60 + 1, 999]),
    "sold": ("BOOL", [True, False, True]),
    "when": ("BYTES", ["2020-01-31", "1969-12-31T23:00:00-02:00", "2024-02-29T18:30"]),
    "new": ("BYTES", ["true", "FALSE", "1"]),
}
WANTED = {
    "zip": ["1", str(2**60 + 1), ""],
    "sold": [1, 0, 1],
    "when": [*map(parts_by_pandas, BY_COLUMN["when"][1])],
    "new": ["True", "False", "True"],
    "town": ["Salem", "", ""],
    "RM": [6.5, 5, 4],
    "AGE": [65, 1, 2],
}


def by_column(
    *, binary: bool, missing: bool = True, **changed: tuple[str, Sequence[Any]]
) -> Inputs:
    sent = {**BY_COLUMN, **changed}
    if not binary:
        return infer([tensor(name, *one) for name, one in sent.items()], missing=missing)
    parts = [packed(name, *one) for name, one in sent.items()]
    return infer([head for head, _ in parts], b"".join(c for _, c in parts), missing=missing)


IN_JSON_AND_BINARY = pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary"])


@IN_JSON_AND_BINARY
def test_truth_values_are_no_numbers(*, binary: bool) -> None:
    with pytest.raises(Invalid, match="input 'RM': it is BOOL; the model wants numbers here"):
        by_column(binary=binary, RM=("BOOL", [True, False, True]))


@IN_JSON_AND_BINARY
def test_a_tensor_of_numbers_and_truth_values_is_not_of_truth_values(*, binary: bool) -> None:
    wanted = "input 'numbers': it is BOOL; the model wants numbers here, as in column 'RM'"
    with pytest.raises(Invalid, match=wanted):
        truths([True, False], SOLD_AND_ROOMS, binary=binary)


@IN_JSON_AND_BINARY
def test_a_tensor_of_truth_values_may_say_so(*, binary: bool) -> None:
    assert truths([True, False], SOLD_AND_NEW, binary=binary).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("binary", "odd", "told"),
    [(True, 2, "2 is no BOOL"), (False, 1, "1 is no BOOL"), (False, None, "null is no BOOL")],
)
def test_what_is_no_bool_is_refused_at_its_place(*, binary: bool, odd: Any, told: str) -> None:
    with pytest.raises(Invalid, match=f"input 'numbers', row 1, column 'new': {told}"):
        truths([True, odd], SOLD_AND_NEW, binary=binary)


SOLD_AND_ROOMS = Signature(
    columns=(
        Column(name="sold", kind="number", type="boolean"),
        Column(name="RM", kind="number"),
    ),
    target="MEDV",
)
SOLD_AND_NEW = Signature(
    columns=tuple(Column(name=name, kind="number", type="boolean") for name in ("sold", "new")),
    target="MEDV",
)


def truths(data: Sequence[Any], signature: Signature, *, binary: bool) -> NDArray[Any]:
    head: Row = {"name": "numbers", "datatype": "BOOL", "shape": [1, len(data)]}
    content = bytes(map(int, data)) if binary else b""
    head |= {"parameters": {"binary_data_size": len(content)}} if binary else {"data": data}
    document = json.dumps({"inputs": [head]}).encode()
    length = len(document) if binary else None
    found = parse_infer(document + content, length, signature, missing=False, most_rows=10)
    return found.inputs["numbers"]


@IN_JSON_AND_BINARY
def test_each_column_may_be_an_input(*, binary: bool) -> None:
    found = by_column(binary=binary)
    assert {name: column_of(found, name) for name in WANTED} == WANTED


@IN_JSON_AND_BINARY
@pytest.mark.parametrize(
    ("datatype", "data", "wanted"),
    [
        ("BYTES", ["1.0", "+01", "NA"], ["1", "1", ""]),
        ("INT8", [1, -7, 0], ["1", "-7", "0"]),
        ("UINT64", [1, 2**64 - 1, 999], ["1", str(2**64 - 1), ""]),
        ("FP16", [1, 0.1, -0.0], ["1", "0.1", "0"]),
        ("FP32", [1, 0.1, 16777216], ["1", "0.1", "16777216"]),
        ("FP64", [1, 0.1, 1.5], ["1", "0.1", "1.5"]),
        ("BOOL", [True, False, True], ["True", "False", "True"]),
    ],
)
def test_codes_may_be_of_any_datatype(
    datatype: str, data: Sequence[Any], wanted: list[str], *, binary: bool
) -> None:
    assert column_of(by_column(binary=binary, zip=(datatype, data)), "zip") == wanted


@IN_JSON_AND_BINARY
@pytest.mark.parametrize(
    ("datatype", "data"),
    [("BOOL", [True, False, True]), ("INT64", [1, 0, 1]), ("FP32", [1.0, -0.0, 1.0])],
)
def test_truth_values_may_be_of_any_datatype_of_numbers(
    datatype: str, data: Sequence[Any], *, binary: bool
) -> None:
    found = by_column(binary=binary, sold=(datatype, data), new=(datatype, data))
    assert column_of(found, "sold") == [1, 0, 1]
    assert column_of(found, "new") == ["True", "False", "True"]


def test_null_in_json_and_nan_in_binary_are_missing() -> None:
    in_json = by_column(
        binary=False,
        zip=("FP64", [None, 1, 2]),
        sold=("FP32", [None, 1, 0]),
        when=("BYTES", [None, *BY_COLUMN["when"][1][1:]]),
    )
    in_binary = by_column(
        binary=True,
        zip=("FP64", [np.nan, 1, 2]),
        sold=("FP32", [np.nan, 1, 0]),
        when=("BYTES", ["", *BY_COLUMN["when"][1][1:]]),
    )
    assert same(in_json, in_binary)
    assert column_of(in_json, "zip") == ["", "1", "2"]
    assert np.isnan(column_of(in_json, "sold")).tolist() == [True, False, False]
    assert np.isnan(column_of(in_json, "when")[0]).all()


@IN_JSON_AND_BINARY
@pytest.mark.parametrize(
    ("name", "one", "told"),
    [
        ("when", ("BYTES", ["2020-01-31", "soon", ""]), "row 2, column 'when': 'soon' is no date"),
        ("when", ("BYTES", ["2020-01-31", "", ""]), "row 2, column 'when': the date is missing"),
        ("when", ("INT64", [1, 2, 3]), "it is INT64; the model wants dates here, which are BYTES"),
        ("sold", ("INT64", [1, 2, 3]), "row 2, column 'sold': 2 is no truth value"),
        ("sold", ("FP32", [1, 0, 0.5]), "row 3, column 'sold': 0.5 is no truth value"),
        ("sold", ("BYTES", ["true"] * 3), "it is BYTES; the model wants truth values here"),
        ("town", ("INT64", [1, 2, 3]), "it is INT64; the model wants text here"),
    ],
)
def test_what_an_input_does_not_hold_is_refused(
    name: str, one: tuple[str, Sequence[Any]], told: str, *, binary: bool
) -> None:
    with pytest.raises(Invalid) as caught:
        by_column(binary=binary, missing=False, **{name: one})
    assert f"input {name!r}" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "data", "told"),
    [
        ("INT8", [1, 200, 3], "row 2, column 'zip': 200 is beyond INT8"),
        ("INT64", [1, 2**63, 3], "row 2, column 'zip': 9223372036854775808 is beyond INT64"),
        ("INT64", [1, 2.5, 3], "row 2, column 'zip': 2.5 is no whole number"),
        ("FP16", [1, 1e6, 3], "row 2, column 'zip': 1000000 is beyond FP16"),
        ("FP64", [1, "1", 3], "row 2, column 'zip': the text '1' is no FP64"),
        ("BOOL", [True, 1, False], "row 2, column 'zip': 1 is no BOOL"),
        ("BYTES", ["1", 1, "1"], "row 2, column 'zip': 1 is no text"),
    ],
)
def test_an_element_is_what_its_datatype_says(datatype: str, data: list[Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        by_column(binary=False, zip=(datatype, data))


def test_binary_elements_are_what_their_datatype_says() -> None:
    for datatype, data, told in (
        ("FP32", [1, np.inf, 2], "row 2, column 'zip': inf is not a finite number"),
        ("BOOL", [1, 2, 0], "row 2, column 'zip': 2 is no BOOL"),
    ):
        with pytest.raises(Invalid, match=told):
            by_column(binary=True, zip=(datatype, data))


def by_tensor(*, binary: bool, **changed: Any) -> Inputs:
    """Two rows as the model's own tensors: a date is its parts."""
    first = {
        "RM": 6.5,
        "sold": 1.0,
        **dict(zip(NUMBERS[2:7], [2020, 1, 4, 18, 18292], strict=True)),
    }
    numbers = [*({**first, "AGE": 65.0, **changed}[name] for name in NUMBERS)]
    numbers += [5, 0, 1969, 12, 2, 1, -1, 1]
    texts = ["1.0", "NA", "true", "0x1", "Salem", "FALSE"]
    sent = (("numbers", "FP32", numbers, len(NUMBERS)), ("text", "BYTES", texts, len(TEXT)))
    if not binary:
        return infer([tensor(*one) for one in sent])
    parts = [packed(*one) for one in sent]
    return infer([head for head, _ in parts], b"".join(content for _, content in parts))


@IN_JSON_AND_BINARY
def test_the_models_own_tensors_hold_the_parts_of_a_date(*, binary: bool) -> None:
    found = by_tensor(binary=binary)
    assert column_of(found, "when") == [
        *map(parts_by_pandas, ("2020-01-31T18:30", "1969-12-31T01"))
    ]
    assert column_of(found, "zip") == ["1", "0x1"]
    assert column_of(found, "town") == ["", "Salem"]
    assert column_of(found, "new") == ["True", "False"]
    assert column_of(found, "sold") == [1, 0]
    with pytest.raises(Invalid, match="input 'numbers', row 1, column 'sold': 2 is no truth value"):
        by_tensor(binary=binary, sold=2)


def test_the_models_own_tensors_fit_however_many_rows_may_be_asked() -> None:
    rows = 10_000
    numbers = tensor("numbers", "FP32", [1.0] * rows * len(NUMBERS), len(NUMBERS))
    text = tensor("text", "BYTES", ["1"] * rows * len(TEXT), len(TEXT))
    assert len(infer([numbers, text], most_rows=rows)["text"]) == rows


def test_the_metadata_says_which_columns_are_typed() -> None:
    numbers, text = model_metadata("boston", ["1"], SIGNATURE)["inputs"]
    assert numbers["shape"] == [-1, len(NUMBERS)]
    assert numbers["parameters"] == {
        "columns": NUMBERS,
        "dates": {"when": NUMBERS[2:7]},
        "booleans": ["sold"],
    }
    assert text["parameters"] == {"columns": TEXT, "booleans": ["new"], "codes": ["zip"]}
    plain = Signature(columns=(Column(name="x", kind="number"),), target="y")
    assert model_metadata("m", ["1"], plain)["inputs"][0]["parameters"] == {"columns": ["x"]}


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.datetimes().map(str),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(ROW, ANYTHING)), st.booleans())
def test_whatever_a_cell_holds_it_is_taken_or_refused_in_a_line(row: Row, missing: bool) -> None:  # noqa: FBT001 - drawn
    for cells in ({**ROW, name: cell} for name, cell in row.items()):
        for body in (as_rows([cells]), as_arrays([cells]), as_large_rows([cells] * 30)):
            with suppress(Invalid):
                found = parse(body, missing=missing)
                assert found["numbers"].shape[1] == len(NUMBERS)
                assert missing or np.isfinite(found["numbers"]).all()
                assert all(type(text) is str for text in found["text"].ravel())


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([*BY_COLUMN]),
    st.sampled_from([*DATATYPES]),
    st.lists(ANYTHING, min_size=3, max_size=3),
)
def test_whatever_an_element_is_it_is_taken_or_refused_in_a_line(
    name: str, datatype: str, data: list[Any]
) -> None:
    with suppress(Invalid):
        found = by_column(binary=False, **{name: (datatype, data)})
        assert found["numbers"].shape == (3, len(NUMBERS))
        assert not np.isinf(found["numbers"]).any()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*BY_COLUMN]), st.sampled_from([*DATATYPES]), st.binary(max_size=40))
def test_whatever_bytes_an_input_has_they_are_taken_or_refused_in_a_line(
    name: str, datatype: str, content: bytes
) -> None:
    parts = {n: packed(n, *one) for n, one in BY_COLUMN.items()}
    head = {"name": name, "datatype": datatype, "shape": [3]}
    parts[name] = ({**head, "parameters": {"binary_data_size": len(content)}}, content)
    with suppress(Invalid):
        found = infer([one for one, _ in parts.values()], b"".join(c for _, c in parts.values()))
        assert found["numbers"].shape == (3, len(NUMBERS))
        assert not np.isinf(found["numbers"]).any()


# ---- large documents ------------------------------------------------------------------------


def test_large_documents_of_typed_columns_are_read_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("a document was read slowly")

    rows = [
        {**ROW, "zip": cell, "sold": truth, "when": date, "new": truth, "town": truth}
        for cell, truth, date in zip(
            [1, 1.0, "01", None, 2.5] * 2_000,
            [True, False, 1, 0.0, None] * 2_000,
            ["2020-01-31", "2024-03-01T00:30:00Z", None, "", "1960-01-01T23:00"] * 2_000,
            strict=True,
        )
        if not isinstance(truth, float)
    ]
    body = as_rows(rows)
    assert len(body) > strict.CLOSELY
    expected = parse(as_rows(rows[:4]))
    monkeypatch.setattr(json, "loads", read)
    found = parse(body)
    assert len(found["numbers"]) == len(rows)
    assert same({name: values[:4] for name, values in found.items()}, expected)
    with pytest.raises(Invalid, match=f"row {len(rows)}, column 'when': 'soon' is no date"):
        parse(as_rows([*rows[:-1], {**ROW, "when": "soon"}]))
    with pytest.raises(TooLarge, match="closer look"):
        parse(as_rows([*rows, {**ROW, "town": 1.5}]))
