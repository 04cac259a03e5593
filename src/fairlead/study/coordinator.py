"""The loop that moves a study's search along, as decide.py says.

It puts trials into the ledger and takes results from it; workers are somewhere else and may be
anybody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fairlead.ledger.interface import Ledger
from fairlead.records import NewTask, Result, Study, Trial
from fairlead.search import share
from fairlead.study import decide
from fairlead.study.plan import StudyPlan

_TELL_AGAIN = 5.0
"""Seconds after which workers are told again of tasks that still wait."""


class Coordinator:
    """One study's search.

    Several may work on one study at once: what they put in is the same, and put in once. One that
    is asked for fewer trials than the study has ends with these, and leaves the study as it is.

    Args:
        plan: What the study is made of.
        study: As the ledger has it.
        ledger: Where trials go and results come from.
        clock: Monotonic seconds.
        tell: Called with the number of tasks that are ready when some were put in, and now and then
            while some wait: whoever was to hear of it may not have.
    """

    def __init__(
        self,
        plan: StudyPlan,
        study: Study,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[int], None] = lambda _ready: None,
    ) -> None:
        self.study = study
        self.best: tuple[Trial, float] | None = None
        self.news = False  # whether the last `advance` saw results or put trials in
        self._plan = plan
        self._asked = plan.search.size
        self._ledger = ledger
        self._clock = clock
        self._tell = tell
        self._told = clock()
        self._started = clock()
        self._trials = {row.trial.number: row.trial for row in ledger.studies.trials(study.id)}
        self._search = plan.resumed(tuple(self._trials.values()))
        self._added = 0
        self._withdrawn = False
        self._reached: int | None = None
        self._mark = 0
        self._early: dict[int, Result] = {}  # results that came before those of earlier trials
        self._history: list[Result] = []  # results of trials 0, 1, 2 ... without a gap

    @property
    def elapsed(self) -> float:
        """Seconds since this coordinator began."""
        return self._clock() - self._started

    @property
    def size(self) -> int:
        """How many trials there are to be."""
        return min(self._asked, self.study.size)

    def advance(self) -> bool:
        """Take in new results and carry out steps until there is nothing more to do now.

        Returns:
            Whether the search goes on.
        """
        self.news = self._take_in()
        if not self.news and self._finished_elsewhere():
            return False
        while (step := decide.next_step(self._progress())) is not None:
            self.news = True
            match step:
                case decide.Add(first=first, last=last):
                    self._add(first, last)
                case decide.Withdraw():
                    self._ledger.studies.withdraw(self.study.id)
                    self._withdrawn = True
                case decide.Finish(size=size):
                    if self._finish(size):
                        return False
        return True

    def begin(self) -> None:
        """Put in the trials that can be known by now, and leave all else to who carries the run.

        Who submits may not end a search: what a study came to is not theirs to say.
        """
        self._take_in()
        while isinstance(step := decide.next_step(self._progress()), decide.Add):
            self._add(step.first, step.last)

    def _finished_elsewhere(self) -> bool:
        """Whether another coordinator of this study came to its end first."""
        self.study = self._ledger.studies.get(self.study.id)
        return self.study.state == "finished"

    def _take_in(self) -> bool:
        results, self._mark = self._ledger.studies.results(self.study.id, after=self._mark)
        for result in results:
            self._early[result.number] = result
            self._weigh(result)
        self._line_up()
        return bool(results)

    def _line_up(self) -> None:
        begin = len(self._history)
        while (following := self._early.pop(len(self._history), None)) is not None:
            self._history.append(following)
        if self._reached is None:
            until = self._plan.spec.search.until
            self._reached = decide.reached(self._history[begin:], until, self._plan.metric)

    def _weigh(self, result: Result) -> None:
        metric = self._plan.metric
        if result.score is None or result.number not in self._trials:
            return
        if self.best is None or metric.better(result.score, self.best[1]):
            self.best = (self._trials[result.number], result.score)

    def _progress(self) -> decide.SearchState:
        counts = self._ledger.studies.counts(self.study.id)
        if counts.ready and self._clock() - self._told > _TELL_AGAIN:
            self._tell_again(counts.ready)
        asked = self._plan.spec.search
        return decide.SearchState(
            size=self.size,
            lag=self._search.lag,
            chunk=self._search.chunk,
            added=self._added,
            complete=len(self._history),
            ready=counts.ready,
            running=counts.running,
            reached=self._reached,
            out_of_time=asked.time is not None and self.elapsed > asked.time,
            withdrawn=self._withdrawn,
        )

    def _add(self, first: int, last: int) -> None:
        missing = [number for number in range(first, last) if number not in self._trials]
        trials = [self._search.suggest(number, self._history) for number in missing]
        self._trials.update((trial.number, trial) for trial in trials)
        pruned = self._plan.spec.search.prune is not None
        groups = share.tasks(trials, self._plan.families.__getitem__, prune=pruned)
        tasks = [NewTask(kind="trials", trials=tuple(group)) for group in groups]
        self._ledger.tasks.add(self.study.id, tasks)
        self._added = last
        if tasks:
            self._tell_again(len(tasks))

    def _tell_again(self, ready: int) -> None:
        self._told = self._clock()
        self._tell(ready)

    def _finish(self, size: int) -> bool:
        """False where somebody extended the study meanwhile."""
        if size == self.size < self.study.size and self._reached is None:
            return True  # what follows is for whoever asked for it
        best = self._plan.metric.best([result.score for result in self._history[:size]])
        studies, of = self._ledger.studies, self.study.size
        finished = studies.finish(self.study.id, of=of, size=size, best=best)
        self.study = studies.get(self.study.id)
        return finished
