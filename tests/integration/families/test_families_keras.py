"""A Keras fit is the same bits however it is cut, shared, interrupted or cut off."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets

from fairlead.errors import Corrupt, Diverged, Failed, InvalidData, InvalidSpec
from fairlead.families import catalog
from fairlead.families.family import Fitted, Saved
from fairlead.gang.network import Network, StepResult
from fairlead.spec.document import Train

pytestmark = pytest.mark.distributed

X, Y = sklearn.datasets.load_digits(return_X_y=True)
X, Y = X[:600].astype(float), Y[:600].astype(np.int64)
EXACT = Train(mode="exact", microbatches=5)
AVERAGING = Train(mode="averaging", workers=3, pull_every=2)
MLP = {"units": 16, "layers": 1, "dropout": 0.2, "batch": 100, "epochs": 3}
CONV = {**MLP, "net": "conv", "layers": 2}


def family() -> Any:
    return catalog.family("keras", base=Path())


def network(
    params: dict[str, Any] = MLP, train: Train | None = EXACT, stages: Sequence[int] = ()
) -> Any:
    estimator = family().build(params, "classification", seed=3, threads=1)
    return family().network(estimator, X, Y, classes=10, train=train, stages=stages)


def stepped(
    driver: Network, ranks: Sequence[Network], steps: int | None = None
) -> list[StepResult]:
    """Take steps; which rank computes a part changes from step to step."""
    results: list[StepResult] = []
    while (steps is None or len(results) < steps) and (work := driver.next()) is not None:
        order = range(work.parts) if work.step % 2 else reversed(range(work.parts))
        answers = {n: ranks[(n + work.step) % len(ranks)].part(work, n) for n in order}
        total = answers[0].copy()
        for number in range(1, work.parts):
            total += answers[number]
        results.append(driver.advance(work, total))
    return results


def bits(driver: Network) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in driver.checkpoint().items()}


@pytest.mark.parametrize("params", [MLP, CONV], ids=["mlp", "conv"])
@pytest.mark.parametrize("train", [EXACT, AVERAGING], ids=["exact", "averaging"])
def test_who_computes_a_part_changes_no_bit(params: dict[str, Any], train: Train) -> None:
    alone, shared = network(params, train), network(params, train)
    stepped(alone, [alone])
    stepped(shared, [network(params, train) for _ in range(3)])
    assert bits(alone) == bits(shared)


@pytest.mark.parametrize("train", [EXACT, AVERAGING], ids=["exact", "averaging"])
def test_answers_of_another_model_are_refused(train: Train) -> None:
    driver = network(train=train)
    work = driver.next()
    for numbers in (4, len(work.state) + 2):
        with pytest.raises(Failed, match=f"answered with {numbers} numbers"):
            driver.advance(work, np.ones(numbers, np.float32))


@pytest.mark.parametrize("params", [MLP, CONV], ids=["mlp", "conv"])
@pytest.mark.parametrize("train", [EXACT, AVERAGING], ids=["exact", "averaging"])
def test_a_restored_fit_goes_on_to_the_same_bits(params: dict[str, Any], train: Train) -> None:
    whole = network(params, train, (1, 3))
    stepped(whole, [whole])
    first = network(params, train, (1, 3))
    stepped(first, [first], steps=first.training.schedule.steps_of_epoch + 1)
    second = network(params, train, (1, 3))
    second.restore(first.checkpoint())
    stepped(second, [second])
    assert bits(second) == bits(whole)
    assert np.array_equal(*(family().predict(family().fitted(n), X) for n in (second, whole)))


@pytest.mark.parametrize("train", [None, EXACT, AVERAGING], ids=["alone", "exact", "averaging"])
def test_a_stage_predicts_the_bits_of_a_fit_of_its_own(train: Train | None) -> None:
    longest = network(MLP, train, (1, 2, 3))
    stepped(longest, [longest])
    fitted = family().fitted(longest)
    for epochs, predicted in zip((1, 2, 3), family().stages(fitted, X, (1, 2, 3)), strict=True):
        own = network({**MLP, "epochs": epochs}, train)
        stepped(own, [own])
        assert np.array_equal(predicted, family().predict(family().fitted(own), X))
    assert np.array_equal(family().predict(fitted, X), predicted)


def test_parts_change_the_sums_and_hardly_the_model() -> None:
    one, five = network(MLP | {"dropout": 0.0}, None), network(MLP | {"dropout": 0.0})
    stepped(one, [one], steps=3)
    stepped(five, [five], steps=3)
    assert np.allclose(one.next().state, five.next().state, atol=1e-5)


def test_parts_without_rows_are_zeros() -> None:
    many = network({**MLP, "batch": 7}, Train(microbatches=12))
    work = many.next()
    answers = [many.part(work, number) for number in range(12)]
    assert sum(answer[-1] for answer in answers) == 7
    assert not answers[-1].any()
    assert len({len(answer) for answer in answers}) == 1


def test_steps_say_how_far_the_fit_is_and_the_loss_falls() -> None:
    driver = network({**MLP, "epochs": 20, "learning_rate": 0.01})
    results = stepped(driver, [driver])
    assert [result.step for result in results] == list(range(120))
    assert {result.steps for result in results} == {120}
    assert results[5].epoch == 1.0
    assert results[-1].epoch == 20.0
    assert {result.rows for result in results} == {100}
    assert results[-1].loss < results[0].loss / 3
    assert results[-1].accuracy is not None
    assert results[-1].accuracy > 0.9


def test_a_loss_that_is_no_number_names_its_step() -> None:
    driver = network({**MLP, "learning_rate": 1e30, "epochs": 5})
    with pytest.raises(Diverged, match=r"^step 2 of 30: the loss is (nan|inf)") as caught:
        stepped(driver, [driver])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ({"model": None}, "another model"),
        ({"step": np.array(10_000)}, "no number of a step"),
        ({"step": None}, "no number of a step"),
        ({"state": np.zeros(3, np.float32)}, "'state'"),
        ({"optimizer_2": None}, "'optimizer_2'"),
    ],
)
def test_a_damaged_checkpoint_is_refused(damage: dict[str, Any], match: str) -> None:
    driver = network()
    stepped(driver, [driver], steps=2)
    arrays = {**driver.checkpoint(), **damage}
    other = network()
    with pytest.raises(Corrupt, match=match):
        other.restore({name: array for name, array in arrays.items() if array is not None})
    assert bits(other) == bits(network())


@pytest.mark.parametrize("change", [{"units": 17}, {"batch": 99}, {"learning_rate": 0.5}])
def test_a_checkpoint_of_other_parameters_is_refused(change: dict[str, Any]) -> None:
    driver = network()
    stepped(driver, [driver], steps=1)
    with pytest.raises(Corrupt, match="another model"):
        network({**MLP, **change}).restore(driver.checkpoint())


def test_a_fit_stops_where_held_out_rows_get_no_better_and_has_the_best_weights() -> None:
    params = {**MLP, "epochs": 500, "learning_rate": 0.05, "validation": 0.25, "patience": 2}
    driver = network(params)
    results = stepped(driver, [driver])
    assert len(results) < 500 * driver.training.schedule.steps_of_epoch
    stopping = driver.training.stopping
    assert stopping.waited == 2
    best = {name: array.copy() for name, array in driver.checkpoint().items()}["best_weights"]
    fitted = family().fitted(driver)
    assert np.array_equal(np.concatenate([v.numpy().ravel() for v in fitted.model.variables]), best)
    assert family().stage(params) is None


def test_early_stopping_goes_on_from_a_checkpoint() -> None:
    params = {**MLP, "epochs": 500, "learning_rate": 0.05, "validation": 0.25, "patience": 2}
    whole, first, second = network(params), network(params), network(params)
    stepped(whole, [whole])
    stepped(first, [first], steps=11)
    second.restore(first.checkpoint())
    stepped(second, [second])
    assert bits(second) == bits(whole)


def test_epochs_without_a_finite_loss_of_held_out_rows_count_across_a_checkpoint() -> None:
    params = {**MLP, "epochs": 500, "validation": 0.25, "patience": 3}

    def made() -> Any:
        driver = network(params)
        held = driver.training.stopping.held
        driver.training.stopping.held = replace(held, x=np.full_like(held.x, 1e38))
        return driver

    whole, first, second = made(), made(), made()
    steps_of_epoch = whole.training.schedule.steps_of_epoch
    assert len(stepped(whole, [whole])) == 3 * steps_of_epoch
    stepped(first, [first], steps=2 * steps_of_epoch)
    second.restore(first.checkpoint())
    assert len(stepped(second, [second])) == steps_of_epoch
    assert bits(second) == bits(whole)
    assert second.training.stopping.weights is None


@pytest.mark.parametrize("more", [{}, {"validation": 0.25, "patience": 2}], ids=["", "stopping"])
def test_judging_the_model_at_the_ends_of_epochs_changes_no_bit(more: dict[str, Any]) -> None:
    params = {**MLP, "learning_rate": 0.05, "epochs": 4, **more}
    whole, judged = network(params), network(params)
    stepped(whole, [whole])
    while stepped(judged, [judged], steps=1):
        family().predict(family().fitted(judged), X)
    assert bits(judged) == bits(whole)


def test_all_numbers_of_an_image_are_scaled_by_one_factor() -> None:
    images = family().shaped((8, 8, 1))
    estimator = images.build({"epochs": 1}, "classification", seed=0, threads=1)
    fitted = images.fit(estimator, X, Y, classes=10)
    assert fitted.model.shape == (8, 8, 1)
    assert set(fitted.model.scaling.factor.tolist()) == {1 / 16}
    assert not fitted.model.scaling.center.any()
    assert any("Conv2D" in type(layer).__name__ for layer in fitted.model.model.layers)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"units": 0}, "parameter 'units' must be a whole number of at least 1, not 0"),
        ({"epochs": 2.5}, "'epochs' must be a whole number"),
        ({"batch": True}, "'batch' must be a whole number"),
        ({"net": "lstm"}, "'net' must be mlp, conv, or null, not 'lstm'"),
        ({"dropout": 1.0}, "'dropout' must be a share, from 0 to below 1"),
        ({"learning_rate": 0}, "'learning_rate' must be a number above 0"),
        ({"batch_size": 3}, "'batch_size' is written 'batch' here"),
        ({"patience": 3}, "give validation"),
    ],
)
def test_values_out_of_bounds_are_refused(params: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidSpec, match=match) as caught:
        family().build(params, "classification", seed=0, threads=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "layers", "match"),
    [(63, 1, "63 columns are no square"), (64, 4, "halve an image of 8 x 8 pixels to nothing")],
)
def test_rows_that_are_no_images_are_refused_by_conv(columns: int, layers: int, match: str) -> None:
    params = {"net": "conv", "layers": layers}
    estimator = family().build(params, "classification", seed=0, threads=1)
    with pytest.raises(InvalidSpec, match=match):
        family().fit(estimator, X[:, :columns], Y, classes=10)


def test_missing_numbers_are_refused_with_what_to_write() -> None:
    estimator = family().build({}, "classification", seed=0, threads=1)
    with pytest.raises(InvalidData, match=r"data\.impute"):
        family().fit(estimator, np.where(X > 15, np.nan, X), Y, classes=10)


def test_another_number_of_threads_is_refused_in_a_process_that_has_one() -> None:
    network()
    estimator = family().build(MLP, "classification", seed=0, threads=2)
    with pytest.raises(Failed, match=r"TensorFlow has 1 .* search\.threads is 2"):
        family().fit(estimator, X, Y, classes=10)


# ---- the own format -------------------------------------------------------------------------


def test_tensorflow_with_onednn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network()  # it is imported, without
    for others in ("1", None):
        if others is None:
            monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
        else:
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", others)
        with pytest.raises(Failed, match="imported in this process with oneDNN"):
            network()


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    estimator = family().build({**CONV, "epochs": 1}, "classification", seed=0, threads=1)
    model: Fitted = family().fit(estimator, X, Y, classes=10)
    return model


def _with(saved: Saved, change: Any) -> Saved:
    """The archive with another architecture."""
    with np.load(io.BytesIO(saved.content)) as arrays:
        kept = dict(arrays)
    architecture = change(json.loads(kept["architecture"].tobytes()))
    kept["architecture"] = np.frombuffer(json.dumps(architecture).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    return Saved(name=saved.name, content=buffer.getvalue())


def _layer(kind: str, module: str) -> Any:
    def change(architecture: Any) -> Any:
        architecture["config"]["layers"].append(
            {"class_name": kind, "module": module, "config": {"name": "other"}}
        )
        return architecture

    return change


@pytest.mark.parametrize(
    ("kind", "module", "match"),
    [
        ("Lambda", "keras.layers", "a Lambda layer"),
        ("TFSMLayer", "keras.layers", "a TFSMLayer layer"),
        ("Popen", "subprocess", "'Popen' of subprocess"),
        ("get_file", "keras.utils", "'get_file' of keras.utils"),
        ("function", "builtins", "'function' of builtins"),
    ],
)
def test_an_architecture_with_code_is_not_read(
    fitted: Fitted, kind: str, module: str, match: str
) -> None:
    with pytest.raises(Corrupt, match=match):
        family().load(_with(family().save(fitted), _layer(kind, module)), classes=10)


def test_a_saved_model_holds_no_pickle_and_is_the_same_bytes_each_time(fitted: Fitted) -> None:
    saved = family().save(fitted)
    assert saved.content == family().save(fitted).content
    with zipfile.ZipFile(io.BytesIO(saved.content)) as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())
    np.load(io.BytesIO(saved.content), allow_pickle=False).close()


def test_a_second_fit_in_one_process_is_saved_and_exported_as_the_same_bytes(
    fitted: Fitted,
) -> None:
    estimator = family().build({**CONV, "epochs": 1}, "classification", seed=0, threads=1)
    again = family().fit(estimator, X, Y, classes=10)
    assert family().save(again).content == family().save(fitted).content
    assert family().onnx(again, width=64) == family().onnx(fitted, width=64)
