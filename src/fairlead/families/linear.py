"""Linear models: elastic net and logistic regression, on standardised features.

Other linear models are named by import path (imported.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fairlead.families.family import Estimator, Task
from fairlead.families.parameters import AFRESH, SEED, SILENT, THREADS, Names
from fairlead.families.scikit import Scikit, refuse_values
from fairlead.records import Params
from fairlead.spec.space import Range, Space

_RESERVED = {
    "n_jobs": THREADS,
    "random_state": SEED,
    "verbose": SILENT,
    "warm_start": AFRESH,
}


@dataclass(frozen=True, kw_only=True)
class Linear(Scikit):
    """StandardScaler, then ElasticNet or LogisticRegression, whose parameters the spec gives."""

    def names(self, task: Task) -> Names:
        """Those of the last step."""
        return Names(known=_class(task)().get_params(), reserved=_RESERVED)

    def space(self, task: Task) -> Space:
        """Strength and kind of the penalty."""
        if task == "regression":
            return {
                "alpha": Range(low=1e-4, high=10.0, log=True),
                "l1_ratio": Range(low=0.0, high=1.0),
                "max_iter": 10_000,
            }
        return {"C": Range(low=1e-3, high=100.0, log=True), "max_iter": 1000}

    def check(self, params: Params, task: Task) -> None:
        """Refuse names and values that the last step does not take."""
        super().check(params, task)
        refuse_values(self.name, self.build(params, task, seed=0, threads=1)[-1])

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:  # noqa: ARG002 - neither model has threads
        """An unfitted pipeline of the two steps."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), _class(task)(**params, random_state=seed))


LINEAR = Linear(name="linear")


def _class(task: Task) -> Any:
    import sklearn.linear_model

    return (
        sklearn.linear_model.ElasticNet
        if task == "regression"
        else sklearn.linear_model.LogisticRegression
    )
