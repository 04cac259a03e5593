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
