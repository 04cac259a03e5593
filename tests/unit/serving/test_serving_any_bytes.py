"""Properties: whatever is sent, and however it is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fairlead.errors import Invalid
from fairlead.records import Column, Signature
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.infer import parse_infer, render_infer
from fairlead.serving.protocol.rows import parse_rows

MIXED = Signature(
    columns=(
        Column(name="RM", kind="number"),
        Column(name="town", kind="text"),
        Column(name="AGE", kind="number"),
    ),
    target="MEDV",
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMERIC = sorted(set(DATATYPES) - {"BYTES"})
LIMIT = 2**53


def tensors(rows: int, numbers: Any, towns: list[str]) -> list[dict[str, Any]]:
    return [
        {"name": "numbers", "shape": [rows, 2], "datatype": "FP32", "data": numbers},
        {"name": "text", "shape": [rows, 1], "datatype": "BYTES", "data": towns},
    ]


def packed(towns: list[str]) -> bytes:
    encoded = [town.encode() for town in towns]
    return b"".join(len(town).to_bytes(4, "little") + town for town in encoded)


def parsed(body: bytes, length: int | None = None) -> dict[str, NDArray[Any]]:
    return parse_infer(body, length, MIXED, missing=True, most_rows=1_000).inputs


def same(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return (
        one["numbers"].tobytes() == other["numbers"].tobytes()
        and one["text"].tolist() == other["text"].tolist()
    )


@settings(deadline=None)
@given(st.data(), st.integers(1, 5))
def test_the_same_values_make_the_same_tensors_however_they_are_written(
    data: Any, rows: int
) -> None:
    numbers = data.draw(arrays("<f4", (rows, 2), elements=FLOATS))
    towns = data.draw(st.lists(TEXTS, min_size=rows, max_size=rows))
    nested = numbers.astype(float).tolist()
    forms = [
        json.dumps({"inputs": tensors(rows, numbers.astype(float).ravel().tolist(), towns)}),
        json.dumps({"inputs": tensors(rows, nested, towns)}, indent=1),
    ]
    found = [parsed(form.encode()) for form in forms]
    rows_by_name = [{"RM": a, "town": t, "AGE": b} for (a, b), t in zip(nested, towns, strict=True)]
    plain = [
        {"rows": rows_by_name},
        {
            "columns": ["town", "AGE", "RM"],
            "rows": [[r["town"], r["AGE"], r["RM"]] for r in rows_by_name],
        },
    ]
    found += [
        parse_rows(json.dumps(one).encode(), MIXED, missing=True, most_rows=100).inputs
        for one in plain
    ]
    content = numbers.tobytes() + packed(towns)
    sizes = (numbers.nbytes, len(content) - numbers.nbytes)
    inputs = tensors(rows, None, [])
    for one, size in zip(inputs, sizes, strict=True):
        del one["data"]
        one["parameters"] = {"binary_data_size": size}
    document = json.dumps({"inputs": inputs}).encode()
    found.append(parsed(document + content, len(document)))
    assert all(same(found[0], other) for other in found[1:])


@settings(deadline=None)
@given(data=st.data(), datatype=st.sampled_from(NUMERIC), nested=st.booleans())
def test_every_datatype_is_the_same_in_json_and_in_binary(
    data: Any, datatype: str, *, nested: bool
) -> None:
    kind = DATATYPES[datatype]
    if kind.floating:
        elements = st.floats(allow_nan=False, allow_infinity=False, width=kind.stored.itemsize * 8)
        elements = elements.filter(lambda value: abs(value) < 3.4e38)
    else:
        elements = st.integers(max(int(kind.low), -LIMIT), min(int(kind.high), LIMIT))
    array = data.draw(arrays(kind.stored, (3, 1), elements=elements))
    values = array.astype(bool) if datatype == "BOOL" else array
    listed = values.tolist() if nested else values.ravel().tolist()
    kept = "boolean" if datatype == "BOOL" else None
    signature = Signature(columns=(Column(name="x", kind="number", type=kept),), target="y")
    head = {"name": "x", "shape": [3, 1], "datatype": datatype}
    in_json = json.dumps({"inputs": [{**head, "data": listed}]}).encode()
    size = {"binary_data_size": array.nbytes}
    document = json.dumps({"inputs": [{**head, "parameters": size}]}).encode()
    found = [
        parse_infer(body, length, signature, missing=False, most_rows=3).inputs["numbers"]
        for body, length in ((in_json, None), (document + array.tobytes(), len(document)))
    ]
    expected = (array.astype(np.float64) + 0.0).astype(np.float32)
    assert [one.tobytes() for one in found] == [expected.tobytes()] * 2


def only_refused(parse: Any) -> None:
    """Any other error fails the test."""
    found = refused = None
    try:
        found = parse()
    except Invalid as error:
        refused = str(error)
    if refused is not None:
        assert "\n" not in refused
        assert refused.encode()  # it can be sent: no half of a character
        return
    assert found
    assert found.inputs["numbers"].shape == (found.rows, 2)
    assert found.inputs["text"].shape == (found.rows, 1)
    assert np.isfinite(found.inputs["numbers"]).all()
    for text in found.inputs["text"].ravel():
        assert text.encode() is not None


def every_way(body: bytes, length: int | None) -> None:
    only_refused(lambda: parse_infer(body, length, MIXED, missing=False, most_rows=5))
    only_refused(lambda: parse_rows(body, MIXED, missing=False, most_rows=5))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.none() | st.integers(-1, 210))
def test_no_bytes_whatsoever_raise_anything_but_a_refusal(body: bytes, length: int | None) -> None:
    every_way(body, length)


GOOD_ROWS = (
    b'{"rows": [{"RM": 6.5, "town": "Salem: \\u00e4", "AGE": 9007199254740991}], '
    b'"columns": ["RM", "town", "AGE"]}'
)
GOOD_INFER = json.dumps(
    {
        "id": "a",
        "inputs": tensors(2, [1.5, -2, 1e30, 3], ["Salem", None]),  # type: ignore[list-item]
        "outputs": [{"name": "prediction", "parameters": {"binary_data": True}}],
        "parameters": {"binary_data_output": False},
    }
).encode()
_HEAD = json.dumps(
    {
        "inputs": [
            {
                "name": "town",
                "shape": [2],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": 12},
            },
            {
                "name": "RM",
                "shape": [2, 1],
                "datatype": "FP32",
                "parameters": {"binary_data_size": 8},
            },
            {
                "name": "AGE",
                "shape": [2],
                "datatype": "INT64",
                "parameters": {"binary_data_size": 16},
            },
        ]
    }
).encode()
GOOD_BINARY = _HEAD + packed(["ab", "cd"]) + bytes(24)
PIECES = st.sampled_from(
    [
        b"",
        b"null",
        b"true",
        b"NaN",
        b"-0",
        b"1e999",
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b",",
        b":",
        b"\\",
        b"\\ud800",
        b"\xff",
        b"\x00",
        b"9" * 30,
        b"-1",
        b'"RM":1,',
        b'"town":5,',
        b"[[1]]",
        b"1.0",
        b"{}",
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from([GOOD_ROWS, GOOD_INFER, GOOD_BINARY]),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 6), PIECES), min_size=1, max_size=4),
    st.integers(-2, 2),
)
def test_no_mutation_of_a_good_request_raises_anything_but_a_refusal(
    body: bytes, cuts: list[tuple[int, int, bytes]], shift: int
) -> None:
    length = len(_HEAD) + shift if body is GOOD_BINARY else None
    for at, size, piece in cuts:
        start = at % len(body)
        body = body[:start] + piece + body[start + size :]
    every_way(body, length)


def test_the_requests_that_are_mutated_are_good() -> None:
    assert parsed(GOOD_INFER)["text"].tolist() == [["Salem"], [""]]
    assert parsed(GOOD_BINARY, len(_HEAD))["text"].tolist() == [["ab"], ["cd"]]
    good = GOOD_ROWS.replace(b', "columns": ["RM", "town", "AGE"]', b"")
    assert parse_rows(good, MIXED, missing=False, most_rows=5).rows == 1


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "rows",
                        "columns",
                        "inputs",
                        "name",
                        "shape",
                        "datatype",
                        "data",
                        "RM",
                        "town",
                        "AGE",
                        "id",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    )
)
def test_no_document_raises_anything_but_a_refusal(document: Any) -> None:
    every_way(json.dumps(document).encode(), None)


@settings(deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)
)
def test_a_prediction_in_json_is_the_prediction_to_the_last_bit(values: list[float]) -> None:
    signature = Signature(columns=(Column(name="x", kind="number"),), target="y")
    rows = len(values)
    asked = {"name": "x", "shape": [rows], "datatype": "FP32", "data": [1] * rows}
    infer = parse_infer(
        json.dumps({"inputs": [asked]}).encode(), None, signature, missing=False, most_rows=20
    )
    body, _ = render_infer(
        infer, np.array(values), model="m", version="1", revision="v1", signature=signature
    )
    found = np.array(json.loads(body)["outputs"][0]["data"]).astype(np.float32)
    assert found.tobytes() == np.array(values, np.float32).tobytes()


@pytest.mark.parametrize("text", [chr(code) for code in (0, 0x85, 0xA0, 0x2028, 0x10FFFF)])
def test_odd_characters_are_text_like_any_other(text: str) -> None:
    body = json.dumps({"rows": [{"RM": 1, "town": f"a{text}b", "AGE": 1}]}).encode()
    assert parse_rows(body, MIXED, missing=False, most_rows=1).inputs["text"].tolist() == [
        [f"a{text}b"]
    ]
