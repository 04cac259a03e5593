"""What happened to a run's tasks, line by line, with the trials that each line is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.formatting import plain
from fairlead.ledger.interface import Ledger
from fairlead.records import Event, Result, Run, TaskSubject

_PAGE = 10_000
"""Lines that are read at a time."""
_LAST = 2**63 - 1
_FAULTS = {"faulted", "lost", "released", "withdrawn"}


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of the history of a run's study.

    Args:
        event: The line.
        subject: What its task is about; None where it is about no task.
        results: What was committed by it, one for each trial.
    """

    event: Event
    subject: TaskSubject | None
    results: tuple[Result, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The event, with the kind and the trials of its task, and their scores."""
        return {
            **plain(self.event),
            "task_kind": self.subject.kind if self.subject else None,
            "trials": list(self.subject.trials) if self.subject else [],
            "scores": [plain(result.score) for result in self.results],
        }


class RunLog:
    """The history of a run's study since the run began, read on from where it was read last.

    Args:
        ledger: Where it is.
        run: Which.
        faults: Only attempts that ended without a result.
    """

    def __init__(self, ledger: Ledger, run: Run, *, faults: bool = False) -> None:
        self._ledger = ledger
        self._run = run
        self._faults = faults
        self._last = 0
        self._subjects: Mapping[int, TaskSubject] = {}
        self._results: dict[int, Result] = {}
        self._mark = 0

    def read(self) -> Sequence[LogLine]:
        """The lines that came since the last call, the oldest first."""
        events = [event for event in self._new() if self._is_asked_for(event)]
        if any(event.task not in self._subjects for event in events if event.task is not None):
            self._subjects = self._ledger.tasks.subjects(self._run.study)
        if any(event.kind == "committed" for event in events):
            found, self._mark = self._ledger.studies.results(self._run.study, after=self._mark)
            self._results.update((result.number, result) for result in found)
        return [self._line(event) for event in events]

    def _new(self) -> Iterator[Event]:
        while lines := self._ledger.histories.lines(
            after=self._last, upto=_LAST, limit=_PAGE, study=self._run.study
        ):
            self._last = lines[-1].id
            yield from (line.event for line in lines)

    def _is_asked_for(self, event: Event) -> bool:
        return event.at >= self._run.began and (not self._faults or event.kind in _FAULTS)

    def _line(self, event: Event) -> LogLine:
        subject = None if event.task is None else self._subjects.get(event.task)
        if subject is None or event.kind != "committed" or subject.kind != "trials":
            return LogLine(event=event, subject=subject)
        results = (self._results.get(number) for number in subject.trials)
        return LogLine(event=event, subject=subject, results=tuple(filter(None, results)))
