"""A trained Keras model with its scaling: how it predicts, its ONNX form, and its own format.

The format is an npz archive without pickle: the weights, the scaling, and as JSON the architecture,
which is read only if each object in it is one of Keras' own that holds numbers alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt, Unexportable
from fairlead.families.keras_runtime import runtime
from fairlead.families.onnx_graph import FEATURES, OPSET, finished, inner_graphs, rename, settle
from fairlead.families.scikit import converting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.families.family import Array, Batches, Fitted, Matrix, Saved
    from fairlead.gang.work import Vector

    Floats = NDArray[np.float32]

_PREDICTED = 1024
"""Rows that are predicted at a time: always as many, for sums depend on how many there are."""
_LARGEST = 2 << 30
"""Bytes of a saved model: an ONNX model has no more, either."""
_FORMAT = 1
_OWN = {
    "keras",
    "keras.constraints",
    "keras.initializers",
    "keras.layers",
    "keras.regularizers",
    "keras.src.models.functional",
    "keras.src.ops.nn",
    "keras.src.ops.numpy",
}
"""Modules whose objects an architecture may have: they compute and hold numbers."""
_TENSOR = "__keras_tensor__"
"""What stands for a tensor between layers; it has no module."""
_CODE = {"Lambda", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFSMLayer"}
"""Layers of keras.layers that hold or load code."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """What the numbers of a row, and of a target, are scaled by; fitted on the rows of a fit.

    A number is (x - center) * factor; a regression's prediction is output * spread + mean. All of
    it is float32, as in the exported model.

    Args:
        center, factor: float32 [features] each.
        target: float32 [2]: mean and spread of the target; None for classes.
    """

    center: Floats
    factor: Floats
    target: Floats | None

    @classmethod
    def fit(cls, x: Matrix, y: Array, how: str, classes: int | None) -> Scaling:
        """Learn the scaling from these rows.

        Args:
            x: float64 [rows, features].
            y: The targets.
            how: standard: each column by its mean and standard deviation; range: all numbers by
                the largest of them; none: not at all.
            classes: None where the target is to be standardised.
        """
        import numpy as np

        width = x.shape[1]
        center, factor = np.zeros(width), np.ones(width)
        if how == "standard":
            center, spread = _moments(x)
            factor = 1 / _above_rounding(spread, center)
        elif how == "range":
            largest = max(np.abs(block).max(initial=0.0) for block in blocks_of(x))
            factor = np.full(width, 1 / _above_zero(largest))
        target = None
        if classes is None:
            target = np.array([y.mean(), _above_rounding(y.std(), y.mean())])
        return cls(
            center=center.astype(np.float32),
            factor=factor.astype(np.float32),
            target=None if target is None else target.astype(np.float32),
        )

    def scaled(self, x: Matrix, shape: Sequence[int]) -> Floats | ScaledRows:
        """The rows as the model gets them, float32 [rows, *shape]."""
        import numpy as np

        if not isinstance(x, np.ndarray):
            return ScaledRows(rows=x, scaling=self, width=tuple(shape))
        numbers: Floats = (x.astype(np.float32) - self.center) * self.factor
        return numbers.reshape(-1, *shape)

    def targets(self, y: Array) -> NDArray[Any]:
        """Targets as the model learns them: int32 [rows] classes, or float32 [rows, 1]."""
        import numpy as np

        if self.target is None:
            return y.astype(np.int32)
        mean, spread = self.target
        targets: Floats = (y.astype(np.float32) - mean) / spread
        return targets.reshape(-1, 1)


@dataclass(frozen=True, kw_only=True)
class ScaledRows:
    """Rows as the model gets them that are not in memory: some are made when they are asked for.

    Args:
        rows: As they are.
        scaling: What is done to them.
        width: The shape of each.
    """

    rows: Batches
    scaling: Scaling
    width: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self.rows), *self.width)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Floats:
        """These rows, float32."""
        scaled = self.scaling.scaled(self.rows[rows], self.width)
        assert not isinstance(scaled, ScaledRows)
        return scaled

    def take(self, rows: NDArray[np.intp]) -> ScaledRows:
        """These rows, in this order; none is made."""
        return replace(self, rows=self.rows.take(rows))


def among(x: Matrix, rows: NDArray[np.intp]) -> Matrix:
    """These of the rows; none is made, where they are not in memory."""
    import numpy as np

    return x[rows] if isinstance(x, np.ndarray) else x.take(rows)


def blocks_of(x: Matrix) -> Iterator[Array]:
    """All rows in order; an array as it is."""
    import numpy as np

    return iter((x,)) if isinstance(x, np.ndarray) else x.blocks()


def _moments(x: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column, to the bit those of the array."""
    import numpy as np

    if isinstance(x, np.ndarray) or x.shape[1] == 1:  # numpy sums one column in another order
        whole = np.asarray(x)
        return whole.mean(axis=0), whole.std(axis=0)
    mean = _total(x.blocks()) / len(x)
    squares = (np.square(block - mean) for block in x.blocks())
    return mean, np.sqrt(_total(squares) / len(x))


