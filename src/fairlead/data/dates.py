"""Dates as numbers: the parts of records.DATE_PARTS, in UTC.

A date is written as ISO 8601 has it. The parts are the same for files, which hold columns of them,
and for requests.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from math import isnan, nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EPOCH = date(1970, 1, 1)
_MISSING = (nan, nan, nan, nan, nan)
_THURSDAY = 3  # which that day was, where Monday is 0
NO_DATE = "no date of ISO 8601 (2020-01-31, 2020-01-31T18:30)"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

Parts = tuple[float, float, float, float, float]


def parts(text: str) -> Parts:
    """The parts of a date in ISO 8601, with a time or without; all NaN for an empty text.

    A time zone is taken into account: the parts are those of the time in UTC. Without one they are
    of the time as written.

    Raises:
        ValueError: It is no such date.
    """
    if not text:
        return _MISSING
    if not _DAY.match(text):  # fromisoformat takes weeks, and digits alone
        raise ValueError(_says(text))
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_says(text)) from None
    return _of(moment)


def parts_of(days: NDArray[np.int64], hours: NDArray[np.int64]) -> NDArray[np.float64]:
    """The parts of many dates: [dates, DATE_PARTS].

    Args:
        days: Since 1970-01-01.
        hours: Of the day.
    """
    import numpy as np

    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    columns = [months // 12 + 1970, months % 12 + 1, (days + _THURSDAY) % 7, hours, days]
    return np.column_stack(columns).astype(np.float64)


def written(year: float, month: float, dayofweek: float, hour: float, days: float) -> str | None:
    """A date that has these parts; None where they are missing."""
    _ = year, month, dayofweek  # which follow from the days
    if isnan(days):
        return None
    return f"{_EPOCH + timedelta(days=int(days))}T{int(hour):02}:00"


def _says(text: str) -> str:
    return f"{text[:40]!r} is {NO_DATE}"


def _of(moment: datetime) -> Parts:
    day = moment.date()
    days = (day - _EPOCH).days
    return (
        float(day.year),
        float(day.month),
        float(day.weekday()),
        float(moment.hour),
        float(days),
    )
