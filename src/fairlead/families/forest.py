"""scikit-learn's forests: random_forest and extra_trees.

A forest is fitted tree by tree with seeds by place, so that its first trees are a smaller forest:
trials that differ in the number of trees share a fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.families.family import Array, Estimator, Fitted, Task
from fairlead.families.onnx_graph import finished
from fairlead.families.onnx_trees import OUTPUT, ensemble
from fairlead.families.parameters import AFRESH, SEED, SILENT, THREADS, Names
from fairlead.families.scikit import Scikit, widened
from fairlead.records import Params
from fairlead.spec.space import Range, Space

_RESERVED = {
    "n_jobs": THREADS,
    "random_state": SEED,
    "verbose": SILENT,
    "warm_start": AFRESH,
}


@dataclass(frozen=True, kw_only=True)
class Forest(Scikit):
    """A forest of scikit-learn's, fitted and predicting with one thread.

    With more, the trees' predictions are added in the order in which threads finish, and the sum
    changes in its last bit from one run to the next.

    Args:
        name: As the spec writes it.
        regressor: Name of the class in sklearn.ensemble.
        classifier: Name of the class in sklearn.ensemble.
    """

    regressor: str
    classifier: str

    def names(self, task: Task) -> Names:
        """Those of the class."""
        known = self._class(task)().get_params()
        return Names(known=known, reserved=_RESERVED)

    def space(self, task: Task) -> Space:  # noqa: ARG002 - the same for both
        """Size, depth, leaves, and how many features a split may choose from."""
        return {
            "n_estimators": (100, 200, 300, 400, 500),
            "max_depth": (None, 8, 16, 32),
            "min_samples_leaf": Range(low=1, high=20, log=True),
            "max_features": Range(low=0.2, high=1.0),
        }

    def canonical(self, params: Params) -> Params:
        """A node with fewer rows than two leaves need is never split.

        scikit-learn raises `min_samples_split` to twice `min_samples_leaf` itself; here both are
        given the same name.
        """
        leaf, split = params.get("min_samples_leaf"), params.get("min_samples_split", 2)
        if type(leaf) is int and type(split) is int:
            return {**params, "min_samples_split": max(split, 2 * leaf)}
        return params

    def stage(self, params: Params) -> str | None:
        """The number of trees: each tree's seed depends on its place only."""
        count = params.get("n_estimators")
        return "n_estimators" if type(count) is int and count > 0 else None

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:  # noqa: ARG002 - see the class
        """An unfitted forest."""
        return self._class(task)(**params, n_jobs=1, random_state=seed)

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Add up the trees in order, as the forest's own predict does."""
        import numpy as np

        rows = np.ascontiguousarray(x, dtype=np.float32)
        total: Any = 0.0
        for count, tree in enumerate(fitted.model.estimators_[: at[-1]], start=1):
            total = total + _prediction(tree, rows, fitted.task)
            if count in at:
                yield _mean(total, count, fitted)

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The trees as one ONNX node."""
        trees = [tree.tree_ for tree in fitted.model.estimators_]
        model = ensemble(trees, targets=max(1, len(fitted.seen)))
        return finished(model, OUTPUT, fitted, width=width)

    def _class(self, task: Task) -> Any:
        import sklearn.ensemble

        return getattr(
            sklearn.ensemble, self.regressor if task == "regression" else self.classifier
        )


RANDOM_FOREST = Forest(
    name="random_forest", regressor="RandomForestRegressor", classifier="RandomForestClassifier"
)
EXTRA_TREES = Forest(
    name="extra_trees", regressor="ExtraTreesRegressor", classifier="ExtraTreesClassifier"
)


def _prediction(tree: Any, rows: Array, task: Task) -> Array:
    ask = tree.predict if task == "regression" else tree.predict_proba
    predicted: Array = ask(rows, check_input=False)
    return predicted


def _mean(total: Array, count: int, fitted: Fitted) -> Array:
    mean: Array = total / count
    return mean if fitted.classes is None else widened(mean, fitted)
