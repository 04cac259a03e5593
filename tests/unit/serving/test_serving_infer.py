from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fairlead.errors import Failed, Invalid, TooLarge
from fairlead.records import Column, Signature
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.infer import (
    Infer,
    model_metadata,
    parse_infer,
    render_infer,
    server_metadata,
)

NUMBERS = Signature(
    columns=(Column(name="CRIM", kind="number"), Column(name="RM", kind="number")), target="MEDV"
)
MIXED = Signature(
    columns=(
        Column(name="town", kind="text"),
        Column(name="RM", kind="number"),
        Column(name="RAD", kind="text"),
    ),
    target="MEDV",
)
CLASSES = Signature(columns=NUMBERS.columns, target="kind", classes=("no", "yes"))
ROW = {"name": "numbers", "shape": [1, 2], "datatype": "FP32", "data": [1, 6.5]}


def parse(
    document: object,
    signature: Signature = NUMBERS,
    *,
    binary: bytes = b"",
    missing: bool = False,
    most_rows: int = 100,
) -> Infer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    length = len(body) if binary else None
    return parse_infer(body + binary, length, signature, missing=missing, most_rows=most_rows)


def refusal(document: object, signature: Signature = NUMBERS, *, binary: bytes = b"") -> str:
    with pytest.raises(Invalid) as caught:
        parse(document, signature, binary=binary)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def asked(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": list(inputs), **more}


def numbers(data: Any, shape: list[int] | None = None, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": "numbers", "shape": shape or [1, 2], "datatype": datatype, "data": data}


def column(
    name: str, data: Any, datatype: str = "FP64", shape: list[int] | None = None
) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


def stored(
    array: NDArray[Any], datatype: str, name: str = "numbers", size: int | None = None
) -> dict[str, Any]:
    size = array.nbytes if size is None else size
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": datatype,
        "parameters": {"binary_data_size": size},
    }


def packed(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def texts(count: int, size: int) -> dict[str, Any]:
    return {
        "name": "text",
        "shape": [count, 2],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": size},
    }


# ---- inputs in JSON -------------------------------------------------------------------------


@pytest.mark.parametrize("data", [[1, 6.5, 2, 5], [[1, 6.5], [2, 5]]])
def test_data_is_flat_or_nested_row_by_row(data: Any) -> None:
    infer = parse(asked(numbers(data, [2, 2])))
    assert infer.rows == 2
    assert infer.inputs.keys() == {"numbers"}
    assert infer.inputs["numbers"].dtype == np.float32
    np.testing.assert_array_equal(infer.inputs["numbers"], [[1, 6.5], [2, 5]])


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_each_column_may_be_an_input_in_any_order(shape: list[int]) -> None:
    infer = parse(
        asked(
            column("RM", [6.5, 5], shape=shape),
            column("RAD", ["24", None], "BYTES", shape=shape),
            column("town", [" Salem", "NA"], "BYTES", shape=shape),
        ),
        MIXED,
    )
    np.testing.assert_array_equal(infer.inputs["numbers"], [[6.5], [5]])
    assert infer.inputs["text"].tolist() == [["Salem", "24"], ["", ""]]


def test_as_many_rows_as_may_be_asked_fit_however_they_are_laid_out() -> None:
    nested = [column(name, [[1.5]] * 1_000, shape=[1_000, 1]) for name in ("RM", "CRIM")]
    assert parse(asked(*nested), most_rows=1_000).rows == 1_000
    assert parse(asked(numbers([[1, 2]] * 1_000, [1_000, 2])), most_rows=1_000).rows == 1_000


def test_columns_of_several_datatypes_make_one_tensor() -> None:
    infer = parse(asked(column("RM", [1], "UINT16"), column("CRIM", [-7], "INT8")))
    np.testing.assert_array_equal(infer.inputs["numbers"], [[-7, 1]])


def test_a_column_called_like_a_tensor_is_found() -> None:
    signature = Signature(
        columns=(Column(name="numbers", kind="number"), Column(name="x", kind="number")), target="y"
    )
    by_column = parse(asked(column("x", [2]), column("numbers", [1])), signature)
    by_tensor = parse(asked(numbers([1, 2])), signature)
    np.testing.assert_array_equal(by_column.inputs["numbers"], [[1, 2]])
    np.testing.assert_array_equal(by_tensor.inputs["numbers"], [[1, 2]])


def test_a_byte_order_mark_before_the_document_is_ignored() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(asked(ROW)).encode()
    np.testing.assert_array_equal(parse(body).inputs["numbers"], [[1, 6.5]])


def test_a_byte_order_mark_counts_in_the_length_of_the_document_before_binary_data() -> None:
    array = np.array([[1, 6.5]], "<f4")
    body = b"\xef\xbb\xbf" + json.dumps(asked(stored(array, "FP32"))).encode()
    np.testing.assert_array_equal(parse(body, binary=array.tobytes()).inputs["numbers"], array)


def test_null_stands_for_a_missing_number() -> None:
    infer = parse(asked(numbers([None, 1])), missing=True)
    np.testing.assert_array_equal(infer.inputs["numbers"], [[np.nan, 1]])
    assert "row 1, column 'CRIM': the number is missing" in refusal(asked(numbers([None, 1])))


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BYTES", "BOOL"}))
def test_every_datatype_of_numbers_is_taken_to_its_bounds(datatype: str) -> None:
    kind = DATATYPES[datatype]
    low, high = max(kind.low, -(2.0**53), -3.4e38), min(kind.high, 2.0**53)
    infer = parse(
        asked(numbers([low, high] if kind.floating else [int(low), int(high)], None, datatype))
    )
    np.testing.assert_array_equal(infer.inputs["numbers"], np.array([[low, high]], np.float32))


@pytest.mark.parametrize(
    ("datatype", "value", "told"),
    [
        ("INT8", 128, "128 is beyond INT8"),
        ("UINT8", -1, "-1 is beyond UINT8"),
        ("UINT64", -1, "-1 is beyond UINT64"),
        ("INT64", 2**53 + 1, "9007199254740993 is a whole number beyond 2**53"),
        ("FP32", 2**53 + 1, "9007199254740993 is a whole number beyond 2**53"),
        ("FP64", 10**4000, "is beyond 3.4e38"),
        ("INT32", 1.5, "1.5 is no whole number, as INT32 is"),
        ("INT32", None, "null is no INT32"),
        ("INT32", True, "true is no INT32"),
        ("FP32", True, "true is no FP32"),
        ("FP32", "1", "the text '1' is no FP32"),
        ("FP32", [1], "elements"),
        ("FP32", {}, "an array or an object is no FP32"),
        ("FP16", 65536, "65536 is beyond FP16"),
        ("FP32", 3.5e38, "is beyond FP32"),
        ("FP64", 3.5e38, "beyond 3.4e38, the largest number of a model"),
    ],
)
def test_an_element_that_its_datatype_has_not_is_refused_with_its_place(
    datatype: str, value: Any, told: str
) -> None:
    document = numbers([1, 1, 1, value], [2, 2], datatype)
    message = refusal(asked(document))
    assert told in message
    assert "input 'numbers'" in message
    if told != "elements":
        assert "row 2, column 'RM'" in message


def test_a_whole_number_written_as_a_fraction_is_whole() -> None:
    assert parse(asked(numbers([1.0, 2e0], None, "INT16"))).inputs["numbers"].tolist() == [[1, 2]]


def test_fp16_in_json_is_rounded_as_fp16_in_binary_is() -> None:
    array = np.array([[0.1, 65504]], np.float16)
    in_binary = parse(asked(stored(array, "FP16")), binary=array.tobytes())
    in_json = parse(asked(numbers([0.1, 65504], None, "FP16")))
    np.testing.assert_array_equal(in_json.inputs["numbers"], in_binary.inputs["numbers"])


# ---- inputs in binary -----------------------------------------------------------------------


def test_binary_fp32_is_the_body_itself_and_not_a_copy() -> None:
    array = np.arange(6, dtype="<f4").reshape(3, 2)
    document = json.dumps(asked(stored(array, "FP32"))).encode()
    document += b" " * (-len(document) % 4)
    body = document + array.tobytes()
    infer = parse_infer(body, len(document), NUMBERS, missing=False, most_rows=10)
    found = infer.inputs["numbers"]
    np.testing.assert_array_equal(found, array)
    assert np.shares_memory(found, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize("shift", range(4))
def test_binary_fp32_at_any_address_is_aligned_for_the_model(shift: int) -> None:
    array = np.arange(6, dtype="<f4").reshape(3, 2)
    document = json.dumps(asked(stored(array, "FP32"))).encode() + b" " * shift
    body = document + array.tobytes()
    infer = parse_infer(body, len(document), NUMBERS, missing=False, most_rows=10)
    np.testing.assert_array_equal(infer.inputs["numbers"], array)
    assert infer.inputs["numbers"].flags.aligned


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BYTES", "BOOL"}))
def test_binary_data_of_every_datatype_of_numbers_is_taken(datatype: str) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(DATATYPES[datatype].stored)
    infer = parse(asked(stored(array, datatype)), binary=array.tobytes())
    np.testing.assert_array_equal(infer.inputs["numbers"], [[0, 1], [1, 0]])


def test_minus_zero_is_zero_in_binary_too() -> None:
    array = np.array([[-0.0, -1]], "<f4")
    found = parse(asked(stored(array, "FP32")), binary=array.tobytes()).inputs["numbers"]
    assert np.signbit(found).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("array", "datatype", "told"),
    [
        (np.array([[1, 2], [3, np.nan]], "<f4"), "FP32", "the number is missing"),
        (np.array([[1, 2], [3, np.inf]], "<f4"), "FP32", "inf is not a finite number"),
        (np.array([[1, 2], [3, -np.inf]], "<f8"), "FP64", "-inf is not a finite number"),
        (np.array([[1, 2], [3, 1e39]], "<f8"), "FP64", "1e+39 is beyond 3.4e38"),
        (np.array([[1, 2], [3, np.nan]], "<f2"), "FP16", "the number is missing"),
        (np.array([[1, 2], [3, -(2**53) - 1]], "<i8"), "INT64", "-9007199254740993 is a whole"),
        (np.array([[1, 2], [3, 2**64 - 1]], "<u8"), "UINT64", "18446744073709551615 is a whole"),
    ],
)
def test_a_binary_element_that_is_refused_is_told_with_its_place(
    array: NDArray[Any], datatype: str, told: str
) -> None:
    message = refusal(asked(stored(array, datatype)), binary=array.tobytes())
    assert f"input 'numbers', row 2, column 'RM': {told}" in message


@pytest.mark.parametrize("datatype", ["<f4", "<f8", "<f2"])
def test_nan_in_binary_is_missing_and_infinity_is_refused_all_the_same(datatype: str) -> None:
    name = f"FP{np.dtype(datatype).itemsize * 8}"
    array = np.array([[np.nan, 2]], datatype)
    infer = parse(asked(stored(array, name)), binary=array.tobytes(), missing=True)
    np.testing.assert_array_equal(infer.inputs["numbers"], [[np.nan, 2]])
    array = np.array([[np.nan, np.inf]], datatype)
    with pytest.raises(Invalid, match="column 'RM': inf is not a finite number"):
        parse(asked(stored(array, name)), binary=array.tobytes(), missing=True)


def test_binary_texts_are_read_with_their_lengths() -> None:
    content = packed(b"Salem", b"24", "Zürich ".encode(), b"")
    array = np.array([[1.0], [2.0]], "<f4")
    infer = parse(
        asked(texts(2, len(content)), stored(array, "FP32")),
        MIXED,
        binary=content + array.tobytes(),
    )
    assert infer.inputs["text"].tolist() == [["Salem", "24"], ["Zürich", ""]]
    assert infer.inputs["numbers"].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (packed(b"a", b"b")[:-1], "row 1, column 'RAD': 1 bytes of text, where 0 are left"),
        (packed(b"a"), "row 1, column 'RAD': the binary data ends after 5 bytes"),
        (packed(b"a", b"b", b"c"), "5 bytes are left over behind 2 texts"),
        (packed(b"a", b"\xff"), "row 1, column 'RAD': the text is not UTF-8 at its byte 0"),
        (b"\xff\xff\xff\xff", "row 1, column 'town': 4294967295 bytes of text"),
        (b"", "row 1, column 'town': the binary data ends after 0 bytes"),
    ],
)
def test_broken_binary_texts_are_refused_with_their_place(content: bytes, told: str) -> None:
    array = np.array([[1.0]], "<f4")
    document = asked(texts(1, len(content)), stored(array, "FP32"))
    assert told in refusal(document, MIXED, binary=content + array.tobytes())


