"""The same rows are the same to the model, served or given to `fairlead predict`."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.data.cells import LARGEST
from fairlead.data.lexicon import MISSING, ONCE_MISSING, meant
from fairlead.data.rows import read_rows
from fairlead.errors import Invalid, InvalidData
from fairlead.inference import _inputs
from fairlead.records import Column, Signature
from fairlead.serving.protocol.rows import parse_rows

SIGNATURE = Signature(
    columns=(
        Column(name="town", kind="text"),
        Column(name="RM", kind="number"),
        Column(name="AGE", kind="number"),
    ),
    target="MEDV",
)
WRITTEN = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["0", "-0", "-0.0", "1e39", "1E5", "24.0", "-1e-60", "1e999", "null"]),
    st.sampled_from([str(2**53), str(2**53 + 1), f"{2**53 + 1}.0", "3.4028234e38", "3.4028236e38"]),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
CELLS = st.one_of(
    TEXTS.map(json.dumps),
    st.sampled_from([json.dumps(f" {word}\t") for word in ONCE_MISSING]),
    st.sampled_from(["true", "false"]),
    WRITTEN,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(CELLS, WRITTEN, WRITTEN), min_size=1, max_size=4))
def test_what_predict_takes_is_taken_alike_and_what_it_refuses_is_refused(
    cells: list[tuple[str, str, str]],
) -> None:
    rows = [f'{{"AGE": {age}, "town": {town}, "RM": {rm}}}' for town, rm, age in cells]
    try:
        features = read_rows(BytesIO("\n".join(rows).encode()), SIGNATURE, format="jsonl")
        expected = _inputs(features, SIGNATURE)
    except InvalidData:
        expected = None
    body = f'{{"rows": [{", ".join(rows)}]}}'.encode()
    try:
        found = parse_rows(body, SIGNATURE, missing=True, most_rows=4).inputs
    except Invalid:
        found = None
    assert (found is None) == (expected is None)
    if found and expected:
        assert found["text"].tolist() == expected["text"].tolist()
        assert found["numbers"].tobytes() == expected["numbers"].tobytes()


def test_the_blanks_around_a_text_are_those_of_files() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    trimmed = pc.utf8_trim_whitespace(pa.array(every)).to_pylist()
    assert [text.strip() for text in every] == trimmed


@pytest.mark.parametrize("word", ONCE_MISSING)
def test_words_that_mean_missing_are_no_text(word: str) -> None:
    assert meant(f" {word} ") == ""


@pytest.mark.parametrize("word", MISSING)
def test_a_word_that_is_missing_in_a_csv_file_is_missing_in_a_request(word: str) -> None:
    signature = replace(SIGNATURE, missing=MISSING)
    features = read_rows(BytesIO(f"RM,AGE,town\n1,2,{word}\n".encode()), signature, format="csv")
    body = json.dumps({"rows": [{"RM": 1, "AGE": 2, "town": word}]}).encode()
    found = parse_rows(body, signature, missing=False, most_rows=1).inputs
    assert found["text"].tolist() == _inputs(features, signature)["text"].tolist() == [[""]]


def test_the_largest_number_is_that_of_float32() -> None:
    assert float(np.finfo(np.float32).max) == LARGEST
