"""What a plan promises: a spec that cannot run is refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import InvalidSpec
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.study.plan import Plan

MINE = """\
from sklearn.linear_model import Ridge


class Shifted(Ridge):
    pass


def ridge(strength, solver):
    return Ridge(alpha=strength, solver=solver)
"""
ROWS = "x,kind,amount,churned\n" + "".join(
    f"{i * 7 % 11},{'abc'[i % 3]},{i * i}.5,{i % 2}\n" for i in range(60)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "own.yaml").write_text(
        "name: own\n"
        "data: {source: rows.csv, target: amount, drop: [kind]}\n"
        "search: {folds: 3, over: [{family: linear}]}\n"
    )
    return tmp_path


def planned(folder: Path, *sets: str) -> Plan:
    loaded = load(folder / "own.yaml", sets=sets)
    return plans.make(loaded.spec, base=loaded.base, settings=Settings(home=folder / "home"))


def refusal(folder: Path, over: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        planned(folder, f"search.over=[{{{over}}}]")
    return str(caught.value)


@pytest.mark.parametrize("params", ["", ", params: {}", ", params: {alpha: [1, 2]}"])
@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("nopackage:X", "No module named 'nopackage'"),
        ("./mine.py:Shiftd", "no class or function 'Shiftd'; did you mean 'Shifted'?"),
        ("sklearn.linear_model:LogisticRegression", "is a classifier, and this data is for"),
        ("sklearn.svm:SVC", "is a classifier, and this data is for regression"),
        ("builtins:dict", "does not say which parameters it takes"),
    ],
)
def test_a_family_is_checked_by_itself_whatever_is_searched(
    folder: Path, family: str, said: str, params: str
) -> None:
    message = refusal(folder, f'family: "{family}"{params}')
    assert message.startswith("search.over[0].family: ")
    assert said in message


@pytest.mark.parametrize(
    ("params", "name", "said"),
    [
        ("{alpha: 1, solvr: cholesky}", "solvr", "did you mean 'solver'?"),
        ("{alpha: [-1, 1]}", "alpha", "must be a float in the range"),
    ],
)
def test_a_parameter_is_refused_at_its_own_place(
    folder: Path, params: str, name: str, said: str
) -> None:
    message = refusal(folder, f'family: "./mine.py:Shifted", params: {params}')
    assert message.startswith(f"search.over[0].params.{name}: ")
    assert said in message


def test_a_function_may_need_several_parameters(folder: Path) -> None:
    over = 'family: "./mine.py:ridge", params: {strength: [1, 2], solver: [svd, cholesky]}'
    assert planned(folder, f"search.over=[{{{over}}}]", "search.method=grid").search.size == 4
    message = refusal(folder, 'family: "./mine.py:ridge", params: {strength: [1, 2]}')
    assert message.startswith("search.over[0].family: ")
    assert "missing 1 required positional argument: 'solver'" in message


def test_an_import_path_with_a_dot_before_the_name_is_mended(folder: Path) -> None:
    assert refusal(folder, "family: sklearn.svm.SVR").endswith("did you mean 'sklearn.svm:SVR'?")
    assert refusal(folder, "family: ./mine.py").endswith("did you mean './mine.py:Name'?")
