"""Records inside a column: their JSON.

What an older Fairlead left out of one has its default when it is read; numbers keep every bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from fairlead.records import Allowance, Bounds, Digest, Trial, Verdict


def trials_to_json(trials: Iterable[Trial]) -> str:
    """Trials as one text; numbers keep every bit, parameters keep their order."""
    return json.dumps(
        [[trial.number, trial.family, dict(trial.params), trial.stop_beyond] for trial in trials]
    )


def trials_from_json(text: str) -> tuple[Trial, ...]:
    """The trials that `trials_to_json` wrote."""
    return tuple(
        Trial(
            number=number,
            family=family,
            params=params,
            stop_beyond=None if stop_beyond is None else tuple(stop_beyond),
        )
        for number, family, params, stop_beyond in json.loads(text)
    )


def scores_to_json(scores: Iterable[float]) -> str:
    """Scores as text; numbers keep every bit."""
    return json.dumps(list(scores))


def scores_from_json(text: str) -> tuple[float, ...]:
    """The scores that `scores_to_json` wrote."""
    return tuple(json.loads(text))


def verdict_to_json(verdict: Verdict | None) -> str | None:
    """A verdict as text; None stays None."""
    return None if verdict is None else json.dumps(asdict(verdict))


def verdict_from_json(text: str) -> Verdict:
    """The verdict that `verdict_to_json` wrote."""
    return Verdict(**json.loads(text))


def sources_to_json(sources: Mapping[str, Digest]) -> str:
    """The sources of a study's families as text."""
    return json.dumps(dict(sources))


def sources_from_json(text: str) -> dict[str, Digest]:
    """The sources that `sources_to_json` wrote."""
    sources: dict[str, Digest] = json.loads(text)
    return sources


def payload_to_json(payload: Mapping[str, object]) -> str:
    """What an entry of the outbox says, as text."""
    return json.dumps(payload)


def payload_from_json(text: str) -> dict[str, Any]:
    """The payload that `payload_to_json` wrote."""
    payload: dict[str, Any] = json.loads(text)
    return payload


def allowance_to_json(allowance: Allowance) -> str:
    """What a revision may use, as text."""
    return json.dumps(asdict(allowance))


def allowance_from_json(text: str) -> Allowance:
    """The allowance that `allowance_to_json` wrote; what an older Fairlead left out is default."""
    return Allowance(**json.loads(text))


def bounds_to_json(bounds: Bounds) -> str:
    """The bounds of a canary judge as text."""
    return json.dumps(asdict(bounds))


def bounds_from_json(text: str) -> Bounds:
    """The bounds that `bounds_to_json` wrote; what an older Fairlead left out is default."""
    return Bounds(**json.loads(text))


def steps_to_json(steps: Iterable[int]) -> str:
    """The steps of a deployment as text."""
    return json.dumps(list(steps))


def steps_from_json(text: str) -> tuple[int, ...]:
    """The steps that `steps_to_json` wrote."""
    return tuple(json.loads(text))


def names_to_json(names: Iterable[str] | None) -> str | None:
    """Names as text; None stays None."""
    return None if names is None else json.dumps(list(names))


def names_from_json(text: str | None) -> tuple[str, ...] | None:
    """The names that `names_to_json` wrote."""
    return None if text is None else tuple(json.loads(text))


def whole_numbers_to_json(numbers: Mapping[str, int]) -> str:
    """Whole numbers by name (percents by revision, routes by model) as text."""
    return json.dumps(dict(numbers))


def whole_numbers_from_json(text: str) -> dict[str, int]:
    """The numbers that `whole_numbers_to_json` wrote."""
    numbers: dict[str, int] = json.loads(text)
    return numbers
