"""`fairlead.run` refuses arguments that it cannot use before it reads or writes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fairlead
from fairlead.errors import Invalid

WORKERS = "workers must be a whole number of at least 1, or None for one a core, not "
PATH = " must be a path, as text that is not empty, not "


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAIRLEAD_HOME", raising=False)
    return tmp_path


def refusal(folder: Path, spec: Any = "not-there.yaml", **arguments: Any) -> str:
    """What is said of arguments; were the spec looked at, it would be that it is not there."""
    with pytest.raises(Invalid) as caught:
        fairlead.run(spec, **arguments)
    assert list(folder.iterdir()) == []
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("workers", [-1, 0, "2", 1.5, 2.0, True, False, [2]])
def test_workers_are_a_whole_number_of_at_least_1(folder: Path, workers: Any) -> None:
    assert refusal(folder, workers=workers) == f"{WORKERS}{workers!r}"


def test_a_whole_number_of_numpy_is_one(folder: Path) -> None:
    import numpy as np

    assert refusal(folder, workers=np.int64(2)) == "not-there.yaml: there is no such file"
    assert refusal(folder, workers=np.int64(0)).startswith(WORKERS)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([3], 'sets[0] must be a text such as "search.trials=20", not 3'),
        (("a=1", None), 'sets[1] must be a text such as "search.trials=20", not None'),
        ("a.b=3", "sets must be a list of texts: put it into one, as ['a.b=3']"),
        ({"a": 3}, "sets must be a list such as [\"search.trials=20\"], not {'a': 3}"),
        (None, 'sets must be a list such as ["search.trials=20"], not None'),
    ],
)
def test_sets_are_a_list_of_texts(folder: Path, sets: Any, said: str) -> None:
    assert refusal(folder, sets=sets) == said


@pytest.mark.parametrize("spec", [None, {"name": "a"}, 3, b"a.yaml", "", "a\0b"])
def test_the_spec_is_a_path(folder: Path, spec: Any) -> None:
    assert refusal(folder, spec) == f"spec{PATH}{spec!r}"


@pytest.mark.parametrize("home", ["", 3, b"home", "a\0b"])
def test_the_home_is_a_path(folder: Path, home: Any) -> None:
    assert refusal(folder, home=home) == f"home{PATH}{home!r}"


def test_what_is_shown_of_an_argument_is_short_and_on_one_line(folder: Path) -> None:
    import numpy as np

    said = refusal(folder, np.zeros((100, 100)))
    assert said.startswith(f"spec{PATH}array([[0.,")
    assert len(said) < 200


def test_an_empty_home_in_the_environment_is_none_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRLEAD_HOME", "")
    assert refusal(folder) == "not-there.yaml: there is no such file"
