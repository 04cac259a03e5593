"""Saved models run no code when they are read."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fairlead.errors import Corrupt, Unexportable
from fairlead.families import catalog
from fairlead.families.family import Fitted, Saved

X, Y = load_diabetes(return_X_y=True)


def _forest() -> Saved:
    family = catalog.family("random_forest", base=Path())
    estimator = family.build({"n_estimators": 3}, "regression", seed=0, threads=1)
    return family.save(family.fit(estimator, X, Y, classes=None))


def _with_schema(saved: Saved, change: tuple[str, str]) -> Saved:
    """The same file with its description changed, as an attacker would."""
    before, after = zipfile.ZipFile(io.BytesIO(saved.content)), io.BytesIO()
    with zipfile.ZipFile(after, "w") as archive:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                assert change[0] in content.decode()
                content = content.decode().replace(*change).encode()
                json.loads(content)
            archive.writestr(name, content)
    return Saved(name=saved.name, content=after.getvalue())


def test_a_type_that_is_not_trusted_is_refused_when_read() -> None:
    tampered = _with_schema(
        _forest(), ('"__class__": "RandomForestRegressor"', '"__class__": "Popen"')
    )
    tampered = _with_schema(tampered, ('"sklearn.ensemble._forest"', '"subprocess"'))
    with pytest.raises(Corrupt, match=r"subprocess\.Popen"):
        catalog.family("random_forest", base=Path()).load(tampered, classes=None)


def test_a_file_of_another_program_that_holds_a_function_is_refused() -> None:
    model = make_pipeline(FunctionTransformer(np.sqrt), Ridge())
    content = skops.io.dumps(make_pipeline(FunctionTransformer(print), model))
    with pytest.raises(Corrupt, match="not trusted"):
        catalog.family("linear", base=Path()).load(
            Saved(name="model.skops", content=content), classes=None
        )


def test_a_model_that_could_not_be_read_again_is_not_written() -> None:
    family = catalog.family("lightgbm:LGBMRegressor", base=Path())
    with pytest.raises(Unexportable, match="not trusted"):
        family.save(Fitted(model=family.build({}, "regression", seed=0, threads=1)))


def test_nothing_that_is_saved_is_a_pickle() -> None:
    with zipfile.ZipFile(io.BytesIO(_forest().content)) as archive:
        names = archive.namelist()
    assert names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
