"""The exported forest behind FastAPI, written by hand: one thread a session, inline on the loop."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ["ONNX"], options, providers=["CPUExecutionProvider"]
)


class Rows(BaseModel):
    rows: list[list[float]]


class Predictions(BaseModel):
    predictions: list[float]


@app.post("/predict")
async def predict(body: Rows) -> Predictions:
    (predicted,) = session.run(None, {"numbers": np.array(body.rows, dtype=np.float32)})
    return Predictions(predictions=predicted.ravel().tolist())
