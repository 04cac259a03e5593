"""What no peer has: models that unload, and many models in one server.

    .venv/bin/python benchmarks/serving_alone.py [MODELS]

From an unloaded model to the first answer; memory for each further model, with so many of them
(default: 10); `fairlead serve` typed to the first answer of one process.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serving_forest import SPEC, model_file, trained
from serving_load import Request
from serving_servers import Running, asked, running
from timing import python

_PORT = 18900
_IDLE = 1.0  # seconds until a model is unloaded
_COLD = 20  # how often it is woken
_TREES = 424  # their ONNX file has 7 MB
_ROW = [0.00632, 18.0, 2.31, 0.0, 0.538, 6.575, 65.2, 4.09, 1.0, 296.0, 15.3, 396.9, 4.98]
_MIB = 1 << 20
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Models:
    """The models of one home folder."""

    home: Path
    names: Sequence[str]
    size: float  # mean bytes of an ONNX file


def main(count: int) -> None:
    """One model to be woken, one to begin with, and `count` further ones."""
    with tempfile.TemporaryDirectory() as folder:
        models = _made(Path(folder), count + 2)
        print(f"{count} further models of {models.size / 1e6:.1f} MB")
        _tell_memory(models)
        _tell_cold(models)


def _made(folder: Path, count: int) -> Models:
    """So many forests, each from another seed."""
    names = [f"forest-{number}" for number in range(count)]
    for number, name in enumerate(names):
        trained(
            folder / "home",
            SPEC,
            f"name={name}",
            f"search.seed={number}",
            f"serve.idle_after={_IDLE if number == 0 else 3600}",
            f"search.over=[{{family: random_forest, params: {{n_estimators: {_TREES}}}}}]",
        )
    sizes = [len(model_file(folder / "home", name, "model.onnx")) for name in names]
    return Models(home=folder / "home", names=names, size=statistics.mean(sizes))


def _tell_memory(models: Models) -> None:
    """The memory of all processes with one model, and with all of them, each asked often.

    All are deployed before: a supervisor that has deployed something keeps what it imported for it.
    """
    with _served(models, models.names, 1):
        pass
    for processes in (1, 2):
        with _served(models, models.names[1:2], processes) as alone:
            one = alone.own()
        with _served(models, models.names[1:], processes) as together:
            many = together.own()
        each = (many - one) / (len(models.names) - 2)
        times = each / processes / models.size
        print(
            f"{processes} processes: {one / _MIB:.0f} MiB with one model, {each / _MIB:.1f} MiB "
            f"for each further one, {times:.2f} times its file in each process"
        )


def _tell_cold(models: Models) -> None:
    """Seconds of the first request after the model was unloaded."""
    name = models.names[0]
    with _served(models, [name], 1) as server:
        request = _request(name)
        seconds = [_woken(request) for _ in range(_COLD)]
    median, worst = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
    print(
        f"1 process: typed to first answer {server.seconds:.2f} s; from unloaded to answered "
        f"{median:.0f} ms, the worst of {_COLD} {worst:.0f} ms"
    )


def _woken(request: Request) -> float:
    """Seconds of a request that finds the model unloaded."""
    asked(request)
    _until(lambda: not _loaded(request.port), "the model is unloaded")
    started = time.perf_counter()
    status, document = asked(request)
    if status != 200:
        raise RuntimeError(f"the woken model answers {status}: {document!r}")
    return time.perf_counter() - started


def _loaded(port: int) -> bool:
    """Whether any process holds a model."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return any(float(line.split()[-1]) for line in lines if line.startswith("fairlead_loaded{"))


@contextmanager
def _served(models: Models, names: Sequence[str], processes: int) -> Iterator[Running]:
    """A server of these models, once every process has answered for each and nothing else runs."""
    command = python(
        *("-m", "fairlead", "--home", str(models.home), "serve", *names),
        *("--port", str(_PORT), "--processes", str(processes)),
    )
    log = models.home.parent / "serve.log"
    with running(command, _request(names[-1]), environ={}, log=log) as server:
        for name in names:
            _until(partial(_answers, name), f"{name} is served")
        _until(lambda: len(server.tree()) == 1 + processes, "every model has been checked")
        for name in [*names] * 8 * processes:
            asked(_request(name))
        yield server


def _answers(name: str) -> bool:
    return asked(_request(name))[0] == 200


def _until(there: Callable[[], bool], what: str) -> None:
    """Wait for it.

    Raises:
        RuntimeError: It is not to be.
    """
    deadline = time.monotonic() + _PATIENCE
    while not there():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{_PATIENCE:.0f} s have gone, and still not: {what}")
        time.sleep(0.05)


def _request(name: str) -> Request:
    tensor = {"name": "numbers", "shape": [1, len(_ROW)], "datatype": "FP32", "data": _ROW}
    body = json.dumps({"inputs": [tensor]}).encode()
    return Request(port=_PORT, path=f"/v2/models/{name}/infer", body=body)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
