"""A model in its exported form, ready to predict: an ONNX Runtime session and its signature."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt
from fairlead.probabilities import within_bounds
from fairlead.records import Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.data.features import Features, Rows


_ERRORS_ONLY = 3  # of ONNX Runtime's severities; errors are raised, too


class Exported:
    """A model in its exported form, ready to predict.

    A row's prediction is the same bits whenever it is asked for, alone or among others. ONNX
    Runtime runs one operator after the other, with one thread, which is enough for trees. It
    multiplies matrices in another order when they have one row, so a model with any operator
    that is not known to be steady is asked row by row.

    It may be asked from several threads at once.

    Args:
        content: The ONNX model, or where it is; or what `compact` made of one.
        signature: What the model takes and gives.
        found: What was found in these very bytes before; they are inspected now if None.

    Raises:
        Corrupt: It is no ONNX model, or one that reads other files.
    """

    def __init__(
        self, content: bytes | Path, signature: Signature, found: Inspected | None = None
    ) -> None:
        content = content if isinstance(content, bytes) else content.read_bytes()
        self.found = found or inspect(content)
        self._session = _session(content, _options())
        self._signature = signature
        self._output = [self._session.get_outputs()[0].name]

    def predict(self, features: Rows) -> NDArray[Any]:
        """Predictions for these rows, as `ask` gives them.

        Args:
            features: In the order of the signature's columns.
        """
        import numpy as np

        found: NDArray[Any] | None = None
        start = 0
        for block in features.blocks():
            output = self.ask(_inputs(block, self._signature), len(block))
            if found is None:  # all at once: kept between the blocks' arrays they would part memory
                found = np.empty((len(features), *output.shape[1:]), output.dtype)
            found[start : start + len(output)] = output
            start += len(output)
        assert found is not None, "there is at least one block"
        return found

    def ask(self, inputs: dict[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        """Predictions, float64 [rows], or probabilities, float32 [rows, classes].

        Probabilities stay in the precision that ONNX gives: scikit-learn's log loss wants rows of
        float64 to sum to 1 more nearly than float32 can. What rounding led beyond 0 or 1 is
        corrected.

        Args:
            inputs: As `records.Signature` describes them.
            rows: How many there are.
        """
        output = self._run(inputs) if self.found.steady else self._row_by_row(inputs, rows)
        return output.astype(float) if self._signature.classes is None else within_bounds(output)

    def _run(self, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        output: NDArray[Any] = self._session.run(self._output, inputs)[0]
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


def compact(content: bytes) -> bytes:
    """The same model in ONNX Runtime's own format, for this version of it or a later one.

    From ONNX, a session keeps the whole file taken apart for as long as it lives: for a forest
    five times its size. From its own format it keeps the trees that it runs, and no more.

    Args:
        content: An ONNX model, which `inspect` has let pass.

    Raises:
        Corrupt: It cannot be written so.
    """
    options = _options()
    options.add_session_config_entry("session.save_model_format", "ORT")
    with TemporaryDirectory(prefix="fairlead-") as folder:
        path = Path(folder, "model.ort")
        options.optimized_model_filepath = str(path)
        _session(content, options)
        return path.read_bytes()


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


def preload() -> None:
    """Import what a model is inspected and run with."""
    importlib.import_module("onnx")
    _onnxruntime()


def _onnxruntime() -> Any:
    """The library, which reports to its makers from its import on if nothing forbids it.

    It would leave an id of the machine and events to be sent in the user's cache folder. Its
    `disable_telemetry_events` comes too late for that: it has to be the variable.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _options() -> Any:
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    return options


def _session(content: bytes, options: Any) -> Any:
    onnxruntime = _onnxruntime()
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # to the same provider, with a banner on stdout
        )
    except Exception as error:
        raise Corrupt(f"{len(content)} bytes are not a model that runs: {error}") from error
    # it would keep the file's bytes, to make itself once more of them on another device
    session._model_bytes = None  # noqa: SLF001 - there is no public way to let go of them
    return session


# ---- inspection -------------------------------------------------------------------------------
#
# What an ONNX file is known to do, from its graph.
#
# Only this module needs the package `onnx`, which is slow to import and takes the file apart into
# many times its size. A serving process is given what was found here, with the file's digest.


_STEADY = {  # operators whose result for a row does not depend on how many rows there are
    "Cast",
    "Concat",
    "Gather",
    "Identity",
    "Imputer",
    "IsNaN",
    "Mul",
    "OneHotEncoder",
    "Pad",
    "Reshape",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "Where",
}
_HANDED_ON = {"Cast", "Concat", "Gather", "Identity", "Reshape"}
"""Operators that leave a missing number missing."""


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What an ONNX file says of itself.

    Args:
        steady: A row's prediction is the same bits, however many rows are asked together.
        missing: A number may be missing: something stands for it before the model sees it.

    A model was trained to take missing numbers where its graph puts what was learnt from the
    training rows (the spec's `data.impute`, or an imputer in a pipeline) into their place. Trees
    have a way for them too, but no training table of Fairlead's leads there: without
    `data.impute` a table with missing numbers is refused, so that way means nothing.
    """

    steady: bool
    missing: bool


def inspect(content: bytes) -> Inspected:
    """What this ONNX file says of itself.

    Raises:
        Corrupt: It is no ONNX model, or one that reads other files.
    """
    graph = _checked(content)
    return Inspected(
        steady=all(node.op_type in _STEADY for node in graph.node), missing=_takes_missing(graph)
    )


def _takes_missing(graph: Any) -> bool:
    """Whether something stands for each missing number before anything is computed with it."""
    holding, marks = {"numbers"}, set[str]()  # tensors with missing numbers; where they are
    for node in graph.node:
        if holding.isdisjoint(node.input) or _fills(node, holding, marks):
            continue
        if node.op_type == "IsNaN":
            marks.update(node.output)
        elif node.op_type in _HANDED_ON:
            holding.update(node.output)
        else:
            return False
    return True


def _fills(node: Any, holding: set[str], marks: set[str]) -> bool:
    if node.op_type == "Where":
        mark, filling, _ = node.input
        return mark in marks and filling not in holding
    return node.op_type == "Imputer" and any(
        attribute.name == "replaced_value_float" and attribute.f != attribute.f  # NaN is not itself
        for attribute in node.attribute
    )


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
