"""The Protocol of a family: a kind of model that can be trained, saved and exported.

Each family imports its library inside the functions that need it, so that a spec can be checked and
a command can start without loading any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from fairlead.gang.network import Network
from fairlead.records import Params
from fairlead.spec.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.spec.document import Train

Task: TypeAlias = Literal["regression", "classification"]
Estimator: TypeAlias = Any
"""An unfitted model of the family's own library; only its family uses its attributes."""
Array: TypeAlias = "NDArray[Any]"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted model.

    Args:
        model: The library's own object; only its family uses its attributes.
        classes: Number of columns of its predictions; None for regression.
        seen: The class indexes that the training rows held, in rising order: the model knows no
            other; empty for regression.
    """

    model: Any
    classes: int | None = None
    seen: tuple[int, ...] = ()

    @property
    def task(self) -> Task:
        """Regression or classification."""
        return "regression" if self.classes is None else "classification"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A fitted model in its family's own safe format."""

    name: str  # of the file, such as model.json
    content: bytes


class Family(Protocol):
    """A kind of model that can be trained.

    Arrays: `x` is float64 [rows, features] (NaN only where the spec imputes nothing and the family
    takes missing values); `y` is float64 [rows], or int64 [rows] class indexes 0 .. k - 1.
    Predictions are [rows] for regression and [rows, classes] probabilities for classification, in
    the library's own precision (float64; float32 from XGBoost): scikit-learn's scores depend on
    it, and they are to be those of the library by itself.
    """

    @property
    def name(self) -> str:
        """As the spec writes it."""
        ...

    @property
    def library(self) -> str | None:
        """What it needs beside scikit-learn: its import name, and that of Fairlead's extra."""
        ...

    def needed(self) -> frozenset[str]:
        """The parameters without a default.

        Raises:
            InvalidSpec: The family cannot be imported.
        """
        ...

    def check(self, params: Params, task: Task) -> None:
        """Refuse parameters that the estimator does not have, or that Fairlead sets itself.

        Raises:
            InvalidSpec: Names it, and suggests the nearest that it has.
        """
        ...

    def unexportable(self, params: Params, task: Task) -> str | None:
        """Why its models can have no ONNX form, as far as that is known before one is fitted."""
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
        """The one of these parameters along which trials can share a fit, if any.

        It is an `int` in `params`. Given only where the scores of every prefix are bit for bit
        those of separate fits.
        """
        ...

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """An unfitted estimator: the library's defaults, these parameters, this seed."""
        ...

    def fit(self, estimator: Estimator, x: Array, y: Array, *, classes: int | None) -> Fitted:
        """The estimator, fitted on these rows.

        Args:
            estimator: From `build`.
            x: The rows.
            y: Their targets.
            classes: Number of classes of the table, some of which may have no row here; None for
                regression.

        Raises:
            InvalidData: All rows are of one class.
        """
        ...

    def predict(self, fitted: Fitted, x: Array) -> Array:
        """Predictions for these rows."""
        ...

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Predictions of the fit cut off at each of these lengths, given in rising order."""
        ...

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The fitted model as ONNX.

        Its one input is `features` (float32, [rows, width]); its one output is `prediction`
        (float32, [rows]) or `probabilities` (float32, [rows, classes]).

        Raises:
            Unexportable: There is no converter for it.
        """
        ...

    def save(self, fitted: Fitted) -> Saved:
        """The fitted model in the family's own safe format; never pickle.

        Raises:
            Unexportable: It contains a type that `load` does not trust.
        """
        ...

    def load(self, saved: Saved, *, classes: int | None) -> Fitted:
        """What `save` wrote.

        Raises:
            Corrupt: It is damaged, or contains a type that is not trusted.
        """
        ...


@runtime_checkable
class Batches(Protocol):
    """The rows of `x` where they are too many for memory: they are made when they are asked for.

    An array of them is what `numpy.asarray` makes of this.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """As an array's."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, rows: slice | Array) -> Array:
        """These rows, float64 [rows, features]."""
        ...

    def blocks(self) -> Iterator[Array]:
        """All rows in order, some at a time."""
        ...

    def take(self, rows: NDArray[np.intp]) -> Batches:
        """These rows, in this order; none is made."""
        ...


