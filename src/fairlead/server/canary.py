"""The canary judge: whether a step of a deployment passes, has regressed, or is undecided.

Each step is judged on what was observed during it, once it has lasted long enough and the new
revision has had enough requests. Before that, only errors and refusals are looked at, at a far
stricter level, because looking again and again finds something in the end. `judge` is the rule and
`total` the sum over servers, both pure; `CanaryMetrics` gives what the processes of this server
counted since the step began.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TypeAlias

from fairlead.records import Bounds, Observed, StepObservation
from fairlead.serving.telemetry.counters import LATENCY_EDGES

_LEVEL = 0.01
"""Probability below which chance is no explanation any more, at the end of a step."""
_EARLY = 1e-6
"""The same while the step goes on, where every look is another chance to be wrong."""
_TAIL = 0.05
"""Share of requests that are slower than the 95th percentile."""
_SLACK = 0.005
"""Seconds by which the latency may always differ."""
_DEVIATIONS = 3.0
"""Standard deviations of the noise that drift has to stand out from."""
_FIRST = 2.0
"""Seconds of a step that each server is heard of; what it tells is up to a second old."""


@dataclass(frozen=True, kw_only=True)
class Passed:
    """Nothing was found against the next step."""


@dataclass(frozen=True, kw_only=True)
class Regressed:
    """The new revision is worse."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """Too little was observed so far."""

    reason: str


CanaryVerdict: TypeAlias = Passed | Regressed | Undecided


def judge(
    bounds: Bounds, *, candidate: Observed, others: Observed, seconds: float
) -> CanaryVerdict:
    """Judge a step.

    Args:
        bounds: What is tolerated, and how much must have been observed.
        candidate: Observed of the new revision during the step.
        others: Observed of the other revisions of the route during it.
        seconds: That the step has lasted.
    """
    missing = _missing(bounds, candidate, seconds)
    level = _EARLY if missing else _LEVEL
    found = (find(bounds, candidate, others, level) for find in (_errors, _refused))
    if reason := next(filter(None, found), ""):
        return Regressed(reason=reason)
    if missing:
        return Undecided(reason=missing)
    reason = _latency(bounds, candidate, others) or _drift(bounds, candidate, others)
    return Regressed(reason=reason) if reason else Passed()


def _missing(bounds: Bounds, candidate: Observed, seconds: float) -> str:
    if candidate.asked < bounds.requests:
        return f"{candidate.asked} of {bounds.requests} requests so far"
    if seconds < bounds.hold:
        return f"{seconds:.0f} of {bounds.hold:g} s so far"
    return ""


@dataclass(frozen=True, kw_only=True)
class _Share:
    count: int
    of: int


_NONE = _Share(count=0, of=0)


def _errors(bounds: Bounds, candidate: Observed, others: Observed, level: float) -> str:
    """Whether more of its requests fail than of the others'.

    Others that fail more often than not are no reference: the new revision then has to work by
    itself.
    """
    its = _Share(count=candidate.errors, of=candidate.requests)
    theirs = _Share(count=others.errors, of=others.requests)
    reference = _NONE if theirs.count > theirs.of / 2 else theirs
    return (
        _in_words(its, "failed", theirs) if _exceeds(its, reference, bounds.errors, level) else ""
    )


def _refused(bounds: Bounds, candidate: Observed, others: Observed, level: float) -> str:
    """Whether more of them are refused: it may require a column that clients do not send."""
    its = _Share(count=candidate.refused, of=candidate.asked)
    theirs = _Share(count=others.refused, of=others.asked)
    what = "were refused (4xx)"
    return _in_words(its, what, theirs) if _exceeds(its, theirs, bounds.errors, level) else ""


def _exceeds(its: _Share, theirs: _Share, margin: float, level: float) -> bool:
    """Whether its share is larger than theirs, and by more than the margin and chance explain.

    Two one-sided tests must agree: the binomial one, against their share plus the margin, and
    Fisher's exact one, which knows that their share is an estimate, too.
    """
    usual = theirs.count / theirs.of if theirs.of else 0.0
    allowed = min(usual + margin, 1.0)
    if not its.count or _at_least(its.count, its.of, allowed) >= level:
        return False
    return not theirs.of or _fisher(its, theirs) < level


def _in_words(its: _Share, what: str, theirs: _Share) -> str:
    return (
        f"{its.count} of its {its.of} requests {what}, against {theirs.count} of {theirs.of} of "
        "the others'"
    )


def _latency(bounds: Bounds, candidate: Observed, others: Observed) -> str:
    """Whether more than a twentieth of its requests are slower than the bound, beyond chance.

    The bound is a multiple of the others' 95th percentile, and lies at the end of a bucket.
    """
    usual = percentile(others.latency)
    bound = _end_of_bucket(bounds.slower * usual + _SLACK) if usual else None
    if bound is None:
        return ""
    slower = sum(candidate.latency[bound + 1 :])
    if not slower or _at_least(slower, sum(candidate.latency), _TAIL) >= _LEVEL:
        return ""
    return (
        f"{slower} of its {sum(candidate.latency)} answers took more than "
        f"{1000 * LATENCY_EDGES[bound]:g} ms; 95 % of the others' took at most "
        f"{1000 * (usual or 0.0):g} ms"
    )


def percentile(latency: tuple[int, ...], share: float = 1.0 - _TAIL) -> float | None:
    """Upper end, in seconds, of the bucket in which so large a share of answers is reached.

    None where nothing was observed, or the share is reached in the open bucket only.
    """
    needed = share * sum(latency)
    for end, reached in zip(LATENCY_EDGES, _running(latency), strict=False):
        if needed and reached >= needed:
            return end
    return None


def _running(counts: tuple[int, ...]) -> Iterator[int]:
    total = 0
    for count in counts:
        total += count
        yield total


def _end_of_bucket(seconds: float) -> int | None:
    """Index of the first bucket that ends there or later; None for the open one."""
    return next((i for i, end in enumerate(LATENCY_EDGES) if end >= seconds), None)


def _drift(bounds: Bounds, candidate: Observed, others: Observed) -> str:
    """Whether its predictions are distributed differently, by more than the bound and the noise."""
    if not (sum(candidate.bins) and sum(others.bins)):
        return ""
    found = stability(candidate.bins, others.bins)
    noise = _noise(len(candidate.bins), candidate.requests, others.requests)
    if found <= bounds.drift + noise:
        return ""
    return (
        f"its predictions drifted from the others': population stability index {found:.2f}, where "
        f"{bounds.drift:g} is allowed and {noise:.2f} may be chance"
    )


def stability(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The population stability index of two lists of counts over the same bins.

    The sum over bins of (p - q) ln(p / q), with half a count added to each bin so that an empty
    one is no infinity. (Siddiqi, Credit Risk Scorecards, 2006; it is Jeffreys' divergence.)
    """
    bins = max(len(one), len(other))
    total = sum(
        (p - q) * math.log(p / q)
        for p, q in zip(_shares(one, bins), _shares(other, bins), strict=True)
    )
    return float(total)


