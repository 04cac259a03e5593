"""Networks that a function of the user's builds: what it is given, and what it may give."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets

from fairlead.errors import InvalidSpec, Unexportable
from fairlead.families import catalog, keras_builder
from fairlead.families.family import DryRun, Fitted
from fairlead.gang.steps import Alone, steps
from fairlead.spec.document import Train

pytestmark = pytest.mark.distributed

X, Y = sklearn.datasets.load_digits(return_X_y=True)
X, Y = X[:300].astype(float), Y[:300].astype(np.int64)
HEAD = """\
import keras
from keras import layers as L

"""
BY_NAME = f"""{HEAD}
def build(signature, units, rate=0.01, depth=1):
    model = keras.Sequential([keras.Input(signature.shape)])
    for _ in range(depth):
        model.add(L.Dense(units, activation="relu"))
    model.add(L.Dropout(0.1))
    model.add(L.Dense(signature.outputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(rate, momentum=0.9), loss=loss)
    return model
"""
AS_MAPPING = f"""{HEAD}
def build(params, signature):
    rows = keras.Input(signature.shape)
    one = L.Dense(params["units"], activation="relu", kernel_regularizer="l2")(rows)
    other = L.Dense(params["units"], activation="tanh")(rows)
    out = L.Dense(signature.outputs, activation="softmax")(L.BatchNormalization()(one + other))
    model = keras.Model(rows, out)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model
"""
AMOUNTS = f"""{HEAD}
def build(signature, units=8, loss="huber"):
    model = keras.Sequential([keras.Input(signature.shape), L.Dense(units, "relu"), L.Dense(1)])
    model.compile(optimizer="adam", loss=loss)
    return model
"""
RECURRENT = f"""{HEAD}
def build(signature):
    sequence = [L.Reshape((8, 8)), L.GRU(4, dropout=0.1), L.Dense(signature.outputs)]
    model = keras.Sequential([keras.Input(signature.shape), *sequence])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss)
    return model
"""
PLAIN = "    model = keras.Sequential([keras.Input(signature.shape), L.Dense(10)])\n"
SPARSE = "'sparse_categorical_crossentropy'"
COMPILED = """
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(True))
    return model
"""


def family(folder: Path, source: str) -> Any:
    (folder / "mine.py").write_text(source)
    return catalog.family("keras:./mine.py:build", base=folder)


def fit(found: Any, params: Any, y: Any = Y, classes: int | None = 10) -> Fitted:
    task = "regression" if classes is None else "classification"
    estimator = found.build(params, task, seed=1, threads=1)
    fitted: Fitted = found.fit(estimator, X, y, classes=classes)
    return fitted


@pytest.mark.parametrize("source", [BY_NAME, AS_MAPPING], ids=["by name", "as a mapping"])
def test_the_model_of_a_function_is_trained_saved_and_exported(tmp_path: Path, source: str) -> None:
    found = family(tmp_path, source)
    params = {"units": 16, "epochs": 30, "batch": 30}
    found.check(params, "classification")
    fitted = fit(found, params)
    predicted = found.predict(fitted, X)
    assert (predicted.argmax(axis=1) == Y).mean() > 0.9
    assert predicted.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    again = found.load(found.save(fitted), classes=10)
    assert np.array_equal(found.predict(again, X), predicted)
    assert found.onnx(again, width=64) == found.onnx(fitted, width=64)


def test_a_recurrent_network_is_exported_with_its_loops(tmp_path: Path) -> None:
    from onnxruntime import InferenceSession

    found = family(tmp_path, RECURRENT)
    fitted = fit(found, {"epochs": 1, "batch": 100})
    content = found.onnx(fitted, width=64)
    assert found.onnx(fitted, width=64) == content
    predicted = InferenceSession(content).run(None, {"features": X[:20].astype(np.float32)})[0]
    assert predicted == pytest.approx(found.predict(fitted, X[:20]), abs=1e-5)


def test_a_model_that_was_trained_before_is_refused(tmp_path: Path) -> None:
    found = family(tmp_path, BY_NAME + "\n\nfrom functools import cache\nbuild = cache(build)\n")
    fit(found, {"units": 4, "epochs": 1})
    with pytest.raises(InvalidSpec, match="gives a model that was trained before"):
        fit(found, {"units": 4, "epochs": 1})


ANEW = f"""{HEAD}import numpy as np


def build(signature):
    drawn = %s
    kernel = keras.initializers.Constant(drawn)
    layer = L.Dense(signature.outputs, kernel_initializer=kernel)
    model = keras.Sequential([keras.Input(signature.shape), layer])
{COMPILED}
"""
KEPT = f"""{HEAD}
HIDDEN = L.Dense(8, activation="relu", name="hidden")


