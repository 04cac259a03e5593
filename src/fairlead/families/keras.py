"""Neural networks of Keras on TensorFlow, trained by steps that several processes can share.

The numbers of a row are scaled by what the rows of the fit are like, and a regression's target is
standardised; the scaling is part of the model, in its exported form, too. A fit is the same bits on
one kind of processor: order of the rows, first weights and dropout follow from the seed and the
step. They do not depend on the trial, so that trials that differ only in epochs share a fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fairlead.errors import InvalidData, InvalidSpec
from fairlead.families import keras_builder, keras_nets
from fairlead.families.family import Array, DryRun, Estimator, Fitted, Matrix, Saved, Task
from fairlead.families.keras_collective import all_reduce
from fairlead.families.keras_dry_run import Compiled, try_out
from fairlead.families.keras_model import (
    Scaling,
    Trained,
    among,
    blocks_of,
    exported,
    restored,
    stored,
)
from fairlead.families.keras_nets import NETS, NetworkSignature
from fairlead.families.keras_network import Examples, KerasNetwork, Stopping, Training
from fairlead.families.keras_runtime import prepare, runtime
from fairlead.families.keras_schedule import Schedule, held_out
from fairlead.families.parameters import SEED, SILENT, THREADS, Names, refuse_unknown
from fairlead.families.scikit import (
    compacted,
    loaded,
    refuse_missing_class,
    seen_in,
    version,
    widened,
)
from fairlead.families.user_code import Reference
from fairlead.gang.network import Network
from fairlead.gang.steps import Alone, steps
from fairlead.records import Params, Scalar
from fairlead.spec.space import Range, Space

if TYPE_CHECKING:
    from fairlead.spec.document import Train

_RESERVED = {
    "n_jobs": THREADS,
    "random_state": SEED,
    "seed": SEED,
    "verbose": SILENT,
}
_ALIASES = {
    "batch_size": "batch",
    "lr": "learning_rate",
    "validation_split": "validation",
    "hidden": "units",
}
_SCALES = ("standard", "range", "none")
OF_FIT: Mapping[str, Scalar] = {
    "batch": 128,
    "epochs": 10,
    "scale": None,
    "validation": 0.0,
    "patience": None,
}
"""Parameters of the fit, whatever the network, and what they are if not given."""
_PATIENCE = 5


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """What a value may be."""

    passes: Callable[[Any], bool]
    text: str


def _whole(low: int) -> _Bound:
    return _Bound(
        passes=lambda value: type(value) is int and low <= value <= 1 << 24,
        text=f"must be a whole number of at least {low}",
    )


def _real(passes: Callable[[float], bool], text: str) -> _Bound:
    return _Bound(
        passes=lambda value: type(value) in {int, float} and passes(value), text=f"must be {text}"
    )


def _one_of(*values: str) -> _Bound:
    return _Bound(
        passes=lambda value: value is None or value in values,
        text=f"must be {', '.join(values)}, or null",
    )


_BOUNDS: Mapping[str, _Bound] = {
    "batch": _whole(1),
    "epochs": _whole(1),
    "patience": _Bound(
        passes=lambda value: value is None or (type(value) is int and value > 0),
        text="must be a whole number of at least 1, or null",
    ),
    "validation": _real(lambda value: 0 <= value < 1, "a share of the rows, from 0 to below 1"),
    "scale": _one_of(*_SCALES),
    "net": _one_of(*NETS),
    "units": _whole(1),
    "layers": _whole(0),
    "dropout": _real(lambda value: 0 <= value < 1, "a share, from 0 to below 1"),
    "learning_rate": _real(lambda value: 0 < value < math.inf, "a number above 0"),
}


@dataclass(frozen=True, kw_only=True)
class Unfitted:
    """A fit that is to be made: what its model is, and how it is trained."""

    params: Mapping[str, Scalar]
    defaults: Mapping[str, Scalar]
    task: Task
    seed: int
    threads: int

    def get_params(self) -> Mapping[str, Scalar]:
        """All parameters, by name."""
        return {**self.defaults, **self.params}

    def __getitem__(self, name: str) -> Any:
        """The value of a parameter."""
        return self.get_params()[name]


@dataclass(frozen=True, kw_only=True)
class Keras:
    """The family.

    Args:
        name: As the spec writes it; `keras:./file.py:build` where a function builds the model.
        library: The extra that it needs.
        user: The user's function.
        shape: Of one row, where the data says that its rows are arrays.
    """

    name: str
    library: str | None = "keras"
    user: Reference | None = None
    shape: tuple[int, ...] | None = None

    def built_by(self, model: str, source: bytes | None) -> Keras:
        """The family of the models that a function of the user's builds.

        Args:
            model: `./file.py:build` or `package.module:build`.
            source: Content of the file.
        """
        user = Reference(name=model, source=source, kind="model")
        return replace(self, name=f"{self.name}:{model}", user=user)

    def shaped(self, shape: tuple[int, ...]) -> Keras:
        """The family for rows that are arrays of this shape."""
        return replace(self, shape=shape)

    def needed(self) -> frozenset[str]:
        """Those of the user's function without a default."""
        if self.user is None:
            return frozenset()
        prepare()  # the user's file imports Keras
        return self.user.needed() - {keras_builder.PARAMS, keras_builder.SIGNATURE}

    def check(self, params: Params, task: Task) -> None:  # noqa: ARG002 - the same for both
        """Refuse names that it does not have, and values out of bounds."""
        refuse_unknown(self.name, params, self._names())
        for name, value in params.items():
            bound = _BOUNDS.get(name) if name in self._defaults else None
            if bound and not bound.passes(value):
                raise InvalidSpec(
                    f"family {self.name!r}: parameter {name!r} {bound.text}, not {value!r}"
                )

    @property
    def _defaults(self) -> Mapping[str, Scalar]:
        """The parameters that Fairlead knows."""
        return OF_FIT if self.user else {**OF_FIT, **keras_nets.DEFAULTS}

    def _names(self) -> Names:
        if self.user is None:
            return Names(known=self._defaults, reserved=_RESERVED, aliases=_ALIASES)
        prepare()
        named = self.user.named()
        if twice := sorted((named or frozenset()) & OF_FIT.keys()):
            raise InvalidSpec(
                f"model {self.user.name!r} takes {twice[0]!r}, which says how Fairlead fits: give "
                "it another name there"
            )
        reserved = {**_RESERVED, keras_builder.SIGNATURE: "it says what the rows are"}
        if named is None or keras_builder.PARAMS in named:
            return Names(known=None, reserved=reserved)
        return Names(known={*OF_FIT, *named}, reserved=reserved)

    def unexportable(self, params: Params, task: Task) -> str | None:  # noqa: ARG002 - as the Protocol has it
        """None: each of its networks has an ONNX form."""
        return None

    def space(self, task: Task) -> Space:  # noqa: ARG002 - the same for both
        """How wide and deep the network is, how fast and how long it learns.

        Nothing is known of a user's function: one trial, of its defaults.
        """
        if self.user:
            return {}
        return {
            "units": (32, 64, 128, 256),
            "layers": (1, 2, 3),
            "dropout": Range(low=0.0, high=0.5),
            "learning_rate": Range(low=1e-4, high=1e-2, log=True),
            "batch": (32, 64, 128),
            "epochs": (10, 20, 30, 40, 50),
        }

    def versions(self) -> Mapping[str, str]:
        """Those of Keras, TensorFlow and NumPy (it draws the order of the rows), and the file's."""
        return {
            **(self.user.versions() if self.user else {}),
            "keras": version(["keras"]),
            "tensorflow": version(["tensorflow-cpu", "tensorflow"]),
            "numpy": version(["numpy"]),
        }

    def canonical(self, params: Params) -> Params:
        """The parameters as they are."""
        return params

    def stage(self, params: Params) -> str | None:
        """The number of epochs, but where rows that are held out decide how many there are."""
        epochs = params.get("epochs")
        fit = not params.get("validation") and type(epochs) is int and epochs > 0
        return "epochs" if fit else None

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        """The fit that is to be made.

        Raises:
            InvalidSpec: A value is out of bounds, or `patience` stands without `validation`.
        """
        self.check(params, task)
        unfitted = Unfitted(
            params=params, defaults=self._defaults, task=task, seed=seed, threads=threads
        )
        if unfitted["patience"] is not None and not unfitted["validation"]:
            raise InvalidSpec(
                f"family {self.name!r}: patience is how many epochs the loss of held-out rows may "
                "not fall; give validation, the share of them, too"
            )
        return unfitted

    def dry_run(self, params: Params, task: Task, asked: DryRun) -> None:
        """Build the user's network twice, save it, export it and take a step.

        Of networks of its own nothing is left to try: values that do not go together cost their
        trials alone.

        Raises:
            InvalidSpec: One of these cannot be done.
        """
        if self.user is None:
            return
        self.check(params, task)
        estimator = Unfitted(params=params, defaults=self._defaults, task=task, seed=0, threads=1)
        shape = self._shape_of(asked.width)
        libraries = runtime(estimator.threads)
        first, model = (
            self._model(estimator, shape, outputs=asked.outputs, seconds=asked.seconds)
            for _ in range(2)
        )
        keras_builder.refuse_drawn(self.user, first, model)
        loss, logits = keras_builder.loss_of(model, task, libraries)
        signature = NetworkSignature(shape=shape, outputs=asked.outputs, task=task)
        compiled = Compiled(model=model, loss=loss, logits=logits, signature=signature)
        refusing = partial(keras_builder.refusing, self.user)
        try_out(compiled, libraries, refusing, export=asked.export)

    def fit(self, estimator: Estimator, x: Array, y: Array, *, classes: int | None) -> Fitted:
        """The model after all steps, each computed by this process as one part."""
        epochs = () if estimator["validation"] else range(1, estimator["epochs"] + 1)
        network = self.network(estimator, x, y, classes=classes, train=None, stages=epochs)
        for _ in steps(network, Alone(computation=network)):
            pass
        return self.fitted(network)

    def network(  # noqa: PLR0913 - as the Protocol has it
        self,
        estimator: Estimator,
        x: Array,
        y: Array,
        *,
        classes: int | None,
        train: Train | None,
        stages: Sequence[int] = (),
    ) -> _Fit:
        """The unfitted model in training.

        Raises:
            InvalidData: All rows are of one class, or a number is missing.
        """
        self._refuse_missing(x)
        libraries = runtime(estimator.threads)
        together = train is not None and train.mode == "allreduce"
        reduce = all_reduce(libraries) if together else None  # before anything is computed
        seen = () if classes is None else seen_in(y)
        known = y if classes is None else compacted(y, seen)
        shape = self._shape_of(x.shape[1])
        fitted_on, held = held_out(len(x), float(estimator["validation"]), estimator.seed)
        rows = among(x, fitted_on)
        scaling = Scaling.fit(rows, known[fitted_on], _scale(estimator, shape), classes)
        model = self._model(estimator, shape, outputs=len(seen) or 1)
        libraries = runtime(estimator.threads)
        loss, logits = keras_builder.loss_of(model, estimator.task, libraries)
        examples = Examples(x=scaling.scaled(x, shape), y=scaling.targets(known))
        stopping = Stopping(
            held=examples.among(held), patience=int(estimator["patience"] or _PATIENCE)
        )
        training = Training(
            runtime=libraries,
            model=model,
            loss=loss,
            examples=examples.among(fitted_on),
            schedule=_schedule(estimator, len(fitted_on), train),
            classes=classes is not None,
            stages=tuple(stages),
            stopping=stopping if len(held) else None,
            reduce=reduce,
        )
        untrained = Trained(model=model, shape=shape, scaling=scaling, logits=logits)
        return _Fit(training, Fitted(model=untrained, classes=classes, seen=seen))

    def whole(self, params: Params) -> str | None:  # noqa: ARG002 - as the Protocol has it
        """None: a step takes its rows, and no others."""
        return None

    def fitted(self, network: Network) -> Fitted:
        """The model of a fit that is over."""
        assert isinstance(network, _Fit)
        network.finish()
        trained = replace(network.unfinished.model, stages=network.stages)
        return replace(network.unfinished, model=trained)

    def predict(self, fitted: Fitted, x: Array) -> Array:
        """Predictions for these rows, float32."""
        self._refuse_missing(x)
        predicted = fitted.model.predict(x)
        return predicted if fitted.classes is None else widened(predicted, fitted)

    def stages(self, fitted: Fitted, x: Array, at: Sequence[int]) -> Iterator[Array]:
        """Predictions with the weights that the fit had after so many epochs."""
        for epochs in at:
            with fitted.model.at(epochs):
                predicted = self.predict(fitted, x)
            yield predicted

    def onnx(self, fitted: Fitted, *, width: int) -> bytes:
        """The scaling and the model as tf2onnx converts them."""
        return exported(self.name, fitted, width)

    def save(self, fitted: Fitted) -> Saved:
        """Weights and scaling as npz, and the architecture as JSON in it."""
        refuse_missing_class(self.name, fitted)
        return Saved(name="model.npz", content=stored(fitted.model))

    def load(self, saved: Saved, *, classes: int | None) -> Fitted:
        """What `save` wrote."""
        return loaded(restored(saved), classes)

    def _shape_of(self, width: int) -> tuple[int, ...]:
        """Of a row of so many numbers: where columns of text were added, no array's any more."""
        return self.shape if self.shape and math.prod(self.shape) == width else (width,)

    def _model(
        self,
        estimator: Unfitted,
        shape: tuple[int, ...],
        *,
        outputs: int,
        seconds: float | None = None,
    ) -> Any:
        """A compiled model whose first weights follow from the seed alone."""
        libraries = runtime(estimator.threads)
        libraries.keras.utils.clear_session()  # names of layers are counted from the beginning
        libraries.keras.utils.set_random_seed(estimator.seed)
        own = {name: value for name, value in estimator.params.items() if name not in OF_FIT}
        signature = NetworkSignature(shape=shape, outputs=outputs, task=estimator.task)
        if self.user:
            within = min(seconds or math.inf, keras_builder.BUILT_WITHIN)
            return keras_builder.build(self.user, own, signature, libraries, seconds=within)
        return keras_nets.build(own, signature, libraries)

    def _refuse_missing(self, x: Matrix) -> None:
        import numpy as np

        if any(np.isnan(block).any() for block in blocks_of(x)):
            raise InvalidData(
                f"family {self.name!r} takes no missing numbers; data.impute says what stands for "
                "them"
            )


KERAS = Keras(name="keras")


class _Fit(KerasNetwork):
    """A model in training, and what it will be once it is trained."""

    def __init__(self, training: Training, unfinished: Fitted) -> None:
        super().__init__(training)
        self.unfinished = unfinished


def _scale(estimator: Unfitted, shape: tuple[int, ...]) -> str:
    """How numbers are scaled: those of images by one factor, others each by itself."""
    return str(estimator["scale"] or ("standard" if len(shape) == 1 else "range"))


def _schedule(estimator: Unfitted, rows: int, train: Train | None) -> Schedule:
    """The steps as `train` has them cut into parts."""
    parts = 1
    if train is not None:
        parts = train.microbatches if train.mode == "exact" else train.workers
    mode, every = ("exact", 1) if train is None else (train.mode, train.pull_every)
    return Schedule(
        rows=rows,
        batch=int(estimator["batch"]),
        epochs=int(estimator["epochs"]),
        seed=estimator.seed,
        parts=parts,
        local=every if mode == "averaging" else None,
        together=every if mode == "allreduce" else None,
    )
