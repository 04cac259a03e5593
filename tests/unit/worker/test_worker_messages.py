"""Messages between a worker and its child are decoded as they were encoded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.records import FitProgress, Result, Trial
from fairlead.worker.messages import (
    Began,
    FamiliesChecked,
    FitProgressed,
    Message,
    OpenStudy,
    Raised,
    Refitted,
    StudyReady,
    TaskRequest,
    TrialsScored,
    decode,
    encode,
)

PROGRESS = FitProgress(
    trial=3,
    fold=0,
    step=7,
    steps=90,
    epoch=1 / 3,
    loss=0.1 + 0.2,
    accuracy=None,
    rows_per_second=1e-300,
    workers=4,
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trials = st.builds(
    Trial,
    number=st.integers(0, 10**6),
    family=st.text(min_size=1),
    params=st.dictionaries(st.text(), scalars),
    stop_beyond=st.none() | st.lists(st.floats(allow_nan=False)).map(tuple),
    stop_beyond_epoch=st.none() | st.lists(st.floats(allow_nan=False)).map(tuple),
)
results = st.builds(
    Result,
    number=st.integers(0, 10**6),
    state=st.sampled_from(["done", "failed", "pruned"]),
    scores=st.lists(st.floats(allow_nan=False)).map(tuple),
    score=st.none() | st.floats(allow_nan=False),
    reason=st.none() | st.text(),
    curve=st.lists(st.floats(allow_nan=False)).map(tuple),
)


@given(trials=st.lists(trials).map(tuple), kind=st.sampled_from(["trials", "refit"]))
def test_a_task_request_arrives_whole(trials: tuple[Trial, ...], kind: str) -> None:
    request = TaskRequest(
        token=1,
        kind=kind,
        study="s",
        spec="{}",
        table="t",
        sources={"./f.py:F": "d"},
        trials=trials,
        checkpoint="c" * 64 if kind == "refit" else None,
    )
    assert decode(encode(request)) == request
    assert encode(request).count(b"\n") == 1


@given(results=st.lists(results).map(tuple))
def test_every_float_of_a_result_arrives_to_the_last_bit(results: tuple[Result, ...]) -> None:
    assert decode(encode(TrialsScored(token=1, results=results))) == TrialsScored(
        token=1, results=results
    )


@pytest.mark.parametrize(
    "message",
    [
        OpenStudy(study="s", spec="{}", table="t", sources={"./f.py:F": "d"}),
        StudyReady(study="s"),
        Began(token=1),
        FamiliesChecked(remarks=("one", "two")),
        Raised(token=1, reason="no"),
        Raised(token=1, reason="away", transient=True),
        Refitted(token=1, candidate="ab"),
        FitProgressed(token=1, progress=PROGRESS),
        FitProgressed(token=1, progress=replace(PROGRESS, fold=None, checkpoint="c" * 64)),
    ],
)
def test_other_messages_arrive_too(message: Message) -> None:
    assert decode(encode(message)) == message
