"""The figures of several servers as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from serving_load import Figures

LOADS = ((1, 1), (1, 16), (64, 1), (64, 16))  # rows of a request, connections
TOP = (1, 16)  # the load whose rate is halved
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Load:
    """One load; the processor's seconds that the server took for each answer; and how many
    processors other programs took meanwhile.
    """

    figures: Figures
    cpu: float
    others: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One server in one round. `started` in seconds from typed to the first answer; bytes."""

    started: float
    resident: int
    own: int
    top: Mapping[tuple[int, int], Load]
    half: Load


Results = Mapping[str, Sequence[Measured]]
Value = Callable[[Measured], float]
Columns = Mapping[str, Value]


def report(results: Results) -> None:
    """Print every table. Figures are medians of the rounds, ratios medians of theirs."""
    for load in LOADS:
        rows, connections = load
        title = f"{_several(rows, 'row')}, {_several(connections, 'connection')}"
        _table(title, results, _top(load))
    _table("1 row at half of the top rate, 16 connections", results, _HALF)
    _table("start, and memory after the load", results, _COSTS)


def _top(load: tuple[int, int]) -> Columns:
    return _columns(lambda one: one.top[load])


def _columns(of: Callable[[Measured], Load]) -> Columns:
    return {
        "requests/s": lambda one: of(one).figures.rate,
        "p50 ms": lambda one: 1e3 * of(one).figures.p50,
        "p99 ms": lambda one: 1e3 * of(one).figures.p99,
        "p99 / p50": lambda one: of(one).figures.p99 / of(one).figures.p50,
        "errors": lambda one: of(one).figures.errors,
        "CPU ms an answer": lambda one: 1e3 * of(one).cpu,
        "others' processors": lambda one: of(one).others,
    }


_HALF = _columns(lambda one: one.half)
_COSTS: Columns = {
    "typed to first answer, s": lambda one: one.started,
    "RSS of all processes, MiB": lambda one: one.resident / _MIB,
    "the same, shared pages once, MiB": lambda one: one.own / _MIB,
}


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count > 1)}"


def _table(title: str, results: Results, columns: Columns) -> None:
    """One line a server; its first value also as the first server's to this one's."""
    reference, first = next(iter(results)), next(iter(columns))
    print(f"\n{title}\n")
    print(f"| server | {' | '.join(columns)} | {first}: {reference}'s to this |")
    print("|---" * (len(columns) + 2) + "|")
    for name, measured in results.items():
        cells = [_number(statistics.median(map(value, measured))) for value in columns.values()]
        ratio = _ratio(results[reference], measured, columns[first])
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |")


def _ratio(ours: Sequence[Measured], theirs: Sequence[Measured], value: Value) -> float:
    return statistics.median(
        value(one) / value(other) for one, other in zip(ours, theirs, strict=True)
    )


def _number(value: float) -> str:
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"
