"""TensorFlow and Keras, started once a process so that they give the same bits each time.

How many threads an operation is computed by changes the order of its sums, so it is part of what a
fit is. TensorFlow takes it once, before its first operation: a process has one number of threads.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from typing import Any

from fairlead.errors import Failed
from fairlead.machine import ONEDNN

_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",  # errors of its C++ part are raised, too
    ONEDNN: "0",
}


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The two libraries, ready for use.

    Args:
        tf: The module tensorflow.
        keras: The module keras.
    """

    tf: Any
    keras: Any


def prepare() -> None:
    """Say how TensorFlow is to start: before anything in this process imports it.

    Raises:
        Failed: It was imported with oneDNN.
    """
    if "tensorflow" in sys.modules and os.environ.get(ONEDNN) != _ENVIRONMENT[ONEDNN]:
        raise Failed(
            "TensorFlow was imported in this process with oneDNN, whose sums differ between "
            f"processors: set {ONEDNN}=0 before it is imported"
        )
    os.environ.update(_ENVIRONMENT)


def runtime(threads: int | None = None) -> Runtime:
    """TensorFlow and Keras: on the processor, deterministic, quiet, with so many threads.

    Args:
        threads: Of one operation; None for those that the process has already, or 1.

    Raises:
        Failed: This process uses another backend of Keras, another number of threads, or oneDNN.
    """
    prepare()
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise Failed(
            f"Keras was imported with the backend {keras.backend.backend()!r} in this process, and "
            "Fairlead needs 'tensorflow': set KERAS_BACKEND=tensorflow before it is imported"
        )
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it cannot convert is raised
    _with_threads(tf, threads)
    tf.config.experimental.enable_op_determinism()
    return Runtime(tf=tf, keras=keras)


def _with_threads(tf: Any, threads: int | None) -> None:
    config = tf.config.threading
    now = config.get_intra_op_parallelism_threads()
    wanted = threads or now or 1
    if now == wanted:
        return
    try:
        tf.config.set_visible_devices([], "GPU")
        config.set_inter_op_parallelism_threads(1)
        config.set_intra_op_parallelism_threads(wanted)
    except RuntimeError:  # it has computed something already
        raise Failed(
            f"TensorFlow has {now or 'as many threads as cores'} in this process, and search."
            f"threads is {wanted}: it takes another number in a new process only"
        ) from None
