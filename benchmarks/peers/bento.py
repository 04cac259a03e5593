"""The forest as a BentoML service, with two workers; BATCHING=1 for its adaptive batching."""

from __future__ import annotations

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=2)
class Forest:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["FOREST"])

    @bentoml.api(batchable=os.environ.get("BATCHING") == "1")
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows)
