"""The parameters of one trial, as a person or another program writes them."""

from __future__ import annotations

import pytest

from fairlead.errors import Invalid
from fairlead.spec.space import Range
from fairlead.study.single_trial import chosen

SPACE = {
    "depth": (None, 10, 1.0, "sqrt", True),
    "rate": Range(low=0.1, high=0.3, log=True),
    "leaves": Range(low=2, high=9),
    "fixed": 50,
}


def given(**params: str) -> object:
    return chosen(SPACE, {"depth": "10", "rate": "0.2", "leaves": "4", **params})


@pytest.mark.parametrize(
    ("text", "value"),
    [("null", None), ("10", 10), ("1.0", 1.0), ("sqrt", "sqrt"), ("true", True)],
)
def test_a_value_of_a_list_has_its_type(text: str, value: object) -> None:
    found = chosen({"depth": SPACE["depth"]}, {"depth": text})["depth"]
    assert (type(found), found) == (type(value), value)


def test_a_range_gives_the_number_its_type() -> None:
    assert given() == {"depth": 10, "rate": 0.2, "leaves": 4, "fixed": 50}
    assert given(rate="1e-05") == {"depth": 10, "rate": 1e-05, "leaves": 4, "fixed": 50}


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"depth": "11"}, "--param depth=11: give one of null, 10, 1.0, sqrt, true"),
        ({"rate": "much"}, "--param rate=much: it takes a number"),
        ({"leaves": "4.5"}, "--param leaves=4.5: it takes a whole number"),
        ({"fixed": "51"}, "--param fixed=51: give one of 50"),
        ({"dept": "3"}, "did you mean 'depth'?"),
    ],
)
def test_what_the_spec_does_not_have_is_refused(params: dict[str, str], why: str) -> None:
    with pytest.raises(Invalid) as refused:
        given(**params)
    assert why in str(refused.value)


def test_what_is_searched_must_be_given() -> None:
    with pytest.raises(Invalid, match="--param rate: give a number"):
        chosen(SPACE, {"depth": "10", "leaves": "4"})
