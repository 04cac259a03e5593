"""What a family is.

Belongs here: the Protocol that every family keeps. Does not: any library; each family's module
imports its own, inside the functions that need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from fairlead.records import Params
from fairlead.spec.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Task: TypeAlias = Literal["regression", "classification"]
Estimator: TypeAlias = Any
"""A fitted or unfitted model of the family's own library; only its family looks inside."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A fitted model in its family's own safe format."""

    name: str  # of the file, such as model.json
    content: bytes


class Family(Protocol):
    """A kind of model that can be trained.

    Arrays: `x` is float64 [rows, features] (NaN only where the spec imputes nothing and the family
    takes missing values); `y` is float64 [rows], or int64 [rows] class indexes 0 .. k - 1.
    Predictions are float64 [rows] for regression and float64 [rows, classes] probabilities for
    classification.
    """

    name: str

    def check(self, params: Params, task: Task) -> None:
        """Refuse parameters that the estimator does not have.

        Raises:
            InvalidSpec: Says which, and suggests the nearest that it has.
        """
        ...

    def space(self, task: Task) -> Space:
        """What is searched where the spec names no parameters."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Packages whose versions (or files whose digests) decide what a fit gives."""
        ...

    def canonical(self, params: Params) -> Params:
        """Parameters that give the same fit, written the same way."""
        ...

    def stage(self, params: Params) -> str | None:
        """The parameter along which one fit serves several trials (`n_estimators`), if any.

        Given only where the scores of every prefix are bit for bit those of separate fits.
        """
        ...

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """An unfitted estimator: the library's defaults, these parameters, this seed."""
        ...

    def fit(self, estimator: Estimator, x: NDArray[np.float64], y: NDArray[Any]) -> Estimator:
        """The estimator, fitted on these rows."""
        ...

    def predict(self, fitted: Estimator, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions for these rows."""
        ...

    def stages(
        self, fitted: Estimator, x: NDArray[np.float64], at: Sequence[int]
    ) -> Iterator[NDArray[np.float64]]:
        """Predictions of the fit cut off at each of these lengths, given in rising order."""
        ...

    def onnx(self, fitted: Estimator, task: Task, *, width: int) -> bytes:
        """The fitted model as ONNX.

        Its one input is `features` (float32, [rows, width]); its one output is `prediction`
        (float32, [rows, 1] or [rows]) or `probabilities` (float32, [rows, classes]).

        Raises:
            Unexportable: There is no converter for it.
        """
        ...

    def save(self, fitted: Estimator) -> Saved:
        """The fitted model in the family's own safe format; never pickle."""
        ...

    def load(self, saved: Saved, task: Task) -> Estimator:
        """What `save` wrote."""
        ...
