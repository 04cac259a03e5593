"""NVIDIA's own client of the Open Inference Protocol, with its binary tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.integration.serving.rig import Process, Reply, Trained


@pytest.fixture
def client(process: Process) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(f"localhost:{process.port}")
    yield client
    client.close()


def test_the_server_and_its_models_tell_of_themselves(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("houses")
    assert client.is_model_ready("houses", "1")
    assert client.get_server_metadata()["name"] == "fairlead"
    told = client.get_model_metadata("houses")
    assert told["inputs"][0]["name"] == "numbers"
    assert told["inputs"][0]["shape"] == [-1, 13]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_numbers_are_predicted(
    client: triton.InferenceServerClient,
    trained: Trained,
    binary: bool,  # noqa: FBT001 - a parameter of the test
    packed: str | None,
    datatype: str,
) -> None:
    expected = trained.golden("houses")[1]
    numbers = np.array(trained.numbers("houses"))
    numbers = numbers.astype(np.float32 if datatype == "FP32" else np.float64)
    asked = triton.InferInput("numbers", list(numbers.shape), datatype)
    asked.set_data_from_numpy(numbers, binary_data=binary)
    wanted = [triton.InferRequestedOutput("prediction", binary_data=binary)]
    answered = client.infer(
        "houses",
        [asked],
        outputs=wanted,
        request_id="seven",
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
    )
    found = answered.as_numpy("prediction")
    assert found.astype(np.float32).tolist() == expected
    assert answered.get_response()["id"] == "seven"


@pytest.mark.parametrize("binary", [True, False])
def test_texts_and_labels_go_through(
    client: triton.InferenceServerClient,
    trained: Trained,
    binary: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    rows, expected = trained.golden("kinds")
    gaps = [
        [np.nan if row[name] is None else row[name] for name in ("size", "weight")] for row in rows
    ]
    numbers = np.array(gaps, dtype=np.float32)
    texts = np.array([[(row["city"] or "").encode()] for row in rows], dtype=object)
    first = triton.InferInput("numbers", list(numbers.shape), "FP32")
    first.set_data_from_numpy(numbers)
    second = triton.InferInput("text", list(texts.shape), "BYTES")
    second.set_data_from_numpy(texts, binary_data=binary)
    answered = client.infer("kinds", [first, second])
    assert answered.as_numpy("probabilities").tolist() == expected
    classes = trained.candidates["kinds"].signature.classes or ()
    labels = [str(classes[index]).encode() for index in np.argmax(expected, axis=1)]
    assert answered.as_numpy("label").tolist() == labels


def raw(process: Process, model: str, body: bytes) -> Reply:
    path = f"/v2/models/{model}/infer"
    return process.ask("POST", path, body, {"Inference-Header-Content-Length": "0"})


def test_a_raw_request_is_the_data_of_the_only_input(process: Process, trained: Trained) -> None:
    numbers = np.array(trained.numbers("houses"), dtype="<f4")
    reply = raw(process, "houses", numbers.tobytes())
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    length = int(reply.headers["inference-header-content-length"])
    found = triton.InferResult.from_response_body(reply.body, header_length=length)
    expected = np.array(trained.golden("houses")[1], dtype=np.float32)
    assert found.as_numpy("prediction").tolist() == expected.tolist()
    (alone,) = triton.InferResult.from_response_body(
        *_parts(raw(process, "houses", numbers[:1].tobytes()))
    ).as_numpy("prediction")
    assert alone == expected[0]


def _parts(reply: Reply) -> tuple[bytes, bool, int]:
    return reply.body, False, int(reply.headers["inference-header-content-length"])


@pytest.mark.parametrize(
    ("model", "size", "said"),
    [
        ("houses", 0, "no rows"),
        ("houses", 51, "the body has 51 bytes, which is no whole number of rows: a row of the raw"),
        ("kinds", 12, "this model takes 'numbers' [rows, 2] and 'text' [rows, "),
    ],
)
def test_a_raw_request_that_cannot_be_read_is_refused_by_name(
    process: Process, model: str, size: int, said: str
) -> None:
    reply = raw(process, model, bytes(size))
    assert reply.status == 400
    assert said in reply.error


def test_what_is_wrong_is_told_in_the_clients_own_words(
    client: triton.InferenceServerClient,
) -> None:
    asked = triton.InferInput("numbers", [1, 2], "FP32")
    asked.set_data_from_numpy(np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(InferenceServerException, match="numbers") as raised:
        client.infer("houses", [asked])
    assert raised.value.status() == "400"
    with pytest.raises(InferenceServerException, match="nobody"):
        client.get_model_metadata("nobody")