Matrix: TypeAlias = "Array | Batches"
"""Rows of features: those of a family that is no `Batchwise` are an array."""


@runtime_checkable
class Batchwise(Protocol):
    """A family that can be fitted on `Batches`.

    Its `fit` takes them for `x`, and gives the bits that it gives of the array.
    """

    def whole(self, params: Params) -> str | None:
        """Why a fit of these parameters needs all rows at once; None where it does not."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A family whose fit is a series of steps, which several processes can compute together.

    Its `fit` takes the same steps alone.
    """

    def network(  # noqa: PLR0913 - what a fit is made of
        self,
        estimator: Estimator,
        x: Array,
        y: Array,
        *,
        classes: int | None,
        train: Train | None,
        stages: Sequence[int] = (),
    ) -> Network:
        """The unfitted model in training: on the driver, and in each process that computes parts.

        Args:
            estimator: From `build`.
            x: The rows.
            y: Their targets.
            classes: As for `fit`.
            train: How steps are cut into parts; None for steps of one part.
            stages: The lengths that `stages` will be asked for.
        """
        ...

    def fitted(self, network: Network) -> Fitted:
        """The model as the steps so far have made it.

        Of a fit that is not over it serves until the next step, and neither asking for it nor
        predicting with it changes what the next steps come to.
        """
        ...


@runtime_checkable
class Shaped(Protocol):
    """A family that takes rows as arrays, where the data says that they are."""

    def shaped(self, shape: tuple[int, ...]) -> Family:
        """The same family for rows of this shape, (height, width, channels).

        Rows of any other width, as where columns of text were added to them, stay as they are.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What is known of fits before there is one.

    Args:
        width: Features of a row.
        shape: Of a row, where the data says that its rows are arrays.
        outputs: Numbers that a model gives of a row: one of each class; 1 for regression.
        export: Whether models are to be exported.
        seconds: That the user's code may take; as many as in a fit if None.
    """

    width: int
    shape: tuple[int, ...] | None
    outputs: int
    export: bool
    seconds: float | None = None


@runtime_checkable
class Tryable(Protocol):
    """A family whose models can be made, and tried out, before there is a fit."""

    def dry_run(self, params: Params, task: Task, asked: DryRun) -> None:
        """Make a model of these parameters and do with it what a study would, but for fitting it.

        Raises:
            InvalidSpec: A fit or an export would fail for it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PartedRows:
    """The rows of a fit as executors of Spark have them.

    Args:
        session: Of Spark.
        read: Gives some of the rows, and their targets, in a process of an executor; it can be
            sent there.
    """

    session: Any
    read: Callable[[slice], tuple[Batches, Array]]


@runtime_checkable
class Partitioned(Protocol):
    """A family whose library fits rows that are parted over machines, on Spark."""

    def unparted(self, params: Params, train: Train) -> str | None:
        """Why these parameters cannot be fitted so as `train` asks; None where they can."""
        ...

    def fit_parted(  # noqa: PLR0913 - what a fit is made of
        self,
        estimator: Estimator,
        x: Matrix,
        y: Array,
        *,
        classes: int | None,
        train: Train,
        rows: PartedRows | None,
        kept: MutableMapping[Any, Any],
    ) -> Fitted:
        """The estimator, fitted on these rows.

        In mode exact the model is the same whoever has which rows.

        Args:
            estimator: From `build`.
            x: The rows.
            y: Their targets.
            classes: As for `fit`.
            train: How many share the fit, and whether it is to be the same however many.
            rows: As executors of Spark have them; None for this process alone.
            kept: Of these rows, for other fits of them: what the family has found out, by a key.

        Raises:
            Failed: As `fit`, or an executor cannot read its rows.
            Unreachable: It cannot at present.
        """
        ...
