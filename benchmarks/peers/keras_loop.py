"""The convolutional net of Fairlead's family keras in a loop by hand.

One process computes it, or several do under MultiWorkerMirroredStrategy. Prints the seconds to the
first step, and rows a second after it.

    python keras_loop.py IMAGES LABELS STEPS BATCH [RANK PORT WORKERS]

The batch is that of one step, whoever computes it; a worker computes its share.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time

STARTED = time.monotonic()
IMAGES, LABELS, STEPS, BATCH = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
RANK, PORT, WORKERS = (int(value) for value in sys.argv[5:8]) if sys.argv[5:] else (0, 0, 1)
WARM = 5  # steps that are not timed

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
if WORKERS > 1:
    ranks = [f"127.0.0.1:{PORT + rank}" for rank in range(WORKERS)]
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": {"worker": ranks}, "task": {"type": "worker", "index": RANK}}
    )

import keras  # noqa: E402 - its environment comes first
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
strategy = (
    tf.distribute.MultiWorkerMirroredStrategy() if WORKERS > 1 else tf.distribute.get_strategy()
)

with gzip.open(IMAGES) as file:
    x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    x = x.astype("float32") / 255
with gzip.open(LABELS) as file:
    y = np.frombuffer(file.read(), np.uint8, offset=8).astype("int32")

keras.utils.set_random_seed(1)
layers = keras.layers


def block(filters: int) -> list[object]:
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.MaxPooling2D(),
    ]


with strategy.scope():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *block(8),
            *block(16),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")


def one_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(losses(labels, model(images, training=True))) / BATCH
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    if WORKERS > 1:
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


@tf.function
def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return strategy.run(one_step, args=(images, labels))


own = BATCH // WORKERS
begun = 0.0
for number in range(WARM + STEPS):
    rows = np.random.default_rng(number).integers(0, len(x), BATCH)[RANK * own :][:own]
    loss = step(tf.constant(x[rows]), tf.constant(y[rows]))
    if number == 0:
        first = time.monotonic() - STARTED
    if number + 1 == WARM:
        loss.numpy()
        begun = time.monotonic()
loss.numpy()
seconds = time.monotonic() - begun
if RANK == 0:
    print(json.dumps({"first_step": first, "rows_per_second": STEPS * BATCH / seconds}))