def _shares(counts: tuple[int, ...], bins: int) -> list[float]:
    padded = [*counts, *(0,) * (bins - len(counts))]
    whole = sum(padded) + 0.5 * bins
    return [(count + 0.5) / whole for count in padded]


def _noise(bins: int, one: int, other: int) -> float:
    """What the index may be by chance alone: its mean and so many deviations.

    Between two samples of one distribution it is about (1/n + 1/m) times a chi-squared variable
    of bins - 1 degrees of freedom. n and m are numbers of requests: rows that came together may
    well be alike. (Yurdakul and Naranjo, Statistical properties of the population stability
    index, 2020.)
    """
    scale = 1.0 / max(one, 1) + 1.0 / max(other, 1)
    freedom = bins - 1
    return scale * (freedom + _DEVIATIONS * math.sqrt(2.0 * freedom))


def _fisher(its: _Share, theirs: _Share) -> float:
    """Probability that so many or more of all that were counted are its own, by chance alone."""
    from scipy.stats import hypergeom

    counted, of = its.count + theirs.count, its.of + theirs.of
    return float(hypergeom.sf(its.count - 1, of, counted, its.of))


def _at_least(count: int, of: int, share: float) -> float:
    """Probability of so many or more, where each of them happens with this probability."""
    from scipy.special import bdtrc

    return float(bdtrc(count - 1, of, share)) if share < 1.0 else 1.0


def total(observations: Sequence[StepObservation], revisions: Iterable[str]) -> Observed:
    """What all servers have observed of these revisions.

    Predictions are left out where servers count them over different edges, as where one of them
    cannot load the revision that the edges are of: they could not be compared.

    Args:
        observations: Of one step, one of each server.
        revisions: Their names.
    """
    nothing = Observed()
    found = [one.revisions.get(name, nothing) for name in revisions for one in observations]
    summed = reduce(add, found, nothing)
    return summed if len({one.edges for one in observations}) <= 1 else replace(summed, bins=())


def duration(observations: Sequence[StepObservation], servers: Iterable[str]) -> float:
    """Seconds that the step has lasted.

    It is as old as whoever has observed it longest says, once each that shares its traffic has told
    of its first seconds; until then as old as the last of them says. So a server that begins
    meanwhile is heard, and does not have the others wait anew for the whole time.

    Args:
        observations: Of the step.
        servers: Ids of those that share its traffic.
    """
    known = {one.server: one.seconds for one in observations}
    shortest = min((known.get(server, 0.0) for server in servers), default=0.0)
    return shortest if shortest < _FIRST else max(known.values())


Counted: TypeAlias = Mapping[tuple[str, str], Observed]
"""By model and revision."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What had been counted when a step began.

    Args:
        counted: Until then.
        at: By the clock, until when all that the processes counted was known.
    """

    counted: Counted
    at: float


class CanaryMetrics:
    """What the serving processes of this server counted during a step.

    Args:
        count: Gives what was counted since the server began.
        until: Gives the time, by a monotonic clock, until which all that the processes counted is
            known.
    """

    def __init__(self, count: Callable[[], Counted], until: Callable[[], float]) -> None:
        self._count, self._until = count, until

    def baseline(self, *, after: float) -> Baseline | None:
        """The beginning of a step, once all that was counted before it is known.

        Otherwise smoke tests would be taken for traffic.

        Args:
            after: By the clock; requests until then do not belong to the step.
        """
        until = self._until()  # first: the counts may be of later, never of earlier
        return None if until < after else Baseline(counted=self._count(), at=until)

    def since(
        self, baseline: Baseline, model: str, revisions: Collection[str]
    ) -> tuple[Mapping[str, Observed], float]:
        """What was counted of these revisions since the beginning of a step, and for how long.

        Returns:
            By name; and the seconds of which all counts are known.
        """
        seconds = max(self._until() - baseline.at, 0.0)
        now, nothing = self._count(), Observed()
        counted = {
            name: now.get((model, name), nothing) - baseline.counted.get((model, name), nothing)
            for name in revisions
        }
        return counted, seconds
