"""Words in which commands speak of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fairlead import formatting


@pytest.mark.parametrize(
    ("many", "text"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (2000, "2,000 tasks")]
)
def test_one_is_singular_and_thousands_are_set_apart(many: int, text: str) -> None:
    assert formatting.count(many, "task") == text


@pytest.mark.parametrize(
    ("many", "text"),
    [
        (1, "1 byte"),
        (397, "397 bytes"),
        (4_312, "4.31 kB"),
        (999_600, "1 MB"),
        (175_000_000, "175 MB"),
        (12_345_678_901, "12.3 GB"),
    ],
)
def test_a_size_has_the_unit_that_keeps_it_short(many: int, text: str) -> None:
    assert formatting.size(many) == text


def test_values_read_as_in_yaml_and_a_float_has_six_digits() -> None:
    params = {
        "alpha": 0.0005512450963006289,
        "n": 1_234_567,
        "how": "log2",
        "deep": None,
        "b": True,
    }
    assert formatting.params(params) == "alpha=0.000551245, n=1234567, how=log2, deep=null, b=true"


def test_a_long_value_goes_on_below_itself() -> None:
    text = formatting.laid_out([("name", "n"), ("verdict", "word " * 12)], width=40)
    assert text.splitlines() == [
        "name     n",
        "verdict  word word word word word word",
        "         word word word word word word",
    ]


def test_a_name_is_not_broken_at_its_hyphen() -> None:
    text = formatting.laid_out([("next", "fairlead report boston-prices")], width=32)
    assert text.splitlines() == ["next  fairlead report", "      boston-prices"]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (("a",), "class 'a'"),
        ((1, 2), "classes 1 and 2"),
        (tuple("abcde"), "classes 'a', 'b', 'c', 'd' and 'e'"),
        (range(1005), "classes 0, 1, 2, 3, 4 and 1,000 more"),
    ],
)
def test_a_few_classes_are_named_and_the_others_counted(labels: Sequence[Any], text: str) -> None:
    assert formatting.classes(labels) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db/x?sslmode=require", "postgresql://me:***@db/x?sslmode=require"),
        ("postgresql://me@db/x?password=s%20t", "postgresql://me@db/x?password=***"),
        (
            "postgresql://db/x?a=b&sslpassword=secret&c=d",
            "postgresql://db/x?a=b&sslpassword=***&c=d",
        ),
        ("postgresql://db/x?p%61ssword=secret", "postgresql://db/x?p%61ssword=***"),
        (
            "postgresql://db/x?passfile=/home/me/.pgpass",
            "postgresql://db/x?passfile=/home/me/.pgpass",
        ),
        ("'postgresql://db/x?password=s': gone", "'postgresql://db/x?password=***': gone"),
    ],
)
def test_a_password_is_left_out_wherever_a_url_has_it(url: str, shown: str) -> None:
    assert formatting.without_password(url) == shown
