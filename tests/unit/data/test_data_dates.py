"""The parts of a date are those that pandas gives."""

from __future__ import annotations

from math import isnan

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.data.dates import parts, written


def of_pandas(moment: pd.Timestamp) -> tuple[int, ...]:
    days = (moment.normalize() - pd.Timestamp("1970-01-01")).days
    return moment.year, moment.month, moment.day_of_week, moment.hour, days


@given(
    st.datetimes(
        min_value=pd.Timestamp("1700-01-01").to_pydatetime(),
        max_value=pd.Timestamp("2200-01-01").to_pydatetime(),
    )
)
def test_the_parts_of_a_date_are_those_of_pandas(moment: object) -> None:
    assert parts(str(moment)) == of_pandas(pd.Timestamp(str(moment)))


def test_a_time_zone_counts() -> None:
    moment = pd.Timestamp("2024-03-01T00:30:00+02:00").tz_convert("UTC").tz_localize(None)
    assert parts("2024-03-01T00:30:00+02:00") == of_pandas(moment)
    assert parts("2024-03-01T00:30:00Z") == of_pandas(pd.Timestamp("2024-03-01T00:30"))


def test_a_missing_date_has_missing_parts() -> None:
    assert all(map(isnan, parts("")))
    assert written(*parts("")) is None


@pytest.mark.parametrize("text", ["1969-12-31", "2024-02-29T23:59:59", "0001-01-01", "9999-12-31"])
def test_a_date_written_of_its_parts_has_these_parts(text: str) -> None:
    again = written(*parts(text))
    assert again is not None
    assert parts(again) == parts(text)


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2020",
        "20200131",
        "2020",
        "2020-13-01",
        "2020-02-30",
        "now",
        "2020-W05-1",
        "0001-01-01T00:00+23:00",
        "1577836800000",
        "\u0662020-01-31",
    ],
)
def test_what_is_no_date_of_iso_8601_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no date of ISO 8601"):
        parts(text)
