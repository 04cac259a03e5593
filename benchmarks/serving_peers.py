"""The servers that are compared, each as its own documentation sets it up for two cores.

- FastAPI with scikit-learn: `uvicorn --workers 2`, uvloop and httptools, a `def` endpoint, no log
  of requests.
- FastAPI with ONNX Runtime: the same, an `async def` endpoint, one thread a session. It reads the
  very file that Fairlead serves.
- MLServer: its scikit-learn runtime, `parallel_workers` as many as cores, debug off.
- BentoML: a service with two workers.
- MLflow: `mlflow models serve --env-manager local --workers 2`.
- MLServer and BentoML again with their adaptive batching, which they leave off by default: requests
  that wait are predicted together.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving_forest import MODEL, Forest
from timing import ROOT, python

PEERS = ROOT / "benchmarks" / "peers"
Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server, ready to be started.

    Args:
        name: In the table.
        environment: Its virtual environment in the peers' folder; None for this one.
        command: What is typed, by the environment's programs, a port and a folder of its own.
        path: Where predictions are asked.
        body: What is asked for some rows.
        answer: The predictions of an answer.
        prepare: What is done once, before anything is measured.
        environ: Environment variables.
    """

    name: str
    environment: str | None = None
    command: Callable[[Path, int, Path], Sequence[str]]
    path: str
    body: Callable[[Rows], Mapping[str, Any]]
    answer: Callable[[Any], Sequence[float]]
    prepare: Callable[[Path, Path], None] = lambda _programs, _folder: None
    environ: Mapping[str, str] = field(default_factory=dict)


def servers(forest: Forest) -> Sequence[Server]:
    """All of them, Fairlead first."""
    return (
        _fairlead(forest),
        _fastapi("FastAPI + ONNX Runtime", "fastapi-onnx", {"ONNX": str(forest.onnx)}),
        _fastapi("FastAPI + scikit-learn", "fastapi-sklearn", {"FOREST": str(forest.joblib)}),
        _mlserver("MLServer", forest, {}),
        _mlserver("MLServer, batching", forest, {"max_batch_size": 64, "max_batch_time": 0.005}),
        _bentoml("BentoML", forest, "0"),
        _bentoml("BentoML, batching", forest, "1"),
        _mlflow(forest),
    )


def _fairlead(forest: Forest) -> Server:
    return Server(
        name="Fairlead",
        command=lambda _programs, port, _folder: python(
            *("-m", "fairlead", "--home", str(forest.home), "serve"),
            *("--port", str(port), "--processes", "2"),
        ),
        path=f"/v2/models/{MODEL}/infer",
        body=_inference,
        answer=lambda document: document["outputs"][0]["data"],
    )


def _fastapi(name: str, environment: str, environ: Mapping[str, str]) -> Server:
    app = environment.replace("-sklearn", "_sklearn").replace("-onnx", "_onnx")
    return Server(
        name=name,
        environment=environment,
        command=lambda programs, port, _folder: [
            *(str(programs / "uvicorn"), f"{app}:app", "--app-dir", str(PEERS)),
            *("--port", str(port), "--workers", "2", "--no-access-log"),
        ],
        path="/predict",
        body=lambda rows: {"rows": rows},
        answer=lambda document: document["predictions"],
        environ=environ,
    )


def _mlserver(name: str, forest: Forest, batching: Mapping[str, Any]) -> Server:
    model = {
        "name": MODEL,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(forest.joblib)},
        **batching,
    }

    def command(programs: Path, port: int, folder: Path) -> Sequence[str]:
        ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
        settings = {"debug": False, "host": "127.0.0.1", "parallel_workers": 2, **ports}
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        return [str(programs / "mlserver"), "start", str(folder)]

    return Server(
        name=name,
        environment="mlserver",
        command=command,
        path=f"/v2/models/{MODEL}/infer",
        body=_inference,
        answer=lambda document: document["outputs"][0]["data"],
    )


def _bentoml(name: str, forest: Forest, batching: str) -> Server:
    return Server(
        name=name,
        environment="bentoml",
        command=lambda programs, port, _folder: [
            *(str(programs / "bentoml"), "serve", "bento:Forest"),
            *("--working-dir", str(PEERS), "--host", "127.0.0.1", "--port", str(port)),
        ],
        path="/predict",
        body=lambda rows: {"rows": rows},
        answer=lambda document: document,
        environ={
            "BATCHING": batching,
            "BENTOML_DO_NOT_TRACK": "True",
            "FOREST": str(forest.joblib),
        },
    )


def _mlflow(forest: Forest) -> Server:
    def prepare(programs: Path, folder: Path) -> None:
        save = [str(PEERS / "save_mlflow.py"), str(forest.joblib), str(folder / "model")]
        subprocess.run(
            [str(programs / "python"), *save], cwd=folder, check=True, capture_output=True
        )

    return Server(
        name="MLflow models serve",
        environment="mlflow",
        command=lambda programs, port, folder: [
            *(str(programs / "mlflow"), "models", "serve", "--model-uri", str(folder / "model")),
            *("--env-manager", "local", "--port", str(port), "--workers", "2"),
        ],
        path="/invocations",
        body=lambda rows: {"inputs": rows},
        answer=lambda document: document["predictions"],
        prepare=prepare,
        environ={"MLFLOW_DISABLE_TELEMETRY": "true"},
    )


def _inference(rows: Rows) -> Mapping[str, Any]:
    """A request of the Open Inference Protocol."""
    tensor = {
        "name": "numbers",
        "shape": [len(rows), len(rows[0])],
        "datatype": "FP32",
        "data": [value for row in rows for value in row],
    }
    return {"inputs": [tensor]}
