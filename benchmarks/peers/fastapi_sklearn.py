"""The forest behind FastAPI, as its documentation shows it: loaded once, a `def` endpoint."""

from __future__ import annotations

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["FOREST"])


class Rows(BaseModel):
    rows: list[list[float]]


class Predictions(BaseModel):
    predictions: list[float]


@app.post("/predict")
def predict(body: Rows) -> Predictions:
    return Predictions(predictions=model.predict(np.array(body.rows)).tolist())
