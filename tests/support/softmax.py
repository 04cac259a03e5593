"""Softmax regression trained by steps, as a user's file has it: `./softmax.py:Softmax`.

Its gradients are those of the microbatches of a step, its optimizer is SGD with momentum. What goes
wrong in a rank on purpose is a parameter: `slow` and `hog` name the rank that is, `stall` the step
that takes a minute, `fault` what a part raises, or the rank whose process ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fairlead.errors import Corrupt, Diverged
from fairlead.gang.network import StepResult
from fairlead.gang.work import Work

MOMENTUM = np.float32(0.9)


class Softmax(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression."""

    def __init__(
        self,
        *,
        epochs: int = 2,
        batch: int = 32,
        learning_rate: float = 0.002,
        random_state: int = 0,
        slow: int = -1,
        pause: float = 0.0,
        hog: int = -1,
        stall: int = -1,
        fault: str = "",
    ) -> None:
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.slow = slow
        self.pause = pause
        self.hog = hog
        self.stall = stall
        self.fault = fault

    def network(self, x: Any, y: Any, *, train: Any, stages: Sequence[int] = ()) -> SoftmaxNetwork:
        rank = os.environ.get("FAIRLEAD_GANG_RANK")
        if self.fault in {"open", f"open on rank {rank}"}:
            raise ValueError("its rows cannot be used")
        if self.fault == f"end of rank {rank}":
            sys.stderr.write("a library of C ends its process\n")
            sys.stderr.flush()
            os._exit(3)
        return SoftmaxNetwork(self, x, y, parts=1 if train is None else train.microbatches)

    def fitted(self, network: SoftmaxNetwork) -> Softmax:
        self.classes_ = np.arange(network.classes)
        self.weights_ = network.weights
        return self

    def fit(self, x: Any, y: Any) -> Softmax:
        raise AssertionError("it is fitted in steps")

    def predict_proba(self, x: Any) -> Any:
        scores = _with_bias(x) @ self.weights_
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)


class SoftmaxNetwork:
    """A softmax regression in training."""

    def __init__(self, model: Softmax, x: Any, y: Any, *, parts: int) -> None:
        self.model = model
        self.classes = int(y.max()) + 1
        self.parts = parts
        self._x = _with_bias(x)
        self._y = y
        self._batches = max(1, len(x) // model.batch)
        self._step = 0
        self.weights = np.zeros((self._x.shape[1], self.classes), np.float32)
        self._velocity = np.zeros_like(self.weights)

    def next(self) -> Work | None:
        if self._step == self.model.epochs * self._batches:
            return None
        state = self.weights.reshape(-1)
        return Work(kind="gradients", step=self._step, parts=self.parts, state=state)

    def part(self, work: Work, number: int) -> Any:
        self._misbehave(work, number)
        rows = self._rows(work.step)[number :: work.parts]
        x, y = self._x[rows], self._y[rows]
        scores = x @ work.state.reshape(self.weights.shape)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = raised / raised.sum(axis=1, keepdims=True)
        own = shares[np.arange(len(y)), y]
        right = np.float32((scores.argmax(axis=1) == y).sum())
        shares[np.arange(len(y)), y] -= 1
        sums = np.array([-np.log(own).sum(), right, len(y)], np.float32)
        return np.concatenate([(x.T @ shares).reshape(-1), sums])

    def advance(self, work: Work, total: Any) -> StepResult:
        loss, right, rows = total[-3:]
        gradient = total[:-3].reshape(self.weights.shape) / rows
        self._velocity = MOMENTUM * self._velocity - np.float32(self.model.learning_rate) * gradient
        self.weights = self.weights + self._velocity
        self._step += 1
        return StepResult(
            step=work.step,
            steps=self.model.epochs * self._batches,
            epoch=self._step / self._batches,
            loss=float(loss / rows),
            accuracy=float(right / rows),
            rows=int(rows),
        )

    def checkpoint(self) -> Mapping[str, Any]:
        return {"weights": self.weights, "velocity": self._velocity, "step": np.array(self._step)}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        if arrays["weights"].shape != self.weights.shape:
            raise Corrupt("a checkpoint of another model")
        self.weights, self._velocity = arrays["weights"], arrays["velocity"]
        self._step = int(arrays["step"])

    def _rows(self, step: int) -> Any:
        seed = (self.model.random_state, step // self._batches)
        order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(self._y))
        start = step % self._batches * self.model.batch
        return order[start : start + self.model.batch]

    def _misbehave(self, work: Work, number: int) -> None:
        rank = int(os.environ.get("FAIRLEAD_GANG_RANK", "-1"))
        time.sleep(self.model.pause * (10 if rank == self.model.slow else 1))
        if work.step == self.model.stall:
            sys.stderr.write("it stalls\n")
            sys.stderr.flush()
            time.sleep(60.0)
        if rank == self.model.hog >= 0:
            held = np.ones(1 << 27)
            time.sleep(60.0)
            del held
        if self.model.fault == "diverge" and work.step == 3:
            raise Diverged("step 3: the loss is nan")
        if self.model.fault == "part" and (work.step, number) == (2, 1):
            raise ValueError("a part that fails")


def _with_bias(x: Any) -> Any:
    return np.hstack([x, np.ones((len(x), 1))]).astype(np.float32)