def build(signature):
    model = keras.Sequential([keras.Input(signature.shape), HIDDEN, L.Dense(10)])
{COMPILED}
"""


def test_layers_that_earlier_fits_have_trained_are_refused_before_there_is_one(
    tmp_path: Path,
) -> None:
    found = family(tmp_path, KEPT)
    fit(found, {"epochs": 1})
    match = r"^\./mine\.py:8: model .* gives layers that it gave before, .*rows of other fits"
    for again in (
        lambda: fit(found, {"epochs": 1}),
        lambda: family(tmp_path, f"{KEPT}\n").dry_run({}, "classification", DRY_RUN),
    ):
        with pytest.raises(InvalidSpec, match=match):
            again()


def test_first_weights_that_follow_from_no_seed_are_refused(tmp_path: Path) -> None:
    seeded = family(tmp_path, ANEW % "float(np.random.rand())")
    seeded.dry_run({}, "classification", DRY_RUN)
    drawn = family(tmp_path, ANEW % "float(np.random.default_rng().random())")
    with pytest.raises(InvalidSpec, match=r"^\./mine\.py:7: model .* begins with other weights"):
        drawn.dry_run({}, "classification", DRY_RUN)


def test_amounts_are_predicted_in_their_own_unit(tmp_path: Path) -> None:
    found = family(tmp_path, AMOUNTS)
    found.dry_run({}, "regression", replace(DRY_RUN, outputs=1))
    fitted = fit(found, {"epochs": 30, "batch": 10}, y=1000.0 + 50.0 * Y, classes=None)
    assert abs(found.predict(fitted, X) - (1000.0 + 50.0 * Y)).mean() < 60


def test_its_parameters_are_those_of_the_function_and_of_the_fit(tmp_path: Path) -> None:
    found = family(tmp_path, BY_NAME)
    assert found.needed() == {"units"}
    assert found.space("classification") == {}
    assert found.stage({"units": 3, "epochs": 5}) == "epochs"
    found.check({"units": 3, "rate": 0.1, "epochs": 2, "patience": 3}, "classification")
    for name, match in {
        "unit": "there is no parameter 'unit'; did you mean 'units'?",
        "signature": "'signature' is not for the spec: it says what the rows are",
        "random_state": "'random_state' is not for the spec",
    }.items():
        with pytest.raises(InvalidSpec, match=match):
            found.check({name: 1}, "classification")
    with pytest.raises(InvalidSpec, match="'batch' must be a whole number"):
        found.check({"batch": 0}, "classification")
    family(tmp_path, AS_MAPPING).check({"units": 3, "anything": "x"}, "classification")


def test_its_file_is_part_of_what_a_fit_depends_on(tmp_path: Path) -> None:
    versions = family(tmp_path, BY_NAME).versions()
    assert versions["./mine.py"] == f"sha256:{hashlib.sha256(BY_NAME.encode()).hexdigest()}"
    assert {"keras", "tensorflow", "numpy"} < versions.keys()


def test_a_function_may_not_take_what_says_how_it_is_fitted(tmp_path: Path) -> None:
    found = family(tmp_path, "def build(signature, epochs): ...\n")
    with pytest.raises(InvalidSpec, match=r"model './mine\.py:build' takes 'epochs'"):
        found.check({}, "classification")


def test_a_worker_needs_no_file(tmp_path: Path) -> None:
    found = catalog.family(
        "keras:./mine.py:build", base=tmp_path / "nowhere", source=BY_NAME.encode()
    )
    assert fit(found, {"units": 4, "epochs": 1}).classes == 10


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (
            "    raise RuntimeError('no luck')\n",
            r"cannot be built with \{\}: RuntimeError: no luck",
        ),
        ("    import sys; sys.exit(3)\n", "SystemExit: 3"),
        ("    return {}['units']\n", "KeyError"),
        ("    return None\n", "gives null, and no keras.Model"),
        ("    return build\n", "gives 'build', and no keras.Model"),
        ("    return L.Dense(3)\n", "gives 'Dense', and no keras.Model"),
        (
            "    return keras.Sequential([keras.Input(signature.shape), L.Dense(10)])\n",
            "is not compiled",
        ),
        (
            "    model = keras.Sequential([keras.Input((5,)), L.Dense(10)])" + COMPILED,
            r"takes \(5,\), and a row is \(64,\): use signature\.shape",
        ),
        (
            "    model = keras.Sequential([keras.Input(signature.shape), L.Dense(7)])" + COMPILED,
            r"gives \(7,\) for a row, and there are 10 classes",
        ),
        (
            "    model = keras.Sequential([keras.Input(signature.shape), "
            "L.Lambda(lambda x: x * 2), L.Dense(10)])" + COMPILED,
            "holds a Lambda layer",
        ),
        (
            "    class Mine(L.Layer):\n        def call(self, x): return x\n"
            "    model = keras.Sequential([keras.Input(signature.shape), Mine(), L.Dense(10)])"
            + COMPILED,
            "holds 'Mine' of",
        ),
        (
            "    class Mine(keras.Model):\n        def __init__(self):\n"
            "            super().__init__()\n            self.last = L.Dense(10)\n"
            "        def call(self, x): return self.last(x)\n    model = Mine()" + COMPILED,
            "gives a model of the class 'Mine', which is code",
        ),
        (
            "    model = keras.Sequential([keras.Input(signature.shape), "
            "L.Dense(10, activation=lambda x: x)])" + COMPILED,
            "holds the activation '<lambda>', which cannot be saved without code",
        ),
        (
            "    model = keras.Sequential([keras.Input(signature.shape), L.Normalization(), "
            "L.Dense(10)])" + COMPILED,
            "has the layer 'normalization' without mean and variance",
        ),
        (
            "    model = keras.Sequential([keras.Input(signature.shape), L.Dense(10, "
            "trainable=False)])" + COMPILED,
            "has no weights to train",
        ),
        (
            "    model = keras.Sequential([keras.Input(signature.shape), L.Dense(10, "
            "dtype='mixed_float16')])" + COMPILED,
            "computes in mixed_float16",
        ),
        (
            f"{PLAIN}    model.compile(optimizer='adam', loss='mse')\n    return model\n",
            "has the loss 'mean_squared_error', and classification is trained by Sparse",
        ),
        (
            f"{PLAIN}    def {SPARSE[1:-1]}(y, p): return keras.ops.mean(p)\n"
            + COMPILED.replace("keras.losses.SparseCategoricalCrossentropy(True)", SPARSE[1:-1]),
            "has the loss 'sparse_categorical_crossentropy', and classification is trained by",
        ),
        (
            f"{PLAIN}    model.compile(optimizer='adam', loss='msee')\n    return model\n",
            "Could not interpret loss identifier: msee",
        ),
        (
            PLAIN + COMPILED.replace("keras.losses.SparseCategoricalCrossentropy(True)", SPARSE),
            "gives no probabilities",
        ),
        (
            PLAIN + COMPILED.replace("(True))", "(True), loss_weights=[0.5])"),
            "is compiled with loss_weights",
        ),
        (
            PLAIN + COMPILED.replace("(True)", "(True, reduction='sum')"),
            "has a loss of reduction 'sum'",
        ),
        (
            PLAIN + COMPILED.replace("(True)", "(True, ignore_class=0)"),
            "has a loss with ignore_class",
        ),
        (
            PLAIN + COMPILED.replace('"adam"', "keras.optimizers.Adam(use_ema=True)"),
            "has an optimizer that wraps or averages weights",
        ),
        (
            PLAIN + COMPILED.replace('"adam"', "keras.optimizers.Adam(loss_scale_factor=8.0)"),
            "has an optimizer with loss_scale_factor",
        ),
        (
            PLAIN.replace("L.Dense(10)", "L.Dense(10, 'softmax')") + COMPILED,
            "ends with activation 'softmax', and its loss says from_logits=True",
        ),
        (
            PLAIN.replace("L.Dense(10)", "L.Dense(10), L.Softmax()") + COMPILED,
            "ends with a layer Softmax, and its loss says from_logits=True",
        ),
    ],
)
def test_each_fault_of_a_function_is_one_line_with_its_place(
    tmp_path: Path, body: str, match: str
) -> None:
    found = family(tmp_path, f"{HEAD}\ndef build(signature):\n{body}")
    with pytest.raises(InvalidSpec, match=match) as caught:
        fit(found, {})
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("./mine.py:")
    assert "model './mine.py:build' " in message


LAYERS = f"""{HEAD}
def build(signature):
    shape = signature.shape
    model = keras.Sequential([keras.Input(shape), *%s, L.Dense(signature.outputs)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model
"""
DRY_RUN = DryRun(width=64, shape=None, outputs=10, export=True)


@pytest.mark.parametrize(
    "layers",
    [
        "[L.Dense(8, activity_regularizer='l2')]",
        "[L.SpectralNormalization(L.Dense(8))]",
        "[L.Normalization(mean=[0.5] * 64, variance=[2.0] * 64)]",
        "[L.Dense(8, activation='gelu')]",
    ],
    ids=["activity_regularizer", "SpectralNormalization", "Normalization", "gelu"],
)
def test_layers_with_numbers_of_their_own_are_exported_as_they_were_trained(
    tmp_path: Path, layers: str
) -> None:
    from onnxruntime import InferenceSession

    found = family(tmp_path, LAYERS % layers)
    found.dry_run({}, "classification", DRY_RUN)
    fitted = fit(found, {"epochs": 5, "batch": 20, "scale": "range"})
    predicted = found.predict(fitted, X)
    assert (predicted.argmax(axis=1) == Y).mean() > 0.5
    again = found.load(found.save(fitted), classes=10)
    assert np.array_equal(found.predict(again, X), predicted)
    rows = {"features": X.astype(np.float32)}
    exported = InferenceSession(found.onnx(fitted, width=64)).run(None, rows)[0]
    assert exported == pytest.approx(predicted, abs=1e-5)


def test_what_a_layer_fines_of_its_output_is_the_mean_of_rows_in_parts_too(tmp_path: Path) -> None:
    def weights(regularizer: str, train: Train | None) -> Any:
        found = family(tmp_path, LAYERS % f"[L.Dense(8, activity_regularizer={regularizer})]")
        params = {"epochs": 1, "batch": 100, "scale": "range"}
        estimator = found.build(params, "classification", seed=1, threads=1)
        network = found.network(estimator, X, Y, classes=10, train=train)
        for _ in steps(network, Alone(computation=network)):
            pass
        return network.model.trainable_variables[0].numpy()

    whole, in_parts = (weights("'l2'", one) for one in (None, Train(microbatches=4)))
    assert in_parts == pytest.approx(whole, abs=1e-5)
    assert np.abs(weights("None", None) - whole).max() > 1e-3


def test_a_layer_without_an_onnx_form_is_refused_where_one_is_needed(tmp_path: Path) -> None:
    found = family(tmp_path, LAYERS % "[L.Discretization(bin_boundaries=[0.1, 0.2])]")
    match = r"^\./mine\.py:5: model .* has no ONNX form, .*: .* TensorFlow's Bucketize$"
    with pytest.raises(InvalidSpec, match=match):
        found.dry_run({}, "classification", DRY_RUN)
    found.dry_run({}, "classification", replace(DRY_RUN, export=False))


@pytest.mark.parametrize("wait", ["time.sleep(60)", "pass", "threading.Event().wait()"])
def test_a_function_that_does_not_end_is_interrupted_with_its_line(
    tmp_path: Path, wait: str
) -> None:
    source = f"import threading, time\n\n\ndef build(signature):\n    while True:\n        {wait}\n"
    found = family(tmp_path, source)
    match = (
        r"^\./mine\.py:[56]: model .* cannot be built with \{\}: it has not ended within 0\.5 s$"
    )
    with pytest.raises(InvalidSpec, match=match):
        found.dry_run({}, "classification", replace(DRY_RUN, seconds=0.5))


def test_a_function_that_does_not_end_in_a_fit_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_builder, "BUILT_WITHIN", 0.5)
    found = family(tmp_path, "def build(signature):\n    while True:\n        pass\n")
    with pytest.raises(InvalidSpec, match=r"it has not ended within 0\.5 s"):
        fit(found, {})


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("def build(:\n", r"\./mine\.py:1: model './mine\.py:build' cannot be imported: SyntaxE"),
        ("x = 1\n1 / 0\n", r"\./mine\.py:2: .* ZeroDivisionError"),
        ("def built(): ...\n", "has no class or function 'build'; did you mean 'built'?"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(
    tmp_path: Path, source: str, match: str
) -> None:
    with pytest.raises(InvalidSpec, match=match):
        family(tmp_path, source).check({}, "classification")


@pytest.mark.parametrize("name", ["keras:", "keras:build", "keras:./mine.py", "keras:a b:c"])
def test_what_is_no_import_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSpec, match=r"^model .* is no import path"):
        catalog.family(name, base=tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"family 'keras:\./no\.py:build': cannot read"):
        catalog.family("keras:./no.py:build", base=tmp_path)


def test_a_model_whose_rows_miss_a_class_has_a_column_of_zeros(tmp_path: Path) -> None:
    found = family(tmp_path, BY_NAME)
    estimator = found.build({"units": 8, "epochs": 1}, "classification", seed=1, threads=1)
    fitted = found.fit(estimator, X[Y != 4], Y[Y != 4], classes=10)
    assert not found.predict(fitted, X)[:, 4].any()
    with pytest.raises(Unexportable, match="class number 4"):
        found.save(fitted)
