"""Save the forest as an MLflow model: save_mlflow.py JOBLIB FOLDER."""

from __future__ import annotations

import sys

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(
    joblib.load(sys.argv[1]), sys.argv[2], skops_trusted_types=["sklearn.tree._tree.Tree"]
)
