from __future__ import annotations

import json
from math import nan
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fairlead.errors import Failed, Invalid, TooLarge
from fairlead.records import Column, Signature
from fairlead.serving.protocol.rows import Rows, parse_rows, render_rows

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
ONE = Signature(columns=(Column(name="x", kind="number"),), target="y")


def parse(
    document: object, signature: Signature = NUMBERS, *, missing: bool = False, most_rows: int = 100
) -> Rows:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_rows(body, signature, missing=missing, most_rows=most_rows)


def refusal(document: object, signature: Signature = NUMBERS) -> str:
    with pytest.raises(Invalid) as caught:
        parse(document, signature)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


# ---- what is taken --------------------------------------------------------------------------


def test_columns_are_found_by_name_in_any_order() -> None:
    rows = parse({"rows": [{"RM": 6.5, "CRIM": 1}, {"CRIM": 2.25, "RM": 5}]})
    assert rows.rows == 2
    assert rows.inputs["numbers"].dtype == np.float32
    np.testing.assert_array_equal(rows.inputs["numbers"], [[1, 6.5], [2.25, 5]])
    assert "text" not in rows.inputs


@pytest.mark.parametrize("numbers", [b'{"RM": 1, "CRIM": 2}', b'{"RM": 1.0, "CRIM": -0}'])
def test_a_byte_order_mark_before_the_document_is_ignored_as_it_is_of_files(
    numbers: bytes,
) -> None:
    body = b'{"rows": [%s]}' % numbers
    expected = parse(body).inputs["numbers"]
    np.testing.assert_array_equal(parse(b"\xef\xbb\xbf" + body).inputs["numbers"], expected)
    told = refusal(b'\xef\xbb\xbf{"rows": [{"RM": 1, "RM": 2, "CRIM": 2}]}')
    assert told == "the body has the key 'RM' twice in one object"


def test_columns_may_be_named_once_for_all_rows() -> None:
    rows = parse({"rows": [[6.5, 1], [5, 2.25]], "columns": ["RM", "CRIM"]})
    np.testing.assert_array_equal(rows.inputs["numbers"], [[1, 6.5], [2.25, 5]])


def test_a_model_of_one_column_is_asked_like_any_other() -> None:
    np.testing.assert_array_equal(
        parse({"rows": [{"x": 3}]}, ONE).inputs["numbers"],
        parse({"columns": ["x"], "rows": [[3]]}, ONE).inputs["numbers"],
    )


def test_text_is_what_predict_makes_of_it() -> None:
    rows = parse(
        {
            "rows": [
                {"town": "  Salem ", "RM": 1, "RAD": "24"},
                {"town": None, "RM": 2, "RAD": "NA"},
                {"town": "", "RM": 3, "RAD": "ünïcode"},
            ]
        },
        MIXED,
    )
    assert rows.inputs["text"].tolist() == [["Salem", "24"], ["", ""], ["", "ünïcode"]]
    assert rows.inputs["numbers"].tolist() == [[1], [2], [3]]


def test_a_number_where_text_is_wanted_is_the_text_it_was_written_as() -> None:
    body = b'{"rows": [{"town": true, "RM": 1, "RAD": 24.0}, {"town": 1e3, "RM": 1, "RAD": 24}]}'
    text = parse(body, MIXED).inputs["text"]
    assert text.tolist() == [["True", "24.0"], ["1e3", "24"]]


@pytest.mark.parametrize("written", ["24", "-0", "0", "-7", "9007199254740993", "1" * 30])
def test_a_whole_number_where_text_is_wanted_stays_as_it_was_written(written: str) -> None:
    body = f'{{"rows": [{{"town": {written}, "RM": 2, "RAD": "a"}}]}}'.encode()
    assert parse(body, MIXED).inputs["text"].tolist() == [[written, "a"]]


def test_a_minus_zero_elsewhere_makes_no_whole_number_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(json, "loads")
    body = b'{"rows": [{"town": "2020-01-31", "RM": -0.5, "RAD": 0}]}'
    assert parse(body, MIXED).inputs["text"].tolist() == [["2020-01-31", "0"]]


def test_a_colon_in_a_text_is_no_second_key() -> None:
    rows = parse({"rows": [{"town": "at 12:30: here", "RM": 1, "RAD": ":"}]}, MIXED)
    assert rows.inputs["text"].tolist() == [["at 12:30: here", ":"]]


def test_null_is_a_missing_number_where_the_model_takes_them() -> None:
    rows = parse({"rows": [{"RM": None, "CRIM": 1}]}, missing=True)
    np.testing.assert_array_equal(rows.inputs["numbers"], [[1, nan]])


def test_minus_zero_is_zero() -> None:
    assert not np.signbit(parse(b'{"rows": [{"RM": -0.0, "CRIM": -0}]}').inputs["numbers"]).any()


def test_numbers_go_through_float64_to_float32() -> None:
    exact = "16777217.0000000001"
    body = f'{{"rows": [{{"RM": 0.1, "CRIM": {exact}}}]}}'.encode()
    expected = np.array([[float(exact), 0.1]]).astype(np.float32)
    np.testing.assert_array_equal(parse(body).inputs["numbers"], expected)


