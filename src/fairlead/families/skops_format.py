"""scikit-learn models in a format that runs no code when it is read.

Belongs here: skops, and the fixed list of types that are trusted. Does not: the boosters' own
formats, which hold data only.
"""

from __future__ import annotations

from typing import Any

from fairlead.errors import Corrupt, Unexportable

TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Parts of scikit-learn's models that skops does not trust by itself; each holds numbers only."""


def dumps(model: Any, trusted: frozenset[str]) -> bytes:
    """The model in skops' format.

    Raises:
        Unexportable: It holds a type that `loads` would not trust, or that skops cannot write.
    """
    import zipfile

    import skops.io

    try:
        content = bytes(skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED))
    except Exception as error:
        raise Unexportable(f"skops cannot write this model: {error}") from error
    if strangers := _strangers(content, trusted):
        raise Unexportable(f"it holds types that are not trusted when read: {strangers}")
    return content


def loads(content: bytes, trusted: frozenset[str]) -> Any:
    """What `dumps` wrote.

    Raises:
        Corrupt: It is damaged, or holds a type that is not trusted.
    """
    import skops.io

    try:
        strangers = _strangers(content, trusted)
        if not strangers:
            return skops.io.loads(content, trusted=sorted(TRUSTED | trusted))
    except Exception as error:
        raise Corrupt(f"a saved model cannot be read: {error}") from error
    raise Corrupt(f"a saved model holds types that are not trusted: {strangers}")


def _strangers(content: bytes, trusted: frozenset[str]) -> str:
    import skops.io

    found = skops.io.get_untrusted_types(data=content)
    return ", ".join(sorted(set(found) - TRUSTED - trusted))
