"""Networks that a function of the user's builds: `build(params, signature)`.

What it gives must be a compiled keras.Model that can be trained by steps, saved without code and
exported: each fault is one line with the place of the function.
"""

from __future__ import annotations

import contextlib
import json
import textwrap
import weakref
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from fairlead.errors import InvalidSpec, described
from fairlead.families.keras_model import architecture_of, untrusted
from fairlead.families.user_code import contained, within

if TYPE_CHECKING:
    from fairlead.families.family import Task
    from fairlead.families.keras_nets import NetworkSignature
    from fairlead.families.keras_runtime import Runtime
    from fairlead.families.user_code import Reference
    from fairlead.records import Params

BUILT_WITHIN = 120.0
"""Seconds that a function may take to build a model."""
_SENTENCE = 300
"""Characters of a library's message that are passed on."""
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
_SQUASHING = {"softmax": "Softmax", "sigmoid": "Sigmoid"}
"""Activations that give probabilities, and the layers of the same."""
_GIVEN: MutableMapping[int, Any] = weakref.WeakValueDictionary()
"""The weights of models that functions gave in this process, by their ids."""


def build(
    user: Reference,
    params: Params,
    signature: NetworkSignature,
    runtime: Runtime,
    *,
    seconds: float = BUILT_WITHIN,
) -> Any:
    """The compiled model that the user's function gives for these parameters.

    Args:
        user: The function.
        params: What it is to build.
        signature: What the model takes and gives.
        runtime: The libraries.
        seconds: That it may take.

    Raises:
        InvalidSpec: It raises, does not end in that time, or gives something else.
    """
    names = {one.name for one in user.taken()}
    given: dict[str, Any] = {PARAMS: dict(params)} if PARAMS in names else dict(params)
    if SIGNATURE in names:
        given[SIGNATURE] = signature
    target = user.target()
    with user.guarded(f"cannot be built with {dict(params)!r}"), within(seconds):
        model = target(**given)
    with refusing(user, "cannot be looked at"):
        fault = next(_faults(model, signature, runtime), None)
    if fault:
        raise InvalidSpec(f"{_place(user)}model {user.name!r} {fault}")
    _GIVEN.update({id(one): one for one in model.trainable_variables})
    return model


def refuse_drawn(user: Reference, one: Any, other: Any) -> None:
    """Refuse a function whose models, made with the same seed, begin with other weights.

    Args:
        user: The function.
        one: A model that it gave.
        other: Another.

    Raises:
        InvalidSpec: They do: a study would have other bits each time.
    """
    import numpy as np

    weights, others = ([v.numpy() for v in model.trainable_variables] for model in (one, other))
    if len(weights) != len(others) or not all(map(np.array_equal, weights, others)):
        raise InvalidSpec(
            f"{_place(user)}model {user.name!r} begins with other weights each time, though its "
            "seed is the same: let it draw from the generators of Keras, random or numpy.random "
            "alone, which are seeded before it is called"
        )


@contextlib.contextmanager
def refusing(user: Reference, what: str) -> Iterator[None]:
    """Make what is raised inside, by code that is not the user's, a fault of the function.

    Args:
        user: The function.
        what: What is wrong with its model, as the rest of a sentence.

    Raises:
        InvalidSpec: In one line, after the place of the function in its file.
    """
    try:
        with contained():
            yield
    except InvalidSpec:
        raise
    except Exception as error:
        why = textwrap.shorten(described(error), _SENTENCE, placeholder=" ...")
        raise InvalidSpec(f"{_place(user)}model {user.name!r} {what}: {why}") from error


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
    if code := _own_activation(model) or untrusted(architecture_of(model)):
        yield f"holds {code}, which cannot be saved without code: use layers of keras.layers"
    yield from _variables(model)
    yield from _compiled(model, signature, runtime)


def _own_activation(model: Any) -> str | None:
    """The activation of a layer that is none of Keras': it is saved by its name alone."""
    for layer in model.layers:
        activation = getattr(layer, "activation", None)
        if activation is not None and not activation.__module__.startswith("keras."):
            return f"the activation {_named(activation)}"
    return None


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
    if layer := next((one for one in model.layers if _is_unadapted(one)), None):
        yield (
            f"has the layer {layer.name!r} without mean and variance, and adapt is not called: "
            "leave it out, since the fit scales numbers (parameter scale), or give it both"
        )
    for variable in model.variables:
        draws = variable.path.endswith("seed_generator_state")
        if variable.dtype != "float32" and not draws:
            yield f"has the variable {variable.path!r} of {variable.dtype}: use float32 throughout"
    for layer in model.layers:
        if layer.dtype_policy.name != "float32":
            yield f"has a layer that computes in {layer.dtype_policy.name}: use float32 throughout"


def _is_unadapted(layer: Any) -> bool:
    return type(layer).__name__ == "Normalization" and layer.input_mean is None


def _compiled(model: Any, signature: NetworkSignature, runtime: Runtime) -> Iterator[str]:
    import numpy as np

    if not getattr(model, "compiled", False) or model.loss is None:
        yield "gives a model that is not compiled: call model.compile(optimizer=..., loss=...)"
    if model.optimizer.use_ema or hasattr(model.optimizer, "inner_optimizer"):
        yield "has an optimizer that wraps or averages weights: use a plain one"
    if model.optimizer.loss_scale_factor is not None:
        yield "has an optimizer with loss_scale_factor, and losses are not scaled: leave it out"
    if int(model.optimizer.iterations.numpy()):
        yield "gives a model that was trained before: let it make a new one each time"
    if any(_GIVEN.get(id(one)) is one for one in model.trainable_variables):
        yield (
            "gives layers that it gave before, which have learned from rows of other fits: let it "
            "make new ones each time"
        )
    yield from _unheeded(model, runtime)
    try:
        _, logits = loss_of(model, signature.task, runtime)
    except (InvalidSpec, ValueError) as error:
        yield " ".join(str(error).split())
        return
    if logits and (squashing := _probabilities(model)):
        yield (
            f"ends with {squashing}, and its loss says from_logits=True, which would squash them "
            "again: leave one of the two out"
        )
    if signature.task == "classification" and not logits:
        odds = model(np.zeros((1, *signature.shape), np.float32), training=False).numpy()
        if not np.isclose(odds.sum(), 1.0, atol=1e-3) or (odds < 0).any():
            yield (
                "gives no probabilities: end it with activation 'softmax', or compile it with "
                "SparseCategoricalCrossentropy(from_logits=True)"
            )


def _probabilities(model: Any) -> str | None:
    """What makes probabilities of a model's outputs, if they are made by its last layer."""
    last = model.layers[-1]
    kind = type(last).__name__
    if kind in _SQUASHING.values():
        return f"a layer {kind}"
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    return f"activation {activation!r}" if activation in _SQUASHING else None


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


def _place(user: Reference) -> str:
    """`file:line: ` of the function, where it is one of the user's file."""
    code = getattr(user.target(), "__code__", None)
    if code is None or code.co_filename != user.where:
        return ""
    return f"{user.where}:{code.co_firstlineno}: "
