"""Families that the user has written: `./file.py:Name`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from fairlead.errors import InvalidSpec, Unexportable
from fairlead.families import catalog
from fairlead.families.family import Task

MINE = '''\
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline


class Middle(RegressorMixin, BaseEstimator):
    """Predicts a quantile of the target."""

    def __init__(self, share=0.5, random_state=None):
        self.share = share
        self.random_state = random_state

    def fit(self, x, y):
        self.value_ = float(np.quantile(y, self.share))
        return self

    def predict(self, x):
        return np.full(len(x), self.value_)


class Bare:
    def fit(self, x, y):
        return self

    def predict(self, x):
        return x[:, 0]


def forest(size=10):
    return make_pipeline(RandomForestClassifier(size, n_jobs=-1))


def broken(size=10):
    raise RuntimeError("no luck")


NUMBER = 3
'''
X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def _refused(source: str, folder: Path, name: str = "./bad.py:Name") -> str:
    (folder / "bad.py").write_text(source)
    with pytest.raises(InvalidSpec) as caught:
        catalog.family(name, base=folder).check({}, "regression")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_class_in_a_file_is_a_family(folder: Path) -> None:
    family = catalog.family("./mine.py:Middle", base=folder)
    family.check({"share": 0.25}, "regression")
    fitted = family.fit(
        family.build({"share": 0.25}, "regression", seed=1, threads=1), X, Y, classes=None
    )
    assert family.predict(fitted, X).tolist() == [2.25] * 10
    assert family.stage({"share": 0.25}) is None


def test_its_file_counts_by_content_and_not_by_place(folder: Path) -> None:
    family = catalog.family("./mine.py:Middle", base=folder)
    versions = family.versions()
    assert versions["./mine.py"].startswith("sha256:")
    (folder / "mine.py").write_text(MINE.replace("0.5", "0.6"))
    assert catalog.family("./mine.py:Middle", base=folder).versions() != versions
    given = catalog.family("./mine.py:Middle", base=Path("/nowhere"), source=MINE.encode())
    assert given.versions() == versions


def test_a_worker_makes_it_from_its_content_alone(folder: Path) -> None:
    source = catalog.source_of("./mine.py:Middle", folder)
    (folder / "mine.py").unlink()
    family = catalog.family("./mine.py:Middle", base=folder, source=source)
    family.check({"share": 0.5}, "regression")


def test_two_files_of_one_name_are_two_families(folder: Path) -> None:
    first = catalog.family("./mine.py:Middle", base=folder)
    first.check({}, "regression")
    (folder / "mine.py").write_text(MINE.replace("share=0.5", "share=1.0"))
    second = catalog.family("./mine.py:Middle", base=folder)
    assert second.build({}, "regression", seed=0, threads=1).share == 1.0
    assert first.build({}, "regression", seed=0, threads=1).share == 0.5


def test_its_models_are_saved_safely_and_predict_the_same_once_loaded(folder: Path) -> None:
    family = catalog.family("./mine.py:Middle", base=folder)
    fitted = family.fit(family.build({}, "regression", seed=1, threads=1), X, Y, classes=None)
    loaded = family.load(family.save(fitted), classes=None)
    assert np.array_equal(family.predict(loaded, X), family.predict(fitted, X))
    with pytest.raises(Unexportable, match="there is no converter for 'Middle'; use an estimator"):
        family.onnx(fitted, width=2)


def test_a_plain_class_with_fit_and_predict_is_enough_for_regression(folder: Path) -> None:
    family = catalog.family("./mine.py:Bare", base=folder)
    family.check({}, "regression")
    fitted = family.fit(family.build({}, "regression", seed=1, threads=1), X, Y, classes=None)
    assert family.predict(fitted, X).tolist() == X[:, 0].tolist()
    with pytest.raises(InvalidSpec, match="no method 'predict_proba'"):
        family.check({}, "classification")


def test_seed_and_threads_reach_into_a_pipeline(folder: Path) -> None:
    family = catalog.family("./mine.py:forest", base=folder)
    family.check({"size": 5}, "classification")
    inner = family.build({"size": 5}, "classification", seed=7, threads=2)[-1]
    assert (inner.random_state, inner.n_jobs, inner.n_estimators) == (7, 2, 5)


def test_an_estimator_for_the_other_task_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidSpec, match="is a classifier, and this data is for regression"):
        catalog.family("./mine.py:forest", base=folder).check({}, "regression")


def test_parameters_are_those_of_its_constructor(folder: Path) -> None:
    family = catalog.family("./mine.py:Middle", base=folder)
    with pytest.raises(InvalidSpec, match="did you mean 'share'"):
        family.check({"shares": 1}, "regression")
    with pytest.raises(InvalidSpec, match="random_state' is not for the spec"):
        family.check({"random_state": 1}, "regression")


def test_a_syntax_error_names_file_and_line(folder: Path) -> None:
    assert _refused("x = 1\nclass :\n", folder).startswith("./bad.py:2: ")


def test_an_error_while_it_is_imported_names_the_line_in_the_file(folder: Path) -> None:
    message = _refused("import json\n\njson.loads('{')\n", folder)
    assert message.startswith("./bad.py:3: ")
    assert "JSONDecodeError" in message


def test_an_error_while_it_is_made_names_the_line_in_the_file(folder: Path) -> None:
    message = _refused(MINE, folder, "./bad.py:broken")
    assert message.startswith("./bad.py:36: ")
    assert "RuntimeError: no luck" in message


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    assert "No module named 'no_such_neighbour'" in _refused("import no_such_neighbour\n", folder)
    with pytest.raises(InvalidSpec, match="No module named 'no_such_package'"):
        catalog.family("no_such_package.models:Name", base=folder).check({}, "regression")


def test_a_name_that_is_not_in_it_is_refused(folder: Path) -> None:
    for name in ("Missing", "NUMBER"):
        with pytest.raises(InvalidSpec, match=f"has no class or function '{name}'"):
            catalog.family(f"./mine.py:{name}", base=folder).check({}, "regression")


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"cannot read .*missing\.py: No such file"):
        catalog.family("./missing.py:Name", base=folder)
    (folder / "folder.py").mkdir()
    with pytest.raises(InvalidSpec, match="Is a directory"):
        catalog.family("./folder.py:Name", base=folder)


def test_a_relative_path_is_relative_to_the_base_wherever_the_program_runs(folder: Path) -> None:
    before = Path.cwd()
    os.chdir("/")
    try:
        catalog.family("./mine.py:Middle", base=folder).check({}, "regression")
    finally:
        os.chdir(before)


OFFSPRING = '''\
import numpy as np
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Shrunk(Ridge):
    """Half as steep as Ridge."""

    def fit(self, x, y):
        super().fit(x, y)
        self.coef_ = self.coef_ / 2
        return self


class Rounded(Ridge):
    def predict(self, x):
        return np.round(super().predict(x))


class Balanced(LogisticRegression):
    def fit(self, x, y):
        return super().fit(x, y, sample_weight=1 / np.bincount(y)[y])


def scaled():
    return make_pipeline(StandardScaler(), Shrunk())


def voting():
    return VotingRegressor([("one", Rounded())])


def scaled_rounded():
    return make_pipeline(StandardScaler(), Rounded())
'''


@pytest.fixture
def offspring(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(OFFSPRING)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "task"),
    [("Shrunk", "regression"), ("scaled", "regression"), ("Balanced", "classification")],
)
def test_a_subclass_that_is_fitted_in_its_own_way_has_the_form_of_its_base(
    offspring: Path, name: str, task: Task
) -> None:
    family = catalog.family(f"./mine.py:{name}", base=offspring)
    assert family.unexportable({}, task) is None
    estimator = family.build({}, task, seed=1, threads=1)
    y, classes = (Y, None) if task == "regression" else ((Y > 6).astype(int), 2)
    fitted = family.fit(estimator, X, y, classes=classes)
    kind = type(fitted.model)
    session = InferenceSession(family.onnx(fitted, width=2))
    [exported] = session.run(None, {"features": X.astype(np.float32)})
    np.testing.assert_allclose(exported, family.predict(fitted, X), rtol=1e-4, atol=1e-4)
    assert type(fitted.model) is kind


@pytest.mark.parametrize("name", ["Rounded", "scaled_rounded"])
def test_a_subclass_that_predicts_in_its_own_way_is_known_not_to_be_exported(
    offspring: Path, name: str
) -> None:
    family = catalog.family(f"./mine.py:{name}", base=offspring)
    assert family.unexportable({}, "regression") == (
        f"./mine.py:{name}: there is no converter for 'Rounded'; use an estimator of scikit-learn"
    )


def test_a_file_that_ends_the_program_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(InvalidSpec, match="cannot be imported: SystemExit"):
        catalog.family("./ends.py:Name", base=tmp_path).check({}, "regression")


def test_a_file_that_prints_and_wanders_off_disturbs_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import os\nprint('hello')\nos.chdir('/')\nfrom sklearn.linear_model import Ridge\n"
    (tmp_path / "loud.py").write_text(text)
    before = Path.cwd()
    catalog.family("./loud.py:Ridge", base=tmp_path).check({}, "regression")
    assert Path.cwd() == before
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


def test_what_a_converter_says_is_one_sentence_about_the_users_file(offspring: Path) -> None:
    family = catalog.family("./mine.py:voting", base=offspring)
    fitted = family.fit(family.build({}, "regression", seed=1, threads=1), X, Y, classes=None)
    with pytest.raises(Unexportable) as caught:
        family.onnx(fitted, width=2)
    assert str(caught.value) == (
        "./mine.py:voting: converting it failed with KeyError: <class './mine.py.Rounded'>; use "
        "an estimator of scikit-learn"
    )
