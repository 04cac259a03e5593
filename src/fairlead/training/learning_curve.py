"""The learning curve of a trial: its score on the first fold at the end of each epoch of the fit.

The trial is pruned at the end of an epoch where its score is worse than the given bound. The end of
the whole fit prunes nothing: what is saved by then is other folds, and these have a rule of their
own, by which whole fits are compared with whole fits.
"""

from __future__ import annotations

from fairlead.errors import Diverged
from fairlead.gang.network import StepResult
from fairlead.metrics import Metric
from fairlead.records import FIRST_JUDGED, Trial
from fairlead.training.fit import Judged


class LearningCurve:
    """Scores at the ends of epochs.

    Args:
        trial: Whose they are.
        metric: What they are.
    """

    def __init__(self, trial: Trial, metric: Metric) -> None:
        self.scores: tuple[float, ...] = ()
        self._bounds = trial.stop_beyond_epoch or ()
        self._metric = metric

    def is_due(self, result: StepResult) -> bool:
        """Whether an epoch ended with this step."""
        return int(result.epoch) > len(self.scores)

    def add(self, result: StepResult, judged: Judged) -> str | None:
        """Take the score after the step that an epoch ended with.

        Returns:
            Why the trial is pruned now, if it is.

        Raises:
            Diverged: There is no score.
        """
        epoch = int(result.epoch)
        if isinstance(judged, str):
            raise Diverged(f"epoch {epoch}: {judged}")
        # A step may go over several epochs.
        self.scores += (judged,) * (epoch - len(self.scores))
        bound = self._bound(epoch)
        is_last = result.step + 1 == result.steps
        if is_last or bound is None or not self._metric.better(bound, judged):
            return None
        return f"its score after epoch {epoch}, {judged:.6g}, is worse than the median, {bound:.6g}"

    def _bound(self, epoch: int) -> float | None:
        place = epoch - FIRST_JUDGED
        return self._bounds[place] if 0 <= place < len(self._bounds) else None
