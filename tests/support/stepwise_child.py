"""The child of a worker, for which scikit-learn's Ridge is fitted in steps that tell how they go.

A fit has $STEPS steps of $STEP_SECONDS each. They compute nothing: the model is Ridge's own. Each
appends the rows of its fold and its number to the file $STEPS_TAKEN, so that a test sees what was
taken again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairlead.families import catalog
from fairlead.families.family import Array, Estimator, Fitted
from fairlead.families.imported import Imported
from fairlead.gang.network import Arrays, StepResult
from fairlead.gang.work import Vector, Work
from fairlead.spec.document import Train
from fairlead.training import task_fits
from fairlead.worker import child


@dataclass
class CountedSteps:
    """A model in training whose steps are counted."""

    estimator: Estimator
    x: Array
    y: Array
    step: int = 0

    def next(self) -> Work | None:
        if self.step == int(os.environ["STEPS"]):
            return None
        state = np.zeros(1, np.float32)
        return Work(kind="gradients", step=self.step, parts=1, state=state)

    def part(self, work: Work, number: int) -> Vector:
        time.sleep(float(os.environ["STEP_SECONDS"]))
        return np.asarray([work.step], np.float32)

    def advance(self, work: Work, total: Vector) -> StepResult:
        with Path(os.environ["STEPS_TAKEN"]).open("a") as taken:
            taken.write(f"{len(self.x)} {work.step}\n")
        self.step += 1
        steps = int(os.environ["STEPS"])
        loss = 1 / (1 + float(total[0]))
        return StepResult(
            step=work.step, steps=steps, epoch=0.5, loss=loss, accuracy=None, rows=len(self.x)
        )

    def checkpoint(self) -> Arrays:
        return {"step": np.asarray(self.step)}

    def restore(self, arrays: Arrays) -> None:
        self.step = int(arrays["step"])


class StepwiseImported(Imported):
    """A family by import path whose fit is a series of steps."""

    def network(
        self,
        estimator: Estimator,
        x: Array,
        y: Array,
        *,
        classes: int | None,
        train: Train | None,
        stages: Sequence[int] = (),
    ) -> CountedSteps:
        return CountedSteps(estimator, x, y)

    def fitted(self, network: CountedSteps) -> Fitted:
        return self.fit(network.estimator, network.x, network.y, classes=None)


def main() -> None:
    catalog.Imported = StepwiseImported  # type: ignore[misc] # the program's own families
    task_fits.REPORT = float(os.environ["REPORT_SECONDS"])
    task_fits.CHECKPOINT = float(os.environ["CHECKPOINT_SECONDS"])
    descriptor, cache, size, parent = sys.argv[1:]
    child.main(int(descriptor), os.environ["FAIRLEAD_ARTIFACTS"], cache, int(size), int(parent))


if __name__ == "__main__":
    main()