def _total(blocks: Iterator[Array]) -> Any:
    """The sum of the rows, which numpy adds one after another."""
    import numpy as np

    total = np.add.reduce(next(blocks), axis=0)
    for block in blocks:
        total = np.add.reduce(np.vstack([total, block]), axis=0)
    return total


def _above_zero(spread: Any) -> Any:
    import numpy as np

    return np.where(spread > 0, spread, 1.0)


def _above_rounding(spread: Any, mean: Any) -> Any:
    """The spread; 1 where numbers are alike, of which rounding alone would leave one.

    Numbers are float32 in the model: what lies below a bit of the mean is no spread there, either.
    """
    import numpy as np

    floats = np.finfo(np.float32)
    least = np.maximum(floats.eps * np.abs(mean), floats.tiny)
    return np.where(spread > least, spread, 1.0)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model.

    Args:
        model: Keras' own.
        shape: Of a row.
        scaling: Of rows and target.
        logits: Whether its outputs are logarithms of odds, and a softmax makes probabilities.
        stages: Weights and moving averages after numbers of epochs, as one vector each.
    """

    model: Any
    shape: tuple[int, ...]
    scaling: Scaling
    logits: bool
    stages: Mapping[int, Vector] = field(default_factory=dict)

    def predict(self, x: Array) -> Floats:
        """Predictions [rows], or probabilities [rows, classes seen]."""
        import numpy as np

        tf = runtime().tf
        rows = x.astype(np.float32)
        parts = [
            self._predict(tf.constant(part)).numpy()[: len(rows) - first]
            for first in range(0, len(rows), _PREDICTED)
            for part in [_padded(rows[first:][:_PREDICTED])]
        ]
        predicted: Floats = np.concatenate(parts) if parts else self._nothing()
        return predicted

    @contextlib.contextmanager
    def at(self, epochs: int) -> Iterator[None]:
        """Have the weights of after so many epochs for a while."""
        now = [variable.numpy() for variable in self.variables]
        _assign(self.variables, self.stages[epochs])
        try:
            yield
        finally:
            for variable, value in zip(self.variables, now, strict=True):
                variable.assign(value)

    @property
    def variables(self) -> list[Any]:
        """Weights and moving averages."""
        moving = [v for v in self.model.non_trainable_variables if v.dtype == "float32"]
        return [*self.model.trainable_variables, *moving]

    def graph(self, features: Any) -> Any:
        """From numbers as they come, [rows, features], to predictions."""
        tf = runtime().tf
        numbers = (features - self.scaling.center) * self.scaling.factor
        output = self.model(tf.reshape(numbers, [-1, *self.shape]), training=False)
        if self.scaling.target is not None:
            mean, spread = self.scaling.target
            return tf.reshape(output, [-1]) * spread + mean
        return tf.nn.softmax(output) if self.logits else output

    def _nothing(self) -> Floats:
        import numpy as np

        outputs = self.model.output_shape[1]
        return np.empty((0,) if self.scaling.target is not None else (0, outputs), np.float32)

    @cached_property
    def _predict(self) -> Any:
        tf = runtime().tf
        spec = tf.TensorSpec([_PREDICTED, len(self.scaling.center)], tf.float32)
        return tf.function(self.graph, input_signature=[spec], autograph=False)


def _padded(rows: Floats) -> Floats:
    import numpy as np

    return np.pad(rows, ((0, _PREDICTED - len(rows)), (0, 0)))


def _assign(variables: Sequence[Any], vector: Vector) -> None:
    first = 0
    for variable in variables:
        size = variable.numpy().size
        variable.assign(vector[first : first + size].reshape(variable.shape))
        first += size


# ---- ONNX -------------------------------------------------------------------------------------


def exported(family: str, fitted: Fitted, width: int) -> bytes:
    """The model with its scaling as ONNX; the same model gives the same bytes.

    Raises:
        Unexportable: tf2onnx cannot convert it, or not all of it.
    """
    converted = converting(family, lambda: _convert(fitted.model, width))
    _refuse_unknown(converted.graph)
    source = _numbered(converted.graph)
    return finished(converted, source, fitted, width=width)


def _refuse_unknown(graph: Any) -> None:
    """Refuse operations that tf2onnx left as TensorFlow has them."""
    from onnx import defs

    left = {node.op_type for node in _nodes(graph) if not defs.has(node.op_type, node.domain)}
    if left:
        raise Unexportable(f"ONNX has no operator for TensorFlow's {', '.join(sorted(left))}")


def _numbered(graph: Any) -> str:
    """Name tensors and nodes by their place, for tf2onnx counts on, and tell the output's name."""
    for node in _nodes(graph):
        for inner in inner_graphs(node):
            settle(inner)
    names = {FEATURES: FEATURES}
    for node in graph.node:
        for name in (*node.input, *node.output):
            names.setdefault(name, f"t{len(names)}")
    source = names[graph.output[0].name]
    rename(graph, lambda name: names.setdefault(name, f"t{len(names)}"))
    for place, node in enumerate(_nodes(graph)):
        node.name = f"n{place}"
        for inner in inner_graphs(node):
            inner.name = f"g{place}"
            _sort_constants(inner)
    _sort_constants(graph)
    return source


