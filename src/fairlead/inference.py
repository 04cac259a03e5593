"""Predicting with an exported model.

Belongs here: running ONNX. Does not: making it (training/export.py), and serving it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt
from fairlead.records import Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.data.table import Features


_STEADY = {  # operators whose result for a row does not depend on how many rows there are
    "Cast",
    "Concat",
    "Gather",
    "Identity",
    "IsNaN",
    "Mul",
    "OneHotEncoder",
    "Pad",
    "Reshape",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "Where",
}


class Exported:
    """A model in its exported form, ready to predict.

    A row's prediction is the same bits whenever it is asked for, alone or among others. ONNX
    Runtime runs one operator after the other, with one thread, which is enough for trees. It
    multiplies matrices in another order when they have one row, so a model with any operator
    that is not known to be steady is asked row by row.

    Args:
        content: The ONNX model, or where it is.
        signature: What the model takes and gives.

    Raises:
        Corrupt: It is no ONNX model, or one that reads other files.
    """

    def __init__(self, content: bytes | Path, signature: Signature) -> None:
        content = content if isinstance(content, bytes) else content.read_bytes()
        graph = _checked(content)
        self._at_once = all(node.op_type in _STEADY for node in graph.node)
        self._session = _session(content)
        self._signature = signature

    def predict(self, features: Features) -> NDArray[Any]:
        """Predictions, float64 [rows], or probabilities, float32 [rows, classes].

        Probabilities stay what ONNX gives: scikit-learn's log loss wants rows of float64 to sum
        to 1 more nearly than float32 can.

        Args:
            features: In the order of the signature's columns.
        """
        inputs = _inputs(features, self._signature)
        output = self._run(inputs) if self._at_once else self._row_by_row(inputs, len(features))
        return output.astype(float) if self._signature.classes is None else output

    def _run(self, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        output: NDArray[Any] = self._session.run(None, inputs)[0]
        return output

    def _row_by_row(self, inputs: dict[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        """Each row lies in the same memory as the last: sums may begin where it is aligned."""
        import numpy as np

        if not rows:
            return self._run(inputs)
        one = {name: np.empty_like(values[:1]) for name, values in inputs.items()}
        outputs = []
        for row in range(rows):
            for name, values in inputs.items():
                one[name][0] = values[row]
            outputs.append(self._run(one))
        return np.concatenate(outputs)


def _inputs(features: Features, signature: Signature) -> dict[str, Any]:
    import numpy as np

    inputs: dict[str, Any] = {}
    if signature.numbers:
        inputs["numbers"] = features.numbers.astype(np.float32)
    if signature.text:
        inputs["text"] = _texts(features)
    return inputs


def _texts(features: Features) -> NDArray[np.object_]:
    """The texts themselves [rows, text columns]; a missing one is empty."""
    import numpy as np

    texts = np.empty(features.text.shape, dtype=object)
    for column, categories in enumerate(features.categories):
        texts[:, column] = np.array([*categories, ""], dtype=object)[features.text[:, column]]
    return texts


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only; they are raised, too
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Corrupt(f"{len(content)} bytes are not a model that runs: {error}") from error


def _checked(content: bytes) -> Any:
    """The model's graph. A tensor may name a file to be read in its place: none is, here.

    Raises:
        Corrupt: One does, or this is no ONNX model.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        raise Corrupt(f"{len(content)} bytes are not an ONNX model: {error}") from error
    nodes = [node for function in model.functions for node in function.node]
    if any(tensor.external_data for tensor in _tensors(model.graph, nodes)):
        raise Corrupt("the ONNX model reads other files, which is refused")
    return model.graph


def _tensors(graph: Any, nodes: Iterable[Any] = ()) -> Iterator[Any]:
    """Every tensor of a graph, of the graphs inside it, and of these further nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (one for node in (*graph.node, *nodes) for one in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)
