"""A class of the user's own with the methods `network` and `fitted` is fitted in steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support import softmax

from fairlead.errors import InvalidSpec
from fairlead.families import catalog
from fairlead.families.family import Stepwise
from fairlead.families.imported import Imported
from fairlead.gang.steps import Alone, steps, take_steps
from fairlead.spec.document import Train
from fairlead.training.check import FamiliesToCheck, check_families

X = np.random.default_rng(1).normal(size=(120, 3))
Y = np.where(X[:, 0] > 0, 3, np.where(X[:, 1] > 0, 1, 0))  # nothing is of class 2


def family(name: str) -> Imported:
    found = catalog.family(name, base=Path(softmax.__file__).parent)
    assert isinstance(found, Imported)
    return found.in_steps()


def test_it_is_fitted_by_its_steps_and_knows_which_classes_it_has_seen() -> None:
    steps = family("./softmax.py:Softmax")
    estimator = steps.build(
        {"epochs": 30, "learning_rate": 0.3}, "classification", seed=1, threads=1
    )
    fitted = steps.fit(estimator, X, Y, classes=4)
    predicted = steps.predict(fitted, X)
    assert fitted.seen == (0, 1, 3)
    assert (predicted[:, 2] == 0).all()
    assert (predicted.argmax(axis=1) == Y).mean() > 0.9


def test_its_steps_are_cut_into_the_parts_that_train_says() -> None:
    steps = family("./softmax.py:Softmax")
    assert isinstance(steps, Stepwise)
    estimator = steps.build({}, "classification", seed=1, threads=1)
    network = steps.network(estimator, X, Y, classes=4, train=Train(workers=2, microbatches=5))
    work = network.next()
    assert work is not None
    assert work.parts == 5


def test_a_class_without_these_methods_is_fitted_as_ever() -> None:
    assert not isinstance(family("sklearn.linear_model:Ridge"), Stepwise)


def asked(*, shared: bool) -> FamiliesToCheck:
    return FamiliesToCheck(
        names=("sklearn.linear_model:LogisticRegression",),
        params=({},),
        texts=({},),
        whole=({},),
        sources={},
        task="classification",
        to_export=False,
        shared=shared,
    )


def test_the_check_refuses_such_a_class_where_several_are_to_share_a_fit() -> None:
    assert check_families(asked(shared=False)) == ()
    expected = r"search\.over\[0\]\.family: .*methods network and fitted"
    with pytest.raises(InvalidSpec, match=expected):
        check_families(asked(shared=True))


def test_the_class_of_the_docs_learns_in_steps_and_goes_on_from_a_checkpoint(
    tmp_path: Path,
) -> None:
    page = (Path(__file__).parents[3] / "docs/training.md").read_text()
    (source,) = (one for one in page.split("```python\n") if one.startswith("# descent.py"))
    (tmp_path / "descent.py").write_text(source.partition("```")[0])
    found = catalog.family("./descent.py:Descent", base=tmp_path)
    assert isinstance(found, Imported)
    descent = found.in_steps()
    assert isinstance(descent, Stepwise)
    y = X @ [2.0, -1.0, 0.5] + 3.0
    estimator = descent.build({"steps": 100}, "regression", seed=0, threads=1)
    train = Train(workers=2, microbatches=4)
    one, other = (descent.network(estimator, X, y, classes=None, train=train) for _ in range(2))
    following = steps(one, Alone(computation=one))
    for _ in range(60):
        next(following)
    other.restore(one.checkpoint())
    for network, computing in ((one, other), (other, one)):
        take_steps(network, Alone(computation=computing), lambda _: None)
    predicted = [descent.predict(descent.fitted(each), X) for each in (one, other)]
    assert predicted[0].tobytes() == predicted[1].tobytes()
    assert np.abs(predicted[0] - y).max() < 0.01
