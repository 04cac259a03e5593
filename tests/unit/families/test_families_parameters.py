import pytest

from fairlead.errors import InvalidSpec
from fairlead.families.parameters import Names, refuse_unknown

NAMES = Names(
    known={"max_depth", "n_estimators", "n_jobs"},
    reserved={"n_jobs": "threads are elsewhere"},
    aliases={"num_trees": "n_estimators"},
)


def _message(name: str, names: Names = NAMES) -> str:
    with pytest.raises(InvalidSpec) as caught:
        refuse_unknown("forest", ["max_depth", name], names)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("family 'forest': ")
    return message


def test_known_names_are_taken() -> None:
    refuse_unknown("forest", ["max_depth", "n_estimators"], NAMES)


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    assert "did you mean 'n_estimators'?" in _message("n_estimator")


def test_a_name_near_an_alias_suggests_the_name_to_write() -> None:
    assert "did you mean 'n_estimators'?" in _message("num_treess")


def test_an_alias_is_refused_with_the_name_to_write() -> None:
    assert "is written 'n_estimators' here" in _message("num_trees")


def test_a_name_that_fairlead_sets_says_where_to_set_it() -> None:
    assert "threads are elsewhere" in _message("n_jobs")


def test_a_name_like_no_other_lists_what_there_is_and_no_reserved_one() -> None:
    message = _message("zzz")
    assert "it has max_depth, n_estimators" in message
    assert "n_jobs" not in message


def test_an_estimator_that_takes_anything_still_refuses_what_fairlead_sets() -> None:
    anything = Names(known=None, reserved={"n_jobs": "threads are elsewhere"})
    refuse_unknown("forest", ["whatever"], anything)
    assert "threads are elsewhere" in _message("n_jobs", anything)
