"""What Triton's own client sends is understood, and it understands the answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import (
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
    InferResult,
)

from fairlead.errors import Invalid, TooLarge
from fairlead.records import Column, Signature
from fairlead.serving.protocol.infer import Infer, parse_infer, render_infer

SIGNATURE = Signature(
    columns=(
        Column(name="town", kind="text"),
        Column(name="RM", kind="number"),
        Column(name="AGE", kind="number"),
    ),
    target="MEDV",
)
CLASSES = Signature(columns=SIGNATURE.columns, target="kind", classes=("ä", "b", "c"))
NUMBERS = np.array([[6.5, 1], [0.1, 2]], np.float32)
TOWNS = np.array([["Salem"], ["Zürich"]], dtype=object)


def given(name: str, array: NDArray[Any], datatype: str, *, binary: bool) -> InferInput:
    found = InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def parse(inputs: list[InferInput], signature: Signature = SIGNATURE, **more: Any) -> Infer:
    body, length = InferenceServerClient.generate_request_body(inputs, **more)
    return parse_infer(body, length, signature, missing=False, most_rows=100)


def answered(
    infer: Infer, predicted: NDArray[Any], signature: Signature = SIGNATURE
) -> InferResult:
    body, length = render_infer(
        infer, predicted, model="boston", version="3", revision="v3", signature=signature
    )
    return InferenceServerClient.parse_response_body(body, header_length=length)


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_arrive_as_they_were_sent(*, binary: bool) -> None:
    infer = parse(
        [
            given("text", TOWNS, "BYTES", binary=binary),
            given("numbers", NUMBERS, "FP32", binary=binary),
        ]
    )
    np.testing.assert_array_equal(infer.inputs["numbers"], NUMBERS)
    assert infer.inputs["text"].tolist() == TOWNS.tolist()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        ("INT8", np.int8),
        ("INT16", np.int16),
        ("INT32", np.int32),
        ("INT64", np.int64),
        ("UINT8", np.uint8),
        ("UINT16", np.uint16),
        ("UINT32", np.uint32),
        ("UINT64", np.uint64),
        ("FP16", np.float16),
        ("FP32", np.float32),
        ("FP64", np.float64),
    ],
)
def test_columns_of_every_datatype_arrive(
    datatype: str, dtype: type[np.generic], *, binary: bool
) -> None:
    column = np.array([1, 0]).astype(dtype)
    infer = parse(
        [
            given("AGE", NUMBERS[:, 1], "FP32", binary=binary),
            given("RM", column, datatype, binary=binary),
            given("town", TOWNS[:, 0], "BYTES", binary=not binary),
        ]
    )
    np.testing.assert_array_equal(infer.inputs["numbers"], [[1, 1], [0, 2]])
    assert infer.inputs["text"].tolist() == TOWNS.tolist()


def test_without_outputs_the_client_is_answered_in_binary() -> None:
    infer = parse(
        [given("text", TOWNS, "BYTES", binary=True), given("numbers", NUMBERS, "FP32", binary=True)]
    )
    assert all(wanted.binary for wanted in infer.outputs)
    predicted = np.array([0.1, 24.3], np.float32)
    found = answered(infer, predicted.astype(np.float64))
    np.testing.assert_array_equal(found.as_numpy("prediction"), predicted)
    assert found.as_numpy("prediction").dtype == np.float32


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_of_classes_are_read_by_the_client(*, binary: bool) -> None:
    infer = parse(
        [
            given("text", TOWNS, "BYTES", binary=True),
            given("numbers", NUMBERS, "FP32", binary=True),
        ],
        CLASSES,
        outputs=[
            InferRequestedOutput("label", binary_data=binary),
            InferRequestedOutput("probabilities", binary_data=not binary),
        ],
        request_id="7",
    )
    shares = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], np.float32)
    found = answered(infer, shares, CLASSES)
    np.testing.assert_array_equal(found.as_numpy("probabilities"), shares)
    labels = found.as_numpy("label").tolist()
    assert labels == ([b"c", "ä".encode()] if binary else ["c", "ä"])
    assert found.get_response()["id"] == "7"


def test_parameters_of_the_client_are_no_hindrance() -> None:
    infer = parse(
        [
            given("text", TOWNS, "BYTES", binary=True),
            given("numbers", NUMBERS, "FP32", binary=True),
        ],
        sequence_id=5,
        sequence_start=True,
        priority=2,
        timeout=1000,
        parameters={"mine": "a:b", "other": 1.5, "third": True},
    )
    assert infer.rows == 2


def test_classification_is_refused() -> None:
    outputs = [InferRequestedOutput("probabilities", class_count=2)]
    inputs = [
        given("text", TOWNS, "BYTES", binary=True),
        given("numbers", NUMBERS, "FP32", binary=True),
    ]
    with pytest.raises(Invalid, match="classification is not for"):
        parse(inputs, CLASSES, outputs=outputs)


def test_shared_memory_is_refused() -> None:
    inputs = [
        given("numbers", NUMBERS, "FP32", binary=True),
        given("text", TOWNS, "BYTES", binary=True),
    ]
    inputs[0].set_shared_memory("region", NUMBERS.nbytes)
    with pytest.raises(Invalid, match="shared memory is not for"):
        parse(inputs)
    outputs = [InferRequestedOutput("prediction")]
    outputs[0].set_shared_memory("region", 8)
    inputs = [
        given("numbers", NUMBERS, "FP32", binary=True),
        given("text", TOWNS, "BYTES", binary=True),
    ]
    with pytest.raises(Invalid, match="shared_memory_region is not for"):
        parse(inputs, outputs=outputs)


def test_nan_that_the_client_writes_into_json_is_refused_with_what_to_write() -> None:
    numbers = np.array([[np.nan, 1], [1, 2]], np.float32)
    inputs = [
        given("numbers", numbers, "FP32", binary=False),
        given("text", TOWNS, "BYTES", binary=False),
    ]
    with pytest.raises(Invalid, match="NaN is no number; null is a missing one"):
        parse(inputs)


TEXT = Signature(columns=(Column(name="town", kind="text"),), target="y")
NUMBER = Signature(columns=(Column(name="x", kind="number"),), target="y")


def raw(body: bytes, signature: Signature, *, missing: bool = False, most_rows: int = 9) -> Infer:
    return parse_infer(body, 0, signature, missing=missing, most_rows=most_rows)


def test_a_raw_text_is_one_row_without_its_length() -> None:
    """As Triton has it: a raw input of BYTES is one element, which is the whole body."""
    found = raw("Köln".encode(), TEXT)
    assert found.inputs["text"].tolist() == [["Köln"]]
    assert found.rows == 1
    assert all(wanted.binary for wanted in found.outputs)


def test_raw_numbers_are_held_to_the_rules_of_all_numbers() -> None:
    values = np.array([1.5, np.nan, -0.0], dtype="<f4")
    assert raw(values.tobytes(), NUMBER, missing=True).rows == 3
    with pytest.raises(Invalid, match=r"input 'numbers', row 2, column 'x': the number is missing"):
        raw(values.tobytes(), NUMBER)
    with pytest.raises(TooLarge, match="has 3 rows; at most 2"):
        raw(values.tobytes(), NUMBER, missing=True, most_rows=2)
    with pytest.raises(Invalid, match="UTF-8"):
        raw(b"\xff", TEXT)


def test_several_texts_have_no_raw_form() -> None:
    towns = Signature(
        columns=(Column(name="a", kind="text"), Column(name="b", kind="text")), target="y"
    )
    with pytest.raises(Invalid, match=r"this model takes 'text' \[rows, 2\]: send a JSON document"):
        raw(b"abc", towns)
