"""What a text means: numbers and truth values that are used as text."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.data.lexicon import as_number, as_truth


@given(st.integers(), st.sampled_from(["", "0", "000"]))
def test_a_whole_number_is_known_by_its_digits(value: int, zeros: str) -> None:
    sign = "-" if value < 0 else ""
    assert as_number(f"{sign}{zeros}{abs(value)}") == str(value)
    assert as_number(f"{sign or '+'}{abs(value)}") == str(value)


@given(st.integers(-(2**53), 2**53))
def test_a_number_that_pandas_made_a_float_is_known_as_the_whole_one(value: int) -> None:
    (written,) = pd.Series([value, None]).head(1).map(repr)
    assert as_number(written) == str(value)


def test_a_number_may_have_more_digits_than_python_turns_into_one() -> None:
    digits = "12" * 5_000
    assert as_number(f"+00{digits}") == digits
    assert as_number(f"-{digits}") == f"-{digits}"
    assert as_number("-" + "0" * 5_000) == "0"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("12345678901234567.10", "12345678901234567.1"),
        ("+0012345678901234567.2", "12345678901234567.2"),
        ("-1152921504606846977.0", "-1152921504606846977"),
        ("1152921504606846977.", "1152921504606846977"),
        ("1.5e3", "1500"),
        ("0.10", "0.1"),
    ],
)
def test_a_number_beyond_what_float64_keeps_is_known_by_its_digits(text: str, known: str) -> None:
    assert as_number(text) == known
    assert as_number(known) == known


@pytest.mark.parametrize("text", ["", "a", "1_000", "1,5", "٣", "0x1", "²", "nan", "+", "1 2"])
def test_what_is_no_number_stays(text: str) -> None:
    assert as_number(text) == as_truth(text) == text


@pytest.mark.parametrize(
    ("text", "truth"),
    [("1", "True"), ("01.0", "True"), ("-0", "False"), ("TRUE", "True"), ("2.0", "2"), ("t", "t")],
)
def test_a_truth_value_is_one_text_and_another_number_is_one_too(text: str, truth: str) -> None:
    assert as_truth(text) == truth
