"""Networks that a function of the user's builds: `build(params, signature)`.

What it gives must be a compiled keras.Model that can be trained by steps, saved without code and
exported: each fault is one line with the place of the function.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fairlead.errors import InvalidSpec
from fairlead.families.keras_model import described, untrusted

if TYPE_CHECKING:
    from fairlead.families.family import Task
    from fairlead.families.keras_nets import NetworkSignature
    from fairlead.families.keras_runtime import Runtime
    from fairlead.families.user_code import Reference
    from fairlead.records import Params

PARAMS, SIGNATURE = "params", "signature"
"""Names that `build` may have for all parameters as a mapping, and for what its rows are."""
_LOSSES: Mapping[Task, Mapping[str, str]] = {
    "classification": {"SparseCategoricalCrossentropy": "sparse_categorical_crossentropy"},
    "regression": {
        "MeanSquaredError": "mean_squared_error",
        "MeanAbsoluteError": "mean_absolute_error",
        "Huber": "huber",
        "LogCosh": "log_cosh",
    },
}
"""Losses whose outputs are predictions, by class and by function."""
_MEANS = {"sum_over_batch_size", "mean", "mean_with_sample_weight"}
"""Reductions of a loss that are the mean of rows where none has a weight."""


def build(user: Reference, params: Params, signature: NetworkSignature, runtime: Runtime) -> Any:
    """The compiled model that the user's function gives for these parameters.

    Raises:
        InvalidSpec: It raises, or gives something else.
    """
    names = {one.name for one in user.taken()}
    given: dict[str, Any] = {PARAMS: dict(params)} if PARAMS in names else dict(params)
    if SIGNATURE in names:
        given[SIGNATURE] = signature
    target = user.target()
    with user.guarded(f"cannot be built with {dict(params)!r}"):
        model = target(**given)
    with user.guarded("cannot be looked at"):
        fault = next(_faults(model, signature, runtime), None)
    if fault:
        raise InvalidSpec(f"{_place(user, target)}model {user.name!r} {fault}")
    return model


def loss_of(model: Any, task: Task, runtime: Runtime) -> tuple[Any, bool]:
    """A compiled model's loss, from (true, predicted) to [rows], and whether it takes logits.

    Raises:
        InvalidSpec: It is none that Fairlead knows.
    """
    loss = runtime.keras.losses.get(model.loss)
    known = _LOSSES[task]
    kind = type(loss)
    if kind.__name__ in known and kind is getattr(runtime.keras.losses, kind.__name__):
        return loss.call, bool(loss.get_config().get("from_logits"))
    if any(loss is getattr(runtime.keras.losses, name) for name in known.values()):
        return loss, False
    raise InvalidSpec(
        f"has the loss {_named(loss)}, and {task} is trained by {' or '.join(known)} "
        "of keras.losses"
    )


def _faults(model: Any, signature: NetworkSignature, runtime: Runtime) -> Iterator[str]:
    """What is wrong with a model; each is looked for where those before are not the case."""
    keras = runtime.keras
    if not isinstance(model, keras.Model):
        yield f"gives {_named(model)}, and no keras.Model: let it return the compiled model"
    if type(model) not in {keras.Model, keras.Sequential} and not _functional(model):
        yield (
            f"gives a model of the class {type(model).__name__!r}, which is code: make it with "
            "keras.Sequential or keras.Model(inputs, outputs)"
        )
    if not model.built:
        model.build((None, *signature.shape))
    yield from _shapes(model, signature)
    if code := untrusted(described(model)):
        yield f"holds {code}, which cannot be saved without code: use layers of keras.layers"
    yield from _variables(model)
    yield from _compiled(model, signature, runtime)


def _functional(model: Any) -> bool:
    return type(model).__module__ == "keras.src.models.functional"


def _shapes(model: Any, signature: NetworkSignature) -> Iterator[str]:
    taken, wanted = model.input_shape, (None, *signature.shape)
    if not isinstance(taken, tuple) or not _fits(taken, wanted):
        yield f"takes {_shape(taken)}, and a row is {_shape(wanted)}: use signature.shape"
    given, outputs = model.output_shape, (None, signature.outputs)
    if given != outputs:
        what = "classes" if signature.task == "classification" else "number to predict"
        yield (
            f"gives {_shape(given)} for a row, and there are {signature.outputs} {what}: end it "
            "with Dense(signature.outputs)"
        )


def _fits(taken: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    return len(taken) == len(wanted) and all(
        one in {None, other} for one, other in zip(taken[1:], wanted[1:], strict=True)
    )


def _shape(shape: Any) -> str:
    return str(tuple(shape[1:])) if isinstance(shape, tuple) else f"several ({shape})"


def _variables(model: Any) -> Iterator[str]:
    if not model.trainable_variables:
        yield "has no weights to train"
    for variable in model.variables:
        draws = variable.path.endswith("seed_generator_state")
        if variable.dtype != "float32" and not draws:
            yield f"has the variable {variable.path!r} of {variable.dtype}: use float32 throughout"
    for layer in model.layers:
        if layer.dtype_policy.name != "float32":
            yield f"has a layer that computes in {layer.dtype_policy.name}: use float32 throughout"


def _compiled(model: Any, signature: NetworkSignature, runtime: Runtime) -> Iterator[str]:
    import numpy as np

    if not getattr(model, "compiled", False) or model.loss is None:
        yield "gives a model that is not compiled: call model.compile(optimizer=..., loss=...)"
    if model.optimizer.use_ema or hasattr(model.optimizer, "inner_optimizer"):
        yield "has an optimizer that wraps or averages weights: use a plain one"
    if int(model.optimizer.iterations.numpy()):
        yield "gives a model that was trained before: let it make a new one each time"
    yield from _unheeded(model, runtime)
    try:
        _, logits = loss_of(model, signature.task, runtime)
    except (InvalidSpec, ValueError) as error:
        yield " ".join(str(error).split())
        return
    if signature.task == "classification" and not logits:
        odds = model(np.zeros((1, *signature.shape), np.float32), training=False).numpy()
        if not np.isclose(odds.sum(), 1.0, atol=1e-3) or (odds < 0).any():
            yield (
                "gives no probabilities: end it with activation 'softmax', or compile it with "
                "SparseCategoricalCrossentropy(from_logits=True)"
            )


def _unheeded(model: Any, runtime: Runtime) -> Iterator[str]:
    """What a model is compiled with and steps do not heed: they take the mean of all rows."""
    if (model.get_compile_config() or {}).get("loss_weights"):
        yield "is compiled with loss_weights, and has one loss: leave them out"
    loss = model.loss
    if isinstance(loss, runtime.keras.losses.Loss):
        if loss.reduction not in _MEANS:
            yield f"has a loss of reduction {loss.reduction!r}, and steps take the mean of rows"
        if loss.get_config().get("ignore_class") is not None:
            yield "has a loss with ignore_class, and each row counts: leave rows out of the data"


def _named(value: Any) -> str:
    if value is None or isinstance(value, (str, int, float)):
        return json.dumps(value)
    return repr(getattr(value, "__name__", type(value).__name__))


def _place(user: Reference, target: Any) -> str:
    """`file:line: ` of the function, where it is one of the user's file."""
    code = getattr(target, "__code__", None)
    if code is None or code.co_filename != user.where:
        return ""
    return f"{user.where}:{code.co_firstlineno}: "