# ---- requests that are refused --------------------------------------------------------------

F4 = np.zeros((1, 2), "<f4")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (asked(), "no inputs; it takes 'numbers' [rows, 2], or one input for each column"),
        ({}, "missing required field `inputs`"),
        ({"inputs": 5}, "Expected `array`, got `int` - at `$.inputs`"),
        ([], "Expected `object`"),
        (asked(ROW, ROW), "input 'numbers' is there twice"),
        (
            asked({**ROW, "name": "number"}),
            "input 'number': the model takes none of this name; did you mean",
        ),
        (asked({**ROW, "name": "zzz"}), "there is 'numbers', 'CRIM', 'RM'"),
        (asked(column("RM", [1])), "the model needs the input 'CRIM', which is not there"),
        (asked(ROW, column("RM", [1])), "not there"),
        (
            asked(column("RM", [1]), column("CRIM", [1, 2])),
            "'CRIM' has 2 rows, and input 'RM' has 1",
        ),
        (asked({**ROW, "datatype": "FP31"}), "'FP31' is no datatype; there are BOOL, INT8"),
        (asked({**ROW, "datatype": "BF16"}), "'BF16' is no datatype"),
        (
            asked({**ROW, "datatype": "BYTES", "data": ["a", "b"]}),
            "it is BYTES; the model wants numbers",
        ),
        (asked({**ROW, "shape": [2]}), "its shape is [2], not [rows, 2]"),
        (asked({**ROW, "shape": [1, 3]}), "its shape is [1, 3], not [rows, 2]"),
        (asked({**ROW, "shape": [1, 2, 1]}), "its shape is [1, 2, 1], not"),
        (asked({**ROW, "shape": []}), "its shape is [], not"),
        (asked({**ROW, "shape": [-1, 2]}), "-1 is no number of rows"),
        (asked({**ROW, "shape": [-1, -2]}), "its shape is [-1, -2], not"),
        (asked({**ROW, "shape": [0, 2], "data": []}), "no rows"),
        (asked({**ROW, "shape": [1.5, 2]}), "Expected `int`, got `float`"),
        (asked({**ROW, "shape": [2, 2]}), "its data has 2 elements, where its shape [2, 2] has 4"),
        (
            asked({**ROW, "data": [[1, 2], [3]], "shape": [2, 2]}),
            "row 2 of its data has not the 2 elements",
        ),
        (
            asked({**ROW, "data": [[1, 2], 3], "shape": [2, 2]}),
            "row 2 of its data has not the 2 elements",
        ),
        (
            asked({**ROW, "data": [[1, 2]], "shape": [2, 2]}),
            "its data has 1 elements, where its shape [2, 2] has 2",
        ),
        (asked({**ROW, "data": [[[1, 2]]]}), "elements"),
        (asked({**ROW, "data": 5}), "its data is no array"),
        (asked({**ROW, "data": None}), "its data is no array"),
        (asked({k: v for k, v in ROW.items() if k != "data"}), "either `data` or"),
        (asked({**ROW, "parameters": {"binary_data_size": 8}}), "either `data` or"),
        (asked(stored(F4, "FP32")), "8 bytes of binary data, where the body has 0"),
        (asked(stored(F4, "FP32", size=-1)), "binary_data_size is -1, not a number of bytes"),
        (
            asked(stored(F4, "FP32") | {"parameters": {"binary_data_size": True}}),
            "is True, not a number",
        ),
        (
            asked(stored(F4, "FP32") | {"parameters": {"shared_memory_region": "x"}}),
            "shared memory is not for",
        ),
        (asked(ROW, id=5), "Expected `str | null`, got `int` - at `$.id`"),
        (
            asked(ROW, outputs=[{"name": "predictions"}]),
            "'predictions': the model gives none of this name; did you mean 'prediction'?",
        ),
        (
            asked(ROW, outputs=[{"name": "prediction"}] * 2),
            "output 'prediction' is asked for twice",
        ),
        (
            asked(ROW, outputs=[{"name": "prediction", "parameters": {"classification": 3}}]),
            "classification is not for",
        ),
        (
            asked(ROW, outputs=[{"name": "prediction", "parameters": {"binary_data": 1}}]),
            "binary_data is 1, neither",
        ),
        (
            asked(ROW, parameters={"binary_data_output": "yes"}),
            "binary_data_output is 'yes', neither",
        ),
        (b'{"inputs": [], "inputs": []}', "the key 'inputs' twice"),
        (b'{"inputs": [], "unknown": {"a": 1, "a": 2}}', "the key 'a' twice"),
        (
            json.dumps(asked(ROW)).replace('{"name"', '{"name": "numbers", "name"').encode(),
            "the key 'name' twice",
        ),
        (
            json.dumps(asked({**ROW, "data": [1, float("nan")]})).encode(),
            "NaN is no number",
        ),
        (b'{"inputs": [], "x": "\xff"}', "not UTF-8"),
        (b'{"inputs": [{"name": "\\ud800"}]}', "half of a character"),
        (b'{"inputs": []} {}', "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_a_wrong_request_gets_one_clear_line(document: Any, told: str) -> None:
    assert told in refusal(document)


@pytest.mark.parametrize("rows", [101, 2**31, 2**63, 2**64, 10**300])
def test_a_huge_shape_is_too_large_before_anything_is_allocated(rows: int) -> None:
    with pytest.raises(TooLarge, match="at most 100"):
        parse(asked({**ROW, "shape": [rows, 2]}))
    with pytest.raises(TooLarge, match="at most 100"):
        parse(asked(stored(F4, "FP32") | {"shape": [rows, 2]}), binary=F4.tobytes())


@pytest.mark.parametrize("size", [0, 7, 9, 2**63])
def test_a_wrong_number_of_bytes_is_refused(size: int) -> None:
    message = refusal(asked(stored(F4, "FP32", size=size)), binary=b"\0" * 7)
    assert "bytes" in message


def test_bytes_that_belong_to_no_input_are_refused() -> None:
    message = refusal(asked(stored(F4, "FP32")), binary=F4.tobytes() + b"\0\0")
    assert message == "2 bytes are left over behind the data of the inputs"
    assert "2 bytes are left over" in refusal(asked(ROW), binary=b"\0\0")


@pytest.mark.parametrize("length", [-1, 10**6])
def test_a_header_length_beyond_the_body_is_refused(length: int | None) -> None:
    body = json.dumps(asked(ROW)).encode()
    with pytest.raises(Invalid, match="Inference-Header-Content-Length"):
        parse_infer(body, length, NUMBERS, missing=False, most_rows=10)


@pytest.mark.parametrize("depth", [300, 10_000, 1_000_000])
def test_deep_nesting_is_refused_and_brings_nothing_down(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    head = b'{"inputs": [{"name": "numbers", "shape": [1, 2], "datatype": "FP32", "data": '
    assert refusal(head + deep + b"}]}")
    assert refusal(b'{"inputs": ' + deep + b"}")
    assert refusal(b'{"inputs": [], "parameters": {"a": ' + deep + b"}}")
    assert refusal(b'{"a":' * depth)


def test_a_body_of_the_wrong_kind_for_text_is_told() -> None:
    message = refusal(
        asked(
            {**ROW, "shape": [1, 1], "data": [1]},
            {"name": "text", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
        ),
        MIXED,
    )
    assert "input 'text': it is FP32; the model wants text here" in message
    message = refusal(
        asked(
            {**ROW, "shape": [1, 1], "data": [1]},
            {"name": "text", "shape": [1, 2], "datatype": "BYTES", "data": ["a", 5]},
        ),
        MIXED,
    )
    assert "input 'text', row 1, column 'RAD': 5 is no text" in message


# ---- what is tolerated ----------------------------------------------------------------------


def test_fields_and_parameters_that_are_not_known_are_ignored() -> None:
    infer = parse(
        asked(
            {**ROW, "parameters": {"content_type": "np: x"}},
            model_name="m",
            parameters={"sequence_id": 5, "priority": 1, "timeout": 10, "mine": "a:b", "n": None},
        )
    )
    np.testing.assert_array_equal(infer.inputs["numbers"], [[1, 6.5]])


def test_null_stands_for_a_field_that_is_left_out() -> None:
    infer = parse(asked({**ROW, "parameters": None}, id=None, parameters=None, outputs=None))
    assert infer.id is None
    assert [wanted.name for wanted in infer.outputs] == ["prediction"]


# ---- answers --------------------------------------------------------------------------------


def answer(
    infer: Infer, predicted: NDArray[Any], signature: Signature
) -> tuple[dict[str, Any], bytes]:
    body, length = render_infer(
        infer, predicted, model="boston", version="3", revision="v3", signature=signature
    )
    return json.loads(body[:length]), b"" if length is None else body[length:]


def test_the_answer_echoes_the_id_and_names_what_answered() -> None:
    document, content = answer(parse(asked(ROW, id="a:1")), np.array([1.5]), NUMBERS)
    assert document == {
        "model_name": "boston",
        "model_version": "3",
        "id": "a:1",
        "parameters": {"revision": "v3"},
        "outputs": [{"name": "prediction", "datatype": "FP32", "shape": [1], "data": [1.5]}],
    }
    assert content == b""


def test_a_request_without_an_id_is_answered_without_one() -> None:
    document, _ = answer(parse(asked(ROW)), np.array([1.5]), NUMBERS)
    assert "id" not in document


def test_classes_give_probabilities_and_labels() -> None:
    shares = np.array([[0.25, 0.75]], np.float32)
    document, _ = answer(parse(asked(ROW), CLASSES), shares, CLASSES)
    assert document["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]},
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["yes"]},
    ]


def test_only_the_outputs_that_are_asked_for_are_given_in_their_order() -> None:
    request = asked(ROW, outputs=[{"name": "label"}])
    document, _ = answer(parse(request, CLASSES), np.array([[0.75, 0.25]], np.float32), CLASSES)
    assert [(one["name"], one["data"]) for one in document["outputs"]] == [("label", ["no"])]


@pytest.mark.parametrize(
    ("classes", "datatype", "data", "content"),
    [
        ((0, 1), "INT64", [1], struct.pack("<q", 1)),
        ((0.5, 2), "FP64", [2.0], struct.pack("<d", 2)),
        ((False, True), "BOOL", [True], b"\x01"),
        (("a", "ü"), "BYTES", ["ü"], packed("ü".encode())),
    ],
)
def test_labels_have_the_datatype_of_their_classes(
    classes: tuple[Any, ...], datatype: str, data: Any, content: bytes
) -> None:
    signature = Signature(columns=NUMBERS.columns, target="y", classes=classes)
    shares = np.array([[0.25, 0.75]], np.float32)
    outputs = [{"name": "label"}, {"name": "label", "parameters": {"binary_data": True}}]
    document, _ = answer(parse(asked(ROW, outputs=outputs[:1]), signature), shares, signature)
    assert document["outputs"][0]["datatype"] == datatype
    assert document["outputs"][0]["data"] == data
    document, found = answer(parse(asked(ROW, outputs=outputs[1:]), signature), shares, signature)
    assert document["outputs"][0]["parameters"] == {"binary_data_size": len(content)}
    assert found == content


def test_an_output_may_differ_from_the_request_in_being_binary() -> None:
    request = asked(
        ROW,
        parameters={"binary_data_output": True},
        outputs=[
            {"name": "probabilities"},
            {"name": "label", "parameters": {"binary_data": False}},
        ],
    )
    shares = np.array([[0.25, 0.75]], np.float32)
    document, content = answer(parse(request, CLASSES), shares, CLASSES)
    assert [("data" in one) for one in document["outputs"]] == [False, True]
    assert content == shares.tobytes()


@pytest.mark.parametrize("binary", [False, True])
def test_what_is_no_prediction_is_no_answer(*, binary: bool) -> None:
    infer = parse(asked(ROW, parameters={"binary_data_output": binary}))
    with pytest.raises(Failed, match="row 1: the model predicted nan"):
        answer(infer, np.array([np.nan]), NUMBERS)


# ---- metadata -------------------------------------------------------------------------------


def test_a_model_tells_what_it_takes_and_gives() -> None:
    assert model_metadata("boston", ["2", "3"], MIXED) == {
        "name": "boston",
        "versions": ["2", "3"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": "numbers",
                "datatype": "FP32",
                "shape": [-1, 1],
                "parameters": {"columns": ["RM"]},
            },
            {
                "name": "text",
                "datatype": "BYTES",
                "shape": [-1, 2],
                "parameters": {"columns": ["town", "RAD"]},
            },
        ],
        "outputs": [
            {
                "name": "prediction",
                "datatype": "FP32",
                "shape": [-1],
                "parameters": {"target": "MEDV"},
            },
        ],
    }
    outputs = model_metadata("boston", [], CLASSES)["outputs"]
    assert [(one["name"], one["datatype"], one["shape"]) for one in outputs] == [
        ("probabilities", "FP32", [-1, 2]),
        ("label", "BYTES", [-1]),
    ]


def test_the_server_tells_its_extensions() -> None:
    assert server_metadata()["extensions"] == ["binary_tensor_data"]