def _sort_constants(graph: Any) -> None:
    constants = sorted(graph.initializer, key=lambda tensor: int(tensor.name[1:]))
    graph.ClearField("initializer")
    graph.initializer.extend(constants)


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node, those of graphs inside others included."""
    for node in graph.node:
        yield node
        for inner in inner_graphs(node):
            yield from _nodes(inner)


def _convert(trained: Trained, width: int) -> Any:
    tf = runtime().tf
    import tf2onnx

    spec = tf.TensorSpec([None, width], tf.float32, name=FEATURES)
    function = tf.function(trained.graph, autograph=False)
    captures = function.get_concrete_function(spec).graph.captures
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=[spec], opset=OPSET, custom_op_handlers={"Erfc": (_erfc, [])}
    )
    _hold(model.graph, {inside.name: value for value, inside in captures})
    return model


def _erfc(graph: Any, node: Any, *_: object) -> None:
    """1 - erf(x), for which ONNX has no operator: the activation `gelu` is made of it."""
    import numpy as np
    from tf2onnx.utils import make_name

    shapes, types = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", node.input, shapes=shapes, dtypes=types)
    one = graph.make_const(make_name("one"), np.array(1, np.float32))
    graph.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        name=node.name,
        outputs=node.output,
        shapes=shapes,
        dtypes=types,
    )


def _hold(graph: Any, captures: Mapping[str, Any]) -> None:
    """Make constants of the tensors that layers hold, which tf2onnx makes inputs of the graph."""
    from onnx import numpy_helper

    held = [one.name for one in graph.input if one.name != FEATURES]
    features = [one for one in graph.input if one.name == FEATURES]
    del graph.input[:]
    graph.input.extend(features)
    constants = [numpy_helper.from_array(captures[name].numpy(), name) for name in held]
    graph.initializer.extend(constants)


# ---- the own format ---------------------------------------------------------------------------


def stored(trained: Trained) -> bytes:
    """The model as bytes.

    Raises:
        Unexportable: Its architecture holds an object that `restored` would not trust.
    """
    import numpy as np

    architecture = architecture_of(trained.model)
    if fault := untrusted(architecture):
        raise Unexportable(f"its architecture holds {fault}, which is not trusted when read")
    scaling = trained.scaling
    head = {"format": _FORMAT, "shape": trained.shape, "logits": trained.logits}
    arrays: dict[str, NDArray[Any]] = {
        "head": _text(json.dumps(head)),
        "architecture": _text(json.dumps(architecture)),
        "center": scaling.center,
        "factor": scaling.factor,
        **({} if scaling.target is None else {"target": scaling.target}),
        **{f"w{place}": np.asarray(v) for place, v in enumerate(trained.variables)},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def restored(saved: Saved) -> Trained:
    """What `stored` wrote.

    Raises:
        Corrupt: It is damaged, too large, or holds what is not trusted.
    """
    try:
        return _restored(_arrays(saved))
    except Corrupt:
        raise
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise Corrupt(f"{saved.name}: a saved Keras model cannot be read: {why}") from error


def _arrays(saved: Saved) -> dict[str, NDArray[Any]]:
    import numpy as np

    with zipfile.ZipFile(io.BytesIO(saved.content)) as archive:
        size = sum(one.file_size for one in archive.infolist())
    if size > _LARGEST:
        raise Corrupt(f"{saved.name}: it unpacks to {size} bytes, and a model has at most 2 GiB")
    with np.load(io.BytesIO(saved.content), allow_pickle=False) as arrays:
        return dict(arrays)


def _restored(arrays: Mapping[str, NDArray[Any]]) -> Trained:
    head = json.loads(arrays["head"].tobytes())
    if head["format"] != _FORMAT:
        raise Corrupt(f"a saved Keras model is of format {head['format']!r}, not {_FORMAT}")
    architecture = json.loads(arrays["architecture"].tobytes())
    if fault := untrusted(architecture):
        raise Corrupt(f"a saved Keras model holds {fault}, which is not trusted")
    keras = runtime().keras
    trained = Trained(
        model=keras.models.model_from_json(json.dumps(architecture)),
        shape=tuple(head["shape"]),
        scaling=Scaling(
            center=arrays["center"], factor=arrays["factor"], target=arrays.get("target")
        ),
        logits=bool(head["logits"]),
    )
    for place, variable in enumerate(trained.variables):
        variable.assign(arrays[f"w{place}"])
    return trained


def architecture_of(model: Any) -> Any:
    """A model's architecture as Keras writes it to JSON, without how it is trained."""
    written = json.loads(model.to_json())
    written.pop("compile_config", None)
    return written


def untrusted(architecture: Any) -> str | None:
    """An object of a model's JSON that is not one of Keras' own, or holds code; None if none is."""
    if isinstance(architecture, list):
        return next((fault for one in architecture if (fault := untrusted(one))), None)
    if not isinstance(architecture, dict):
        return None
    name = architecture.get("class_name")
    if name is not None:
        module = architecture.get("module")
        if name in _CODE:
            return f"a {name} layer"
        if not str(name).isidentifier():  # Keras finds `layers.Lambda` of keras, too
            return f"{name!r}, which is no name of a class"
        if module not in _OWN and (module or name != _TENSOR):
            return f"{name!r} of {module or 'no module'}"
    return next((fault for one in architecture.values() if (fault := untrusted(one))), None)


def _text(text: str) -> NDArray[np.uint8]:
    import numpy as np

    return np.frombuffer(text.encode(), np.uint8)
