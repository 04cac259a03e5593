"""A new family is one module and one line; and naming families imports no library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import fairlead

MODULE = '''\
"""Nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.families.family import Estimator, Task
from fairlead.families.parameters import THREADS, Names
from fairlead.families.scikit import Scikit
from fairlead.records import Params
from fairlead.spec.space import Range, Space


@dataclass(frozen=True, kw_only=True)
class Neighbours(Scikit):
    def names(self, task: Task) -> Names:
        return Names(known={"n_neighbors", "weights", "p"}, reserved={"n_jobs": THREADS})

    def space(self, task: Task) -> Space:
        return {"n_neighbors": Range(low=1, high=30, log=True)}

    def build(self, params: Params, task: Task, *, seed: int, threads: int) -> Estimator:
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        kind = KNeighborsRegressor if task == "regression" else KNeighborsClassifier
        return kind(**params, n_jobs=threads)


NEIGHBOURS = Neighbours(name="neighbours")
'''
USE = """
from pathlib import Path
import sys
import fairlead
from fairlead.families import catalog

assert Path(fairlead.__file__).is_relative_to(sys.argv[1]), fairlead.__file__
assert "neighbours" in catalog.NAMES
family = catalog.family("neighbours", base=Path())
family.check({"n_neighbors": 3}, "classification")
from sklearn.datasets import load_iris
x, y = load_iris(return_X_y=True)
model = family.build({"n_neighbors": 3}, "classification", seed=0, threads=1)
fitted = family.fit(model, x, y, classes=3)
right = (family.predict(fitted, x).argmax(axis=1) == y).mean()
print(right > 0.9, len(family.onnx(fitted, width=4)) > 0)
"""


def _run(code: str, *args: str, path: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_new_family_is_one_module_and_one_line(tmp_path: Path) -> None:
    copy = tmp_path / "fairlead"
    shutil.copytree(Path(fairlead.__file__).parent, copy)
    (copy / "families" / "neighbours.py").write_text(MODULE)
    catalog = copy / "families" / "catalog.py"
    line = '    "neighbours": "neighbours:NEIGHBOURS",\n'
    catalog.write_text(catalog.read_text().replace('    "linear":', line + '    "linear":'))
    assert _run(USE, str(tmp_path), path=str(tmp_path)) == "True True"


def test_naming_every_family_imports_no_library() -> None:
    code = """
import sys
from pathlib import Path
from fairlead.families import catalog
for name in filter(catalog.installed, [*catalog.NAMES, "sklearn.svm:SVR"]):
    catalog.family(name, base=Path()).stage({"n_estimators": 1})
    catalog.family(name, base=Path()).versions()
heavy = {"numpy", "sklearn", "xgboost", "lightgbm", "catboost", "onnx", "keras", "tensorflow"}
print(sorted(heavy & sys.modules.keys()))
"""
    assert _run(code) == "[]"


def test_exporting_and_preparing_are_imported_without_libraries() -> None:
    code = """
import sys
import fairlead.inference, fairlead.training.export, fairlead.training.prepare
print(sorted({"numpy", "sklearn", "onnx", "onnxruntime", "skl2onnx"} & sys.modules.keys()))
"""
    assert _run(code) == "[]"
