"""A network tried out before there is a fit: its own format, its ONNX form, and a step.

Nothing is fitted, and the rows are drawn. What a fit would meet, or the refit after a whole search,
is met here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.errors import Diverged, Unexportable
from fairlead.families.family import Fitted, Saved
from fairlead.families.keras_model import Scaling, Trained, exported, restored, stored
from fairlead.families.keras_network import Examples, KerasNetwork, Training
from fairlead.families.keras_schedule import Schedule
from fairlead.families.onnx_graph import FEATURES
from fairlead.gang.steps import Alone, take_steps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.families.keras_nets import NetworkSignature
    from fairlead.families.keras_runtime import Runtime

    Floats = NDArray[np.float32]

_ROWS = 2
_APART = 1e-3
"""How far predictions may be apart, in terms of the largest of them, or of 1."""

Refusing = Callable[[str], AbstractContextManager[None]]
"""Makes what is raised inside a fault of the user's function, after these words."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled model with its first weights.

    Args:
        model: Keras' own.
        loss, logits: As `keras_builder.loss_of` gives them.
        signature: What it takes and gives.
    """

    model: Any
    loss: Any
    logits: bool
    signature: NetworkSignature

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return math.prod(self.signature.shape)

    @property
    def classes(self) -> int | None:
        """Of the target; None for regression."""
        return self.signature.outputs if self.signature.task == "classification" else None


def try_out(compiled: Compiled, runtime: Runtime, refusing: Refusing, *, export: bool) -> None:
    """Save, read, export and train a model as a study would.

    Args:
        compiled: The model.
        runtime: The libraries.
        refusing: Words what is raised.
        export: Whether the study needs its ONNX form.

    Raises:
        InvalidSpec: One of these cannot be done.
    """
    rows, fitted = _rows(compiled), _untrained(compiled)
    predicted = _predicted(fitted.model, runtime, rows)
    with refusing("cannot be saved and read again"):
        saved = Saved(name="model.npz", content=stored(fitted.model))
        _refuse_apart(predicted, _predicted(restored(saved), runtime, rows), "is read")
    if export:
        with refusing("has no ONNX form, which promote: {when: never} does without"):
            exported_ = _of_onnx(fitted, rows, compiled.width)
            _refuse_apart(predicted, exported_, "is exported")
    with refusing("cannot be trained"):
        network = _network(compiled, runtime, rows)
        with suppress(Diverged):  # by these rows
            take_steps(network, Alone(computation=network), lambda _: None)
    with refusing("cannot go on from a checkpoint"):
        network.restore(network.checkpoint())


def _rows(compiled: Compiled) -> Floats:
    import numpy as np

    return np.random.default_rng(0).random((_ROWS, compiled.width), np.float32)


def _untrained(compiled: Compiled) -> Fitted:
    import numpy as np

    classes, width = compiled.classes, compiled.width
    scaling = Scaling(
        center=np.zeros(width, np.float32),
        factor=np.ones(width, np.float32),
        target=np.array([0, 1], np.float32) if classes is None else None,
    )
    trained = Trained(
        model=compiled.model,
        shape=compiled.signature.shape,
        scaling=scaling,
        logits=compiled.logits,
    )
    return Fitted(model=trained, classes=classes, seen=tuple(range(classes or 0)))


def _predicted(trained: Trained, runtime: Runtime, rows: Floats) -> Floats:
    predicted: Floats = trained.graph(runtime.tf.constant(rows)).numpy()
    return predicted


def _of_onnx(fitted: Fitted, rows: Floats, width: int) -> Floats:
    from onnxruntime import InferenceSession

    session = InferenceSession(exported("keras", fitted, width))
    predicted: Floats = session.run(None, {FEATURES: rows})[0]
    return predicted


def _refuse_apart(one: Floats, other: Floats, how: str) -> None:
    import numpy as np

    apart = float(np.abs(one - other).max()) / max(1.0, float(np.abs(one).max()))
    if not apart <= _APART:
        raise Unexportable(f"it predicts otherwise once it {how}, by {apart:.2g}")


def _network(compiled: Compiled, runtime: Runtime, rows: Floats) -> KerasNetwork:
    import numpy as np

    classes = compiled.classes is not None
    shape = (_ROWS, *compiled.signature.shape)
    training = Training(
        runtime=runtime,
        model=compiled.model,
        loss=compiled.loss,
        examples=Examples(
            x=rows.reshape(shape),
            y=np.zeros(_ROWS, np.int32) if classes else np.zeros((_ROWS, 1), np.float32),
        ),
        schedule=Schedule(rows=_ROWS, batch=_ROWS, epochs=1, seed=0, parts=1),
        classes=classes,
    )
    return KerasNetwork(training)
