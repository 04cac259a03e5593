"""Sums that the ranks of a gang make among themselves, by TensorFlow's collective operations.

Ranks find each other by TF_CONFIG. TensorFlow reads it once, before its first operation, so a
process belongs to one such gang for as long as it lives. The order of a sum is the library's own:
how many ranks there are decides its last bits.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.families.keras_runtime import Runtime
    from fairlead.gang.work import Vector

_VARIABLE = "TF_CONFIG"


class AllReduce:
    """Adds a vector of each rank; all of them call it as often, and get the same sum.

    Args:
        tf: The module tensorflow, which has computed nothing yet.
    """

    def __init__(self, tf: Any) -> None:
        self._tf = tf
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=tf.distribute.experimental.CommunicationImplementation.RING
        )
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        self._summed = tf.function(self._run, autograph=False, reduce_retracing=True)

    def __call__(self, vector: Vector) -> Vector:
        """The sum over all ranks, float32 [n]."""
        summed: Vector = self._summed(self._tf.constant(vector)).numpy()
        return summed

    def _run(self, vector: Any) -> Any:
        return self._strategy.run(self._reduce, args=(vector,))

    def _reduce(self, vector: Any) -> Any:
        context = self._tf.distribute.get_replica_context()
        placed = self._tf.identity(vector)  # an argument is on no device, and is refused
        return context.all_reduce(self._tf.distribute.ReduceOp.SUM, placed)


def all_reduce(libraries: Runtime) -> AllReduce | None:
    """What adds the vectors of this gang; None in a process that has no others."""
    config = os.environ.get(_VARIABLE)
    return None if config is None else _all_reduce(libraries, config)


@lru_cache(maxsize=1)
def _all_reduce(libraries: Runtime, config: str) -> AllReduce:  # noqa: ARG001 - one for each gang
    return AllReduce(libraries.tf)