def test_a_large_number_is_read_with_a_second_look() -> None:
    rows = parse({"rows": [{"RM": 1e20, "CRIM": 2**53}, {"RM": -3.4e38, "CRIM": 0}]})
    expected = np.array([[2**53, 1e20], [0, -3.4e38]]).astype(np.float32)
    np.testing.assert_array_equal(rows.inputs["numbers"], expected)


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {"rows": [{"RM": 1, "CRIM": 1}, {"RM": "6.5", "CRIM": 1}]},
            "row 2, column 'RM': '6.5' is text",
        ),
        ({"rows": [{"RM": True, "CRIM": 1}]}, "row 1, column 'RM': true is a truth value"),
        ({"rows": [{"RM": None, "CRIM": 1}]}, "row 1, column 'RM': the number is missing"),
        ({"rows": [{"RM": [1], "CRIM": 1}]}, "row 1, column 'RM': an array or an object"),
        (b'{"rows": [{"RM": 1e999, "CRIM": 1}]}', "row 1, column 'RM': '1e999' is beyond 3.4e38"),
        ({"rows": [{"RM": 3.5e38, "CRIM": 1}]}, "row 1, column 'RM': 3.5e+38 is beyond 3.4e38"),
        (
            {"rows": [{"RM": 1, "CRIM": 1}, {"RM": 2**53 + 1, "CRIM": 1}]},
            "row 2, column 'RM': 9007199254740993 is a whole number beyond 2**53",
        ),
        ({"rows": [{"RM": 1}]}, "row 1: the model needs the column 'CRIM', which is not there"),
        ({"rows": [{}]}, "row 1: the model needs the columns 'CRIM', 'RM', which are not there"),
        ({"rows": [{"RM": 1, "CRIM": 1, "CRYM": 2}]}, "no column 'CRYM'; did you mean 'CRIM'?"),
        ({"rows": []}, "no rows"),
        ({"rows": [5]}, "row 1 is no object"),
        ({"rows": [[5, 6]]}, "row 1 is no object"),
        ({"rows": 5}, "`rows` is not a list"),
        ({"row": []}, 'the body is not {"rows": '),
        ({"instances": [[1]]}, "it has the key 'instances'"),
        ({}, "it is empty"),
        ([], '{"columns": [name, ...], "rows": [[value, ...], ...]}: it is a list'),
        (5, "it is one value"),
        (
            {"rows": [[1, 2]], "colums": ["RM", "CRIM"]},
            "'colums', which says nothing; did you mean 'columns'",
        ),
        ({"rows": [[1, 2]], "columns": ["RM", 5]}, "`columns` is not a list of names"),
        ({"rows": [[1, 2]], "columns": ["RM", "RM"]}, "`columns` names 'RM' twice"),
        ({"rows": [[1]], "columns": ["RM"]}, "`columns`: the model needs the column 'CRIM'"),
        (
            {"rows": [[1, 2, 3]], "columns": ["RM", "CRIM", "x"]},
            "`columns`: the model takes no column 'x'",
        ),
        ({"rows": [[1, 2], [1]], "columns": ["RM", "CRIM"]}, "row 2 has 1 values"),
        ({"rows": [{"RM": 1, "CRIM": 2}], "columns": ["RM", "CRIM"]}, "row 1 is no array"),
        (b'{"rows": [{"RM": 1, "RM": 2, "CRIM": 2}]}', "the key 'RM' twice"),
        (b'{"rows": [], "rows": [{"RM": 1, "CRIM": 2}]}', "the key 'rows' twice"),
        (b'{"rows": [{"RM": NaN, "CRIM": 2}]}', "NaN is no number; null is a missing one"),
        (b'{"rows": [{"RM": -Infinity, "CRIM": 2}]}', "-Infinity is no number"),
        (b'{"rows": [{"RM": 1, "CRIM": 2}]} x', "not JSON"),
        (b'{"rows": [{"RM": 1, "CRIM": 2}', "not JSON"),
        (b'{"rows": [{"RM": 01, "CRIM": 2}]}', "not JSON"),
        (b' \xef\xbb\xbf{"rows": [{"RM": 1, "CRIM": 2}]}', "not JSON"),
        (b"", "not JSON"),
        (b'{"rows": [{"R\xff": 1}]}', "not UTF-8: byte 13"),
        ('{"rows": []}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_bad_rows_get_one_clear_line(document: Any, told: str) -> None:
    assert told in refusal(document)


def test_a_number_written_as_text_is_no_number_beside_text_columns_either() -> None:
    told = refusal({"rows": [{"town": "a", "RM": "6.5", "RAD": "b"}]}, MIXED)
    assert told.startswith("row 1, column 'RM': '6.5' is text, not a number")


def test_half_of_a_character_is_refused() -> None:
    assert "half of a character" in refusal(
        b'{"rows": [{"town": "\\ud800", "RM": 1, "RAD": ""}]}', MIXED
    )
    assert "half of a character" in refusal(
        b'{"rows": [{"town": "\\ud800", "RM": 1, "RAD": 5}]}', MIXED
    )


def test_a_key_given_twice_is_seen_where_texts_have_colons_too() -> None:
    told = refusal(b'{"rows": [{"town": ":", "RM": 1, "RM": 2, "RAD": "a"}]}', MIXED)
    assert "the key 'RM' twice" in told


@pytest.mark.parametrize("depth", [300, 10_000, 1_000_000])
def test_deep_nesting_is_refused_and_brings_nothing_down(depth: int) -> None:
    assert refusal(b'{"rows": [{"RM": ' + b"[" * depth + b"]" * depth + b"}]}")
    assert refusal(b"[" * depth)
    assert refusal(b'{"a":' * depth)


def test_too_many_rows_are_too_large() -> None:
    rows = [{"RM": 1, "CRIM": 1}] * 101
    with pytest.raises(TooLarge, match="101 rows; at most 100"):
        parse({"rows": rows})
    assert parse({"rows": rows[:100]}).rows == 100


def test_millions_of_small_values_are_refused_before_they_are_made() -> None:
    with pytest.raises(TooLarge, match="values"):
        parse(b'{"rows": [' + b"[]," * 1_000_000 + b"[]]}")


def test_commas_and_brackets_in_texts_are_no_values() -> None:
    long = ",[{" * 5_000 + '\\"'
    rows = parse({"rows": [{"town": long, "RM": 1, "RAD": ""}]}, MIXED, most_rows=1)
    assert rows.inputs["text"][0, 0] == long


@pytest.mark.parametrize("before", range(8))
def test_texts_are_told_from_values_wherever_a_document_is_taken_apart(before: int) -> None:
    text = " " * ((1 << 16) - 40 + before) + '\\",[\\' + "," * 5_000
    body = {"rows": [{"town": text, "RM": 1, "RAD": ",,"}]}
    assert parse(body, MIXED, most_rows=1).rows == 1
    with pytest.raises(TooLarge):
        parse({**body, "more": [0] * 5_000}, MIXED, most_rows=1)


def test_a_message_about_a_long_name_is_short_and_soon_there() -> None:
    assert "..." in refusal({"rows": [{"x" * 1_000_000: 1, "RM": 1}]})
    assert refusal({"rows": [{"RM": "x" * 1_000_000, "CRIM": 1}]})
    assert refusal(b'{"rows": [{"RM": ' + b"9" * 10_000 + b', "CRIM": 1}]}')


# ---- answers --------------------------------------------------------------------------------


def answer(predicted: NDArray[Any], signature: Signature) -> dict[str, Any]:
    rows = Rows(inputs={}, rows=len(predicted))
    body = render_rows(
        rows, predicted, model="boston", version=3, revision="v3-2", signature=signature
    )
    return json.loads(body)


def test_the_answer_names_what_answered() -> None:
    found = answer(np.array([1.5]), NUMBERS)
    assert found == {"model": "boston", "version": 3, "revision": "v3-2", "predictions": [1.5]}


def test_a_prediction_reads_as_the_very_float32_that_was_predicted() -> None:
    bits = np.random.default_rng(7).integers(0, 2**32, 20_000, dtype=np.uint32)
    predicted = bits.view(np.float32)
    predicted = predicted[np.isfinite(predicted)].astype(np.float64)
    found = np.array(answer(predicted, NUMBERS)["predictions"])
    np.testing.assert_array_equal(found.astype(np.float32), predicted.astype(np.float32))


def test_a_prediction_is_written_as_fairlead_predict_writes_it() -> None:
    predicted = np.array([28.917278289794922, 0.1, 1e-45, 3.4028234663852886e38])
    assert answer(predicted, NUMBERS)["predictions"][0] == 28.917278
    assert answer(predicted, NUMBERS)["predictions"][1] == 0.1  # no float32: it stays as it is


@pytest.mark.parametrize("classes", [("no", "yes"), (0, 1), (0.5, 2), (True, False)])
def test_classes_are_answered_with_their_own_values_and_shares(classes: tuple[Any, ...]) -> None:
    signature = Signature(columns=NUMBERS.columns, target="y", classes=classes)
    shares = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    found = answer(shares, signature)
    assert found["predictions"] == [classes[1], classes[0]]
    assert [type(label) for label in found["predictions"]] == [type(classes[1]), type(classes[0])]
    assert found["probabilities"][0] == {str(classes[0]): 0.25, str(classes[1]): 0.75}


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_prediction_is_no_answer(odd: float) -> None:
    with pytest.raises(Failed, match="row 2: the model predicted"):
        answer(np.array([1.0, odd]), NUMBERS)


def test_predictions_of_other_rows_are_no_answer() -> None:
    with pytest.raises(Failed, match="1 predictions for 2 rows"):
        render_rows(
            Rows(inputs={}, rows=2),
            np.array([1.0]),
            model="m",
            version=1,
            revision="v1",
            signature=NUMBERS,
        )
