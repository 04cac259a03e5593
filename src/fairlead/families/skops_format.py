"""scikit-learn models in skops' format, which runs no code when it is read.

A model is saved and loaded only where each of its types is trusted: by skops itself, by the list
below, or as a class of the user's own file. The boosters' own formats need no such list: they hold
data only.
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
"""Parts of scikit-learn's models that skops does not trust by default; each holds numbers only."""


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
    if untrusted := _untrusted_types(content, trusted):
        raise Unexportable(f"it holds types that are not trusted when read: {untrusted}")
    return content


def loads(content: bytes, trusted: frozenset[str]) -> Any:
    """What `dumps` wrote.

    Raises:
        Corrupt: It is damaged, or holds a type that is not trusted.
    """
    import skops.io

    try:
        untrusted = _untrusted_types(content, trusted)
        if not untrusted:
            return skops.io.loads(content, trusted=sorted(TRUSTED | trusted))
    except Exception as error:
        raise Corrupt(f"a saved model cannot be read: {error}") from error
    raise Corrupt(f"a saved model holds types that are not trusted: {untrusted}")


def _untrusted_types(content: bytes, trusted: frozenset[str]) -> str:
    import skops.io

    found = skops.io.get_untrusted_types(data=content)
    return ", ".join(sorted(set(found) - TRUSTED - trusted))
