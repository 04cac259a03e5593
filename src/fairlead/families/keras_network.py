"""A Keras model in training: a fit as a series of steps that several processes can share.

A step is cut into parts by keras_schedule.py. A part is computed from the state that its work holds
and from nothing else that this object has become: sums over its rows, so that parts may be of
unequal size, and one without rows is zeros. The driver adds the parts up and takes the step.

An answer is float32: the gradients of the weights (in a round of local steps: the change of the
weights and of the optimizer), the change of the moving averages, the sum of the losses, how many
rows were predicted right, and how many there were. Changes, not values: what does not change is
exactly what it was, however many parts are added. In a round that ranks take together, which add
their sums among themselves, the first part answers for all and the others with zeros.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt, Diverged, Failed
from fairlead.families.keras_model import ScaledRows
from fairlead.families.keras_schedule import Schedule, draw
from fairlead.gang.network import StepResult
from fairlead.gang.steps import total
from fairlead.gang.work import Work, WorkKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.families.keras_runtime import Runtime
    from fairlead.gang.network import Arrays
    from fairlead.gang.work import Vector

_COUNTS = 3
"""At the end of an answer: sum of losses, rows right, rows."""
_EVALUATED = 1024
"""Rows that are evaluated at a time."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows as a model gets them.

    Args:
        x: float32 [rows, ...].
        y: int32 [rows] class indexes, or float32 [rows, 1].
    """

    x: NDArray[np.float32] | ScaledRows
    y: NDArray[Any]

    def take(self, rows: NDArray[np.intp]) -> Examples:
        """These rows."""
        return Examples(x=self.x[rows], y=self.y[rows])

    def among(self, rows: NDArray[np.intp]) -> Examples:
        """These rows, which may be very many."""
        x = self.x.take(rows) if isinstance(self.x, ScaledRows) else self.x[rows]
        return Examples(x=x, y=self.y[rows])

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.x)


@dataclass(kw_only=True)
class Stopping:
    """Early stopping by the loss of rows that are not fitted on.

    Args:
        held: These rows.
        patience: Epochs without a lower loss after which the fit ends.
        best: The lowest loss so far.
        waited: Epochs since then.
        weights: The weights that had it.
    """

    held: Examples
    patience: int
    best: float = math.inf
    waited: int = 0
    weights: Vector | None = None

    @property
    def over(self) -> bool:
        """Whether the fit is to end."""
        return self.waited >= self.patience

    def hear(self, loss: float, weights: Vector) -> None:
        """Take an epoch's loss."""
        if loss < self.best:
            self.best, self.waited, self.weights = loss, 0, weights
        else:
            self.waited += 1


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained and on what.

    Args:
        runtime: The libraries.
        model: A compiled model, with its first weights.
        loss: From (true, predicted) to [rows].
        examples: The rows that it is fitted on.
        schedule: The steps.
        classes: Whether targets are classes.
        stages: Numbers of epochs after which the weights are kept.
        stopping: By which rows it is stopped early, if any.
        reduce: Adds a vector of each rank, where ranks take rounds together; without it the first
            part is computed of all rows.
    """

    runtime: Runtime
    model: Any
    loss: Any
    examples: Examples
    schedule: Schedule
    classes: bool
    stages: Sequence[int] = ()
    stopping: Stopping | None = None
    reduce: Callable[[Vector], Vector] | None = None


class KerasNetwork:
    """A Keras model in training, as driver and ranks have it."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.stages: dict[int, Vector] = {}
        self._tensors = Tensors(training)
        self._step = 0
        self._state = self._tensors.read()
        self._held: Vector | None = self._state  # the state that the variables have now

    @property
    def model(self) -> Any:
        """The Keras model; the weights are those of the last step, or of the part computed last."""
        return self.training.model

    def next(self) -> Work | None:
        """One batch, or a round of local batches; None after the last or if it was stopped."""
        schedule, stopping = self.training.schedule, self.training.stopping
        if self._step >= schedule.steps or (stopping and stopping.over):
            return None
        self._state.flags.writeable = False  # as every process has it
        return Work(kind=_kind(schedule), step=self._step, parts=schedule.parts, state=self._state)

    def part(self, work: Work, number: int) -> Vector:
        """The answer to one part."""
        self._hold(work.state)
        match work.kind:
            case "gradients":
                return self._gradients(work, number)
            case "local_steps":
                return self._round(work, number)
            case "collective_steps":
                return self._round_together(work, number)

    def advance(self, work: Work, total: Vector) -> StepResult:
        """Take the step."""
        if len(total) != len(work.state) + _COUNTS:
            raise Failed(
                f"step {work.step}: parts were answered with {len(total)} numbers, and the model "
                f"has {len(work.state) + _COUNTS}; all ranks need the same versions of Fairlead, "
                "Keras and TensorFlow"
            )
        rows = total[-1]
        self._refuse_infinite(work.step, float(total[-_COUNTS] / rows), total)
        self._hold(work.state)
        if work.kind == "gradients":
            self._tensors.apply(total[:-_COUNTS] / rows)
            self._state = self._tensors.read()
        else:
            rounds = work.parts if work.kind == "local_steps" else 1
            self._state = work.state + total[:-_COUNTS] / type(rows)(rounds)
            self._tensors.assign(self._state)
            self._tensors.count(self.training.schedule.batches_before(work.step + 1))
        self._held = self._state
        self._step = work.step + 1
        result = self._result(work.step, total)
        self._refuse_infinite(work.step, result.loss, self._state)
        self._end_epoch(work.step)
        return result

    def checkpoint(self) -> Arrays:
        """All that the next step depends on."""
        import numpy as np

        self._hold(self._state)
        kept: dict[str, NDArray[Any]] = {
            "model": np.frombuffer(self._identity, np.uint8),
            "step": np.array(self._step, np.int64),
            "state": self._state,
            **{f"optimizer_{n}": v for n, v in enumerate(self._tensors.optimizer())},
            **{f"stage_{epochs}": weights for epochs, weights in self.stages.items()},
        }
        stopping = self.training.stopping
        if stopping:
            kept["best"] = np.array([stopping.best, stopping.waited], np.float64)
            if stopping.weights is not None:
                kept["best_weights"] = stopping.weights
        return kept

    def restore(self, arrays: Arrays) -> None:
        """Go on where a checkpoint was made."""
        self._refuse_other(arrays)
        optimizer = [arrays[f"optimizer_{n}"] for n in range(len(self._tensors.optimizer()))]
        self._tensors.set_optimizer(optimizer)
        self._step = int(arrays["step"])
        self._state = arrays["state"].copy()
        self._held = None
        self._hold(self._state)
        self.stages = {n: arrays[f"stage_{n}"] for n in self._stages_before(self._step)}
        if stopping := self.training.stopping:
            stopping.best, stopping.waited = float(arrays["best"][0]), int(arrays["best"][1])
            stopping.weights = arrays["best_weights"] if math.isfinite(stopping.best) else None

    def finish(self) -> None:
        """Give the model the weights that the fit ends with."""
        stopping = self.training.stopping
        best = stopping.weights if stopping else None
        self._hold(self._state)
        if best is not None:
            self._tensors.assign_weights(best)
            self._held = None

    def _hold(self, state: Vector) -> None:
        if state is not self._held:
            self._tensors.assign(state)
            self._held = state

    def _gradients(self, work: Work, number: int) -> Vector:
        return self._sums(work.step, self.training.schedule.part(work.step, number), number)

    def _round(self, work: Work, number: int) -> Vector:
        """The state's change by the local steps of one share of the rows."""
        import numpy as np

        schedule, counts = self.training.schedule, np.zeros(_COUNTS, np.float32)
        self._held = None
        self._tensors.count(schedule.batches_before(work.step))
        for batch, rows in schedule.share(work.step, number):
            if len(rows):
                answer = self._tensors.gradients(self.training.examples.take(rows), batch, number)
                self._tensors.apply(answer[:-_COUNTS] / answer[-1])
                counts += answer[-_COUNTS:]
            else:  # the share is a row shorter than the largest
                self._tensors.count(batch + 1)
        return np.concatenate([self._tensors.read() - work.state, counts])

    def _round_together(self, work: Work, number: int) -> Vector:
        """The state's change by steps that all ranks take together; the first answers for all."""
        import numpy as np

        schedule, counts = self.training.schedule, np.zeros(_COUNTS, np.float32)
        if number and self.training.reduce is None:
            return np.zeros(len(work.state) + _COUNTS, np.float32)
        self._held = None
        self._tensors.count(schedule.batches_before(work.step))
        for batch, parts in schedule.common(work.step):
            answer = self._summed(batch, parts, number)
            self._tensors.apply(answer[:-_COUNTS] / answer[-1])
            counts += answer[-_COUNTS:]
        change = np.concatenate([self._tensors.read() - work.state, counts])
        return change if number == 0 else np.zeros_like(change)

    def _summed(self, batch: int, parts: Sequence[NDArray[np.intp]], number: int) -> Vector:
        """The sums over the rows of a batch, to which each rank adds those of its own."""
        if self.training.reduce is not None:
            return self.training.reduce(self._sums(batch, parts[number], number))
        answers = [self._sums(batch, rows, part) for part, rows in enumerate(parts)]
        return total(answers)

    def _sums(self, batch: int, rows: NDArray[np.intp], part: int) -> Vector:
        if not len(rows):
            return self._tensors.nothing()
        return self._tensors.gradients(self.training.examples.take(rows), batch, part)

    def _result(self, step: int, total: Vector) -> StepResult:
        schedule, rows = self.training.schedule, total[-1]
        return StepResult(
            step=step,
            steps=schedule.steps,
            epoch=schedule.seen(step),
            loss=float(total[-_COUNTS] / rows),
            accuracy=float(total[-2] / rows) if self.training.classes else None,
            rows=int(rows),
        )

    def _refuse_infinite(self, step: int, loss: float, numbers: Vector) -> None:
        import numpy as np

        if math.isfinite(loss) and np.isfinite(numbers).all():
            return
        what = f"the loss is {loss}" if not math.isfinite(loss) else "a weight is no finite number"
        raise Diverged(
            f"step {step + 1} of {self.training.schedule.steps}: {what}; "
            "a lower learning_rate may help, and numbers that are scaled"
        )

    def _end_epoch(self, step: int) -> None:
        epochs = self.training.schedule.ended(step)
        if epochs is None:
            return
        weights = self._tensors.weights_of(self._state)
        if epochs in self.training.stages:
            self.stages[epochs] = weights
        if self.training.stopping:
            loss = self._tensors.evaluate(self.training.stopping.held)
            self.training.stopping.hear(loss, weights)

    def _stages_before(self, step: int) -> list[int]:
        done = step // self.training.schedule.steps_of_epoch
        return [epochs for epochs in self.training.stages if epochs <= done]

    @cached_property
    def _identity(self) -> bytes:
        """A digest of what a checkpoint must be of: the model and its steps."""
        schedule = self.training.schedule
        text = f"{self._tensors.described()} {schedule} {sorted(self.training.stages)}"
        return hashlib.sha256(text.encode()).digest()

    def _refuse_other(self, arrays: Arrays) -> None:
        """Refuse a checkpoint that `checkpoint` of this very fit did not make.

        Raises:
            Corrupt: Says which array is wrong.
        """
        if bytes(arrays["model"].tobytes() if "model" in arrays else b"") != self._identity:
            raise Corrupt("the checkpoint is of another model, of other data or of other steps")
        step = arrays.get("step")
        if step is None or step.shape or not 0 <= int(step) <= self.training.schedule.steps:
            raise Corrupt(f"the checkpoint's array 'step' is {step!r}, and no number of a step")
        for name, like in self._expected(int(step), arrays).items():
            found = arrays.get(name)
            if found is None or (found.shape, found.dtype) != (like.shape, like.dtype):
                raise Corrupt(f"the checkpoint's array {name!r} is missing, or of another shape")

    def _expected(self, step: int, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        import numpy as np

        weights = self._tensors.weights_of(self._state)
        return {
            "state": self._state,
            **{f"optimizer_{n}": v for n, v in enumerate(self._tensors.optimizer())},
            **{f"stage_{epochs}": weights for epochs in self._stages_before(step)},
            **({"best": np.zeros(2)} if self.training.stopping else {}),
            **({"best_weights": weights} if math.isfinite(_best_of(arrays)) else {}),
        }


def _best_of(arrays: Arrays) -> float:
    """The lowest loss that a checkpoint has; infinite where it has none."""
    best = arrays.get("best")
    return float(best[0]) if best is not None and best.shape == (2,) else math.inf


def _kind(schedule: Schedule) -> WorkKind:
    """What a step of this schedule is."""
    if schedule.together is not None:
        return "collective_steps"
    return "gradients" if schedule.local is None else "local_steps"


@dataclass(frozen=True, kw_only=True)
class _Flat:
    """Variables as one float32 vector, in their order."""

    tf: Any
    variables: Sequence[Any]
    shapes: Sequence[tuple[int, ...]] = field(init=False)
    sizes: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", [tuple(v.shape) for v in self.variables])
        object.__setattr__(self, "sizes", [math.prod(shape) for shape in self.shapes])

    @property
    def size(self) -> int:
        """Numbers of the vector."""
        return sum(self.sizes)

    def joined(self, tensors: Sequence[Any]) -> Any:
        """Tensors of these shapes as one vector."""
        flat = [self.tf.reshape(one, [-1]) for one in tensors]
        return self.tf.concat(flat, 0) if flat else self.tf.zeros([0])

    def parted(self, vector: Any) -> list[Any]:
        """The vector as tensors of these shapes."""
        if not self.sizes:
            return []
        parts = self.tf.split(vector, self.sizes)
        return [self.tf.reshape(p, shape) for p, shape in zip(parts, self.shapes, strict=True)]


class Tensors:
    """What TensorFlow computes for a model in training; each function is traced once.

    The state is the weights, then the moving averages (variables that no gradient changes), and in
    rounds of local steps the optimizer's numbers, too.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self._tf = training.runtime.tf
        model, optimizer = training.model, training.model.optimizer
        optimizer.build(model.trainable_variables)
        self._counter = optimizer.variables[0]
        others = model.non_trainable_variables
        self._draws = [n for n, v in enumerate(others) if "int" in str(v.dtype)]
        moving = [v for n, v in enumerate(others) if n not in self._draws]
        self._trained = _Flat(tf=self._tf, variables=model.trainable_variables)
        self._moving = _Flat(tf=self._tf, variables=moving)
        whole = _kind(training.schedule) != "gradients"
        own = [v for v in optimizer.variables[1:] if v.dtype == "float32"] if whole else []
        self._kept = _Flat(tf=self._tf, variables=[*self._trained.variables, *moving, *own])
        self._weights = self._trained.size + self._moving.size

    # ---- between variables and vectors

    def read(self) -> Vector:
        """The state that the variables hold."""
        vector: Vector = self._read().numpy()
        return vector

    def assign(self, state: Vector) -> None:
        """Set the variables to a state."""
        self._assign(self._tf.constant(state))

    def assign_weights(self, weights: Vector) -> None:
        """Set weights and moving averages alone."""
        import numpy as np

        self.assign(np.concatenate([weights, self.read()[self._weights :]]))

    def weights_of(self, state: Vector) -> Vector:
        """Weights and moving averages of a state."""
        return state[: self._weights].copy()

    def optimizer(self) -> list[NDArray[Any]]:
        """The optimizer's variables."""
        import numpy as np

        return [np.asarray(v) for v in self._training.model.optimizer.variables]

    def set_optimizer(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Set the optimizer's variables."""
        for variable, array in zip(self._training.model.optimizer.variables, arrays, strict=True):
            variable.assign(array)

    def count(self, batches: int) -> None:
        """Have the optimizer think that it has taken so many batches."""
        self._counter.assign(batches)

    def described(self) -> str:
        """The model in words."""
        return f"{self._training.model.to_json()} {self._training.model.optimizer.get_config()}"

    # ---- steps

    def nothing(self) -> Vector:
        """The answer to a part without rows."""
        import numpy as np

        return np.zeros(self._weights + _COUNTS, np.float32)

    def gradients(self, examples: Examples, batch: int, part: int) -> Vector:
        """The sums over these rows, at the weights that the variables hold."""
        import numpy as np

        tf, seed = self._tf, self._training.schedule.seed
        keys = [draw(seed, layer, batch, part) for layer in range(len(self._draws))]
        answer: Vector = self._gradients(
            tf.constant(examples.x),
            tf.constant(examples.y),
            tf.constant(np.array(keys, np.int64).reshape(-1, 2)),
        ).numpy()
        return answer

    def apply(self, mean: Vector) -> None:
        """Take one step of the optimizer, and change the moving averages."""
        self._apply(self._tf.constant(mean))

    def evaluate(self, held: Examples) -> float:
        """The mean loss of these rows, by the model as it predicts."""
        total = 0.0
        for first in range(0, len(held), _EVALUATED):
            x, y = held.x[first : first + _EVALUATED], held.y[first : first + _EVALUATED]
            total += float(self._evaluate(self._tf.constant(x), self._tf.constant(y)).numpy())
        return total / len(held)

    @cached_property
    def _read(self) -> Any:
        kept = self._kept
        return self._tf.function(
            lambda: kept.joined([v.value for v in kept.variables]), autograph=False
        )

    @cached_property
    def _assign(self) -> Any:
        kept = self._kept

        def assign(state: Any) -> None:
            for variable, value in zip(kept.variables, kept.parted(state), strict=True):
                variable.assign(value)

        return self._traced(assign, [self._vector(kept.size)])

    @cached_property
    def _apply(self) -> Any:
        trained, moving = self._trained, self._moving
        optimizer = self._training.model.optimizer

        def apply(mean: Any) -> None:
            optimizer.apply(trained.parted(mean[: trained.size]), trained.variables)
            changes = moving.parted(mean[trained.size :])
            for variable, change in zip(moving.variables, changes, strict=True):
                variable.assign_add(change)

        return self._traced(apply, [self._vector(self._weights)])

    @cached_property
    def _gradients(self) -> Any:
        tf, training = self._tf, self._training
        trained, model = self._trained, training.model

        def gradients(x: Any, y: Any, keys: Any) -> Any:
            before = self._drawn(keys)
            weights = [tf.identity(v.value) for v in trained.variables]
            with tf.GradientTape() as tape:
                tape.watch(weights)
                output, after, penalties = model.stateless_call(
                    weights, before, x, training=True, return_losses=True
                )
                rows = tf.cast(tf.shape(x)[0], tf.float32)
                losses = tf.reduce_sum(training.loss(y, output))
                loss = losses + rows * tf.add_n(penalties) if penalties else losses
            slopes = tape.gradient(
                loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            changes = [
                (then - now) * rows
                for n, (now, then) in enumerate(zip(before, after, strict=True))
                if n not in self._draws
            ]
            counts = tf.stack([loss, self._right(y, output), rows])
            return tf.concat([trained.joined(slopes), self._moving.joined(changes), counts], 0)

        keys = tf.TensorSpec([len(self._draws), 2], tf.int64)
        return self._traced(gradients, [*self._examples(), keys])

    @cached_property
    def _evaluate(self) -> Any:
        tf, training = self._tf, self._training

        def evaluate(x: Any, y: Any) -> Any:
            return tf.reduce_sum(training.loss(y, training.model(x, training=False)))

        return self._traced(evaluate, self._examples())

    def _drawn(self, keys: Any) -> list[Any]:
        """The variables that no gradient changes, generators of random numbers at these states."""
        place = {variable: key for key, variable in enumerate(self._draws)}
        return [
            self._tf.cast(keys[place[n]], v.dtype) if n in place else self._tf.identity(v.value)
            for n, v in enumerate(self._training.model.non_trainable_variables)
        ]

    def _right(self, y: Any, output: Any) -> Any:
        tf = self._tf
        if not self._training.classes:
            return tf.constant(0.0)
        same = tf.argmax(output, axis=1, output_type=tf.int32) == y
        return tf.reduce_sum(tf.cast(same, tf.float32))

    def _examples(self) -> list[Any]:
        tf, examples = self._tf, self._training.examples
        return [
            tf.TensorSpec([None, *examples.x.shape[1:]], tf.float32),
            tf.TensorSpec([None, *examples.y.shape[1:]], examples.y.dtype),
        ]

    def _vector(self, size: int) -> Any:
        return self._tf.TensorSpec([size], self._tf.float32)

    def _traced(self, function: Any, signature: Sequence[Any]) -> Any:
        return self._tf.function(function, input_signature=signature, autograph=False)
