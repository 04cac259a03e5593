from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from fairlead.data.features import Features
from fairlead.spec.document import Data
from fairlead.training.prepare import Preparation

NAN = np.nan


def _numbers(rows: Any) -> Features:
    numbers = np.array(rows, dtype=float)
    return Features(numbers=numbers, text=np.empty((len(numbers), 0), np.int32))


def _text(*columns: list[str]) -> Features:
    """A column of texts each; the empty one is missing."""
    categories = tuple(tuple(sorted(set(column) - {""})) for column in columns)
    codes = [
        [texts.index(text) if text else -1 for text in column]
        for column, texts in zip(columns, categories, strict=True)
    ]
    return Features(
        numbers=np.empty((len(columns[0]), 0)),
        text=np.array(codes, dtype=np.int32).T,
        categories=categories,
    )


def _data(impute: Any = None) -> Data:
    return Data(source="x", impute=impute)


def test_where_nothing_is_to_be_done_the_numbers_are_the_very_same() -> None:
    features = _numbers([[1, 2], [3, 4]])
    assert Preparation.fit(features, _data()).transform(features) is features.numbers
    assert Preparation.fit(features, _data("mean")).transform(features) is features.numbers


def test_without_imputation_missing_numbers_stay_missing() -> None:
    features = _numbers([[1, NAN], [3, 4]])
    assert np.isnan(Preparation.fit(features, _data()).transform(features)[0, 1])


@pytest.mark.parametrize("impute", ["mean", "median", "most_frequent", -7.5])
def test_imputation_is_that_of_scikit_learn(impute: Any) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4)).round(1)
    rows[rng.random(rows.shape) < 0.2] = NAN
    how = (
        {"strategy": impute}
        if isinstance(impute, str)
        else {
            "strategy": "constant",
            "fill_value": impute,
        }
    )
    expected = SimpleImputer(keep_empty_features=True, **how).fit(rows[:30]).transform(rows)
    preparation = Preparation.fit(_numbers(rows[:30]), _data(impute))
    assert np.array_equal(preparation.transform(_numbers(rows)), expected)


def test_only_the_fitting_rows_decide_what_stands_for_a_missing_number() -> None:
    preparation = Preparation.fit(_numbers([[1.0], [3.0]]), _data("mean"))
    assert preparation.transform(_numbers([[NAN], [100.0]])).tolist() == [[2.0], [100.0]]


@pytest.mark.parametrize("impute", ["mean", "median", "most_frequent", 5.0])
def test_a_column_missing_in_every_fitting_row_keeps_its_place(impute: Any) -> None:
    preparation = Preparation.fit(_numbers([[NAN, 1], [NAN, 2]]), _data(impute))
    filled = preparation.transform(_numbers([[NAN, 1], [8, 2]]))
    assert filled[:, 0].tolist() == [impute if impute == 5.0 else 0.0, 8.0]


def test_encoding_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    columns = [list(rng.choice(["b", "a", "", "ä", "C"], 40)), list(rng.choice(["x", "y"], 40))]
    features = _text(*columns)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    expected = encoder.fit_transform(np.array(columns, dtype=object).T)
    assert np.array_equal(Preparation.fit(features, _data()).transform(features), expected)


def test_a_missing_text_is_a_category_of_its_own() -> None:
    features = _text(["a", "", "a"])
    preparation = Preparation.fit(features, _data())
    assert preparation.vocabulary == (("", "a"),)
    assert preparation.transform(features).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_a_text_that_the_fitting_rows_did_not_hold_is_zeros() -> None:
    preparation = Preparation.fit(_text(["a", "b"]), _data())
    assert preparation.transform(_text(["c", "", "b"])).tolist() == [[0, 0], [0, 0], [0, 1]]


def test_texts_are_known_by_what_they_say_and_not_by_their_code() -> None:
    preparation = Preparation.fit(_text(["m", "z"]), _data())
    assert preparation.transform(_text(["z", "a", "m"])).tolist() == [[0, 1], [0, 0], [1, 0]]


def test_numbers_stand_before_text() -> None:
    text = _text(["a", "b"])
    both = Features(numbers=np.array([[5.0], [NAN]]), text=text.text, categories=text.categories)
    preparation = Preparation.fit(both, _data("mean"))
    assert preparation.transform(both).tolist() == [[5, 1, 0], [5, 0, 1]]
