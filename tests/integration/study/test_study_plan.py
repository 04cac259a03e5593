"""What a plan promises: a spec that cannot run is refused before anything is trained."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fairlead.errors import InvalidSpec
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.study.forecast import forecast
from fairlead.study.plan import StudyPlan

MINE = """\
from sklearn.linear_model import Ridge


class Rounded(Ridge):
    def predict(self, x):
        return super().predict(x).round()


class Shifted(Ridge):
    pass


class Together(Ridge):
    def __init__(self, alpha=1.0, solver="auto"):
        if (alpha, solver) == (2.0, "svd"):
            raise ValueError("not these two")
        super().__init__(alpha=alpha, solver=solver)


def ridge(strength, solver):
    return Ridge(alpha=strength, solver=solver)
"""
ROWS = "x,kind,amount,churned,stars\n" + "".join(
    f"{i * 7 % 13},{'abc'[i % 3]},{i * i}.5,{i % 2},{i % 5}\n" for i in range(300)
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


def planned(folder: Path, *sets: str) -> StudyPlan:
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


def test_numbers_that_look_like_classes_are_remarked_on(folder: Path) -> None:
    [remark] = planned(folder, "data.target=churned").remarks
    assert remark == (
        "target 'churned' has 2 distinct values and is taken as a number; data.task: "
        "classification makes it a class"
    )
    assert "'stars' has 5 distinct values" in planned(folder, "data.target=stars").remarks[0]


@pytest.mark.parametrize(
    "sets",
    [
        ("data.target=churned", "data.task=regression"),
        ("data.target=churned", "data.task=classification"),
        ("data.target=amount",),
        ("data.target=x",),
    ],
    ids=["said to be a number", "said to be a class", "fractions", "many whole numbers"],
)
def test_a_target_that_is_clear_is_not_remarked_on(folder: Path, sets: tuple[str, ...]) -> None:
    assert planned(folder, *sets).remarks == ()


NUMBERED = "search.over=[{family: linear, params: {alpha: {low: 0.1, high: 1}}}]"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": range(1, 201)}, "column 'id' looks like a number of the row; name it in"),
        ({"id": range(200, 0, -1)}, "column 'id' looks"),
        ({"id": [(i * 73) % 200 + 7 for i in range(200)]}, "column 'id' looks"),
        ({"id": [i * i for i in range(200)]}, "column 'id' looks"),
        (
            {"id": range(200), "line": range(2, 202)},
            "columns 'id', 'line' look like numbers of the row; name in data.drop those that are",
        ),
    ],
    ids=["rising", "falling", "shuffled", "with gaps", "two"],
)
def test_columns_that_number_the_rows_are_remarked_on(
    folder: Path, columns: dict[str, Sequence[int]], said: str
) -> None:
    [remark] = numbered(folder, columns).remarks
    assert remark.startswith(said)
    drop = f"data.drop={sorted(columns)}"
    assert planned(folder, NUMBERED, drop).remarks == ()


@pytest.mark.parametrize(
    "values",
    [
        [i // 2 for i in range(200)],
        [i + 0.5 for i in range(200)],
        [(i * 73) % 200 + 1000 * (i % 2) for i in range(200)],
    ],
    ids=["some twice", "fractions", "far apart and in no order"],
)
def test_columns_of_other_numbers_are_not(folder: Path, values: Sequence[float]) -> None:
    assert numbered(folder, {"id": values}).remarks == ()


def numbered(folder: Path, columns: Mapping[str, Sequence[float]]) -> StudyPlan:
    """The plan of 200 rows with these columns beside two others."""
    lines = [",".join([*columns, "x", "amount"])]
    for i in range(200):
        own = [str(values[i]) for values in columns.values()]
        lines.append(",".join([*own, str(i * 7 % 13), f"{i * i}.5"]))
    (folder / "rows.csv").write_text("\n".join(lines))
    return planned(folder, NUMBERED, "data.drop=[]")


def test_a_holdout_that_is_too_few_to_judge_on_is_remarked_on(folder: Path) -> None:
    [remark] = planned(
        folder, NUMBERED, "data.holdout.share=0.02", "data.holdout.by=random"
    ).remarks
    assert remark == (
        "data.holdout: its 6 rows are too few to judge on, 30 are needed, so no version becomes "
        "champion by itself; raise its share, or add rows"
    )
    for when in ("always", "never"):
        assert (
            planned(folder, NUMBERED, "data.holdout.share=0.02", f"promote.when={when}").remarks
            == ()
        )
    assert planned(folder, NUMBERED, "data.holdout={share: 0.5, by: random}").remarks == ()


def test_a_metric_for_classes_says_how_numbers_become_classes(folder: Path) -> None:
    with pytest.raises(InvalidSpec, match="if the target is a class, set data"):
        planned(folder, "data.target=churned", "search.metric=roc_auc")
    assert planned(
        folder, "data.target=churned", "search.metric=roc_auc", "data.task=classification"
    )


FOUR = "search.over=[{family: linear, params: {alpha: [1, 2], max_iter: {low: 1000, high: 1001}}}]"


def test_a_search_that_must_repeat_its_trials_is_remarked_on(folder: Path) -> None:
    assert "only 4 different trials exist, and 50 are drawn" in planned(folder, FOUR).remarks[0]
    assert planned(folder, FOUR, "search.trials=4").remarks == ()
    endless = FOUR.replace("[1, 2]", "{low: 0.1, high: 1}")
    assert planned(folder, endless).remarks == ()
    one = planned(folder, "search.over=[{family: 'sklearn.linear_model:Ridge'}]")
    assert "only 1 trial exists" in one.remarks[0]


THREE = "search.over=[{family: linear, params: {alpha: [0.1, 1.0, 10.0]}}]"


@pytest.mark.parametrize(
    ("method", "fits", "most"),
    [
        ("random", 3 * 3, ""),  # a fit for each of the three, on three folds
        ("tpe", 3 * (3 + 11), "at most "),  # nine are known; each of the others is its own
    ],
)
def test_fits_are_whole_trials_on_every_fold_where_trials_repeat(
    folder: Path, method: str, fits: int, most: str
) -> None:
    loaded = load(folder / "own.yaml", sets=(THREE, "search.trials=20", f"search.method={method}"))
    said = forecast(
        loaded.spec,
        base=loaded.base,
        settings=Settings(home=folder / "home"),
        workers=1,
        timing=False,
    )
    assert (said.fits, said.fits_saved) == (fits, 20 * 3 - fits)
    assert dict(said.in_words())["fits"] == f"{most}{fits}, and {60 - fits} saved by sharing"
    assert not (folder / "home").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="is for machines without TensorFlow"
)
@pytest.mark.parametrize("model", ["", "model: './network.py:build', "])
def test_networks_are_planned_where_tensorflow_is_not_installed(folder: Path, model: str) -> None:
    (folder / "network.py").write_text("import keras\n\n\ndef build(signature): ...\n")
    params = "{epochs: [1, 2], batch: 32}"
    sets = (f"search.over=[{{family: keras, {model}params: {params}}}, {{family: linear}}]",)
    loaded = load(folder / "own.yaml", sets=(*sets, "search.method=random", "search.trials=3"))
    home = Settings(home=folder / "home")
    said = forecast(loaded.spec, base=loaded.base, settings=home, workers=1, timing=True)
    assert said.trials == 3
    [remark] = [line for line in said.remarks if "TensorFlow" in line]
    assert remark.startswith("family 'keras")
    assert remark.endswith("TensorFlow is not installed (pip install 'fairlead[keras]')")
    with pytest.raises(InvalidSpec, match="needs a library that is not installed"):
        plans.make(loaded.spec, base=loaded.base, settings=home)


@pytest.mark.parametrize(
    ("family", "params", "name"),
    [
        ("linear", "alpha: {low: 1, high: 5}", "alpha"),  # searched as a fraction
        ("'sklearn.linear_model:Ridge'", "alpha: {low: 1, high: 5}", "alpha"),  # 1.0 by default
        ("extra_trees", "ccp_alpha: {low: 0, high: 2}, max_depth: {low: 1, high: 5}", "ccp_alpha"),
        ("'./mine.py:Shifted'", "tol: 0.1, alpha: {low: 1, high: 5}", "alpha"),
        ("xgboost", "gamma: {low: 0, high: 1}, max_depth: {low: 0, high: 2}", "gamma"),
        ("lightgbm", "subsample: {low: 0, high: 1}, num_leaves: {low: 2, high: 5}", "subsample"),
    ],
)
def test_whole_ends_of_a_parameter_that_takes_fractions_are_remarked_on(
    folder: Path, family: str, params: str, name: str
) -> None:
    if family in {"xgboost", "lightgbm"}:
        pytest.importorskip(family)
    plan = planned(folder, f"search.over=[{{family: {family}, params: {{{params}}}}}]")
    [remark] = [line for line in plan.remarks if "whole numbers" in line]
    assert remark.startswith(f"search.over[0].params.{name}: {{low: ")
    low, high = plan.to_check.whole[0][name]
    assert remark.endswith(f"{{low: {low}.0, high: {high}.0}} draws those between, too")
    fractions = params.replace(f"{{low: {low}, high: {high}}}", f"{{low: {low}.0, high: {high}.0}}")
    plan = planned(folder, f"search.over=[{{family: {family}, params: {{{fractions}}}}}]")
    assert not [line for line in plan.remarks if "whole numbers" in line]


OWN = "search.over=[{family: './mine.py:Rounded', params: {alpha: {low: 0.1, high: 1}}}]"


def copies(folder: Path, rows: str, target: str, *sets: str) -> list[str]:
    (folder / "rows.csv").write_text(rows)
    found = planned(folder, f"data.target={target}", "data.drop=[]", *sets).remarks
    return [line for line in found if "the target" in line]


def test_a_column_that_is_the_target_is_remarked_on(folder: Path) -> None:
    amounts = [(i * 37 % 101) / 4 for i in range(60)]
    head = "x,copy,again,y\n"
    rows = "".join(f"{i % 7},{y},{y:.3e},{y}\n" for i, y in enumerate(amounts))
    [remark] = copies(folder, head + rows, "y")
    assert remark == (
        "columns 'copy', 'again' hold the target 'y' in every row, so a model learns nothing else; "
        "name them in data.drop if they are not known before the target is"
    )
    [remark] = copies(folder, head + rows.replace("0,0.0,", "0,0.5,", 1), "y")
    assert remark == (
        "column 'again' holds the target 'y' in every row, so a model learns nothing else; name it "
        "in data.drop if it is not known before the target is"
    )


KINDS = "".join(
    f"{i * 5 % 11},{'abc'[i % 3]},{(7, 2, 5)[i % 3]},{'zyx'[i % 3]}\n" for i in range(60)
)


def test_a_column_with_a_value_for_each_class_is_remarked_on(folder: Path) -> None:
    rows = f"x,kind,code,name\n{KINDS}"
    [remark] = copies(folder, rows, "kind", "data.encode={name: onehot}")
    assert remark == (
        "columns 'code', 'name' hold the target 'kind' in every row, so a model learns nothing "
        "else; name them in data.drop if they are not known before the target is"
    )
    assert copies(folder, rows, "kind", "data.drop=[code, name]") == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (KINDS.replace(",a,7,z", ",a,7,", 1), "column 'code' holds"),  # a text is missing
        (KINDS.replace(",a,7,z", ",a,2,z", 1), "column 'name' holds"),
        (KINDS.replace(",a,7,z", ",a,8,w", 1), ""),  # a class has two values
        (KINDS.replace(",5,x", ",2,y"), ""),  # two classes have one value
        ("".join(KINDS.splitlines(keepends=True)[:18]), ""),  # few rows
    ],
    ids=["missing", "another", "two of one", "one of two", "few"],
)
def test_a_column_that_only_nearly_says_the_class_is_not(
    folder: Path, rows: str, said: str
) -> None:
    found = copies(folder, f"x,kind,code,name\n{rows}", "kind", "data.encode={name: onehot}")
    assert [line[: len(said)] for line in found] == ([said] if said else [])


def test_an_estimator_that_cannot_become_champion_is_remarked_on(folder: Path) -> None:
    [remark] = planned(folder, OWN).remarks
    assert remark == (
        "search.over[0].family: it cannot become champion: ./mine.py:Rounded: there is no "
        "converter for 'Rounded'; use an estimator of scikit-learn; write promote: {when: never} "
        "where it need not"
    )
    assert planned(folder, OWN, "promote.when=never").remarks == ()
    assert planned(folder, OWN.replace("Rounded", "Shifted")).remarks == ()


def fairlead(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *args, "--set", "data.target=churned"],
        cwd=folder,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_the_task_is_in_the_answer_of_plan_and_its_remark_beside_it(folder: Path) -> None:
    said = fairlead(folder, "plan", "own.yaml", "--no-timing")
    assert "task     regression of 'churned' (0 to 1)\n" in said.stdout
    assert "taken as a number" in said.stderr
    answer = json.loads(fairlead(folder, "plan", "own.yaml", "--no-timing", "--json").stdout)
    assert (answer["task"], answer["target"]) == ("regression", "churned")
    assert "taken as a number" in answer["remarks"][0]


def test_a_run_begins_with_the_remarks(folder: Path) -> None:
    said = fairlead(folder, "run", "own.yaml", "--workers", "1", "--set", "search.trials=1")
    assert "taken as a number" in said.stderr
    assert "taken as a number" not in said.stdout


def test_no_more_workers_are_hired_than_there_are_trials_or_cores_for_their_threads(
    folder: Path,
) -> None:
    cores = len(os.sched_getaffinity(0))
    one = planned(folder, "search.method=random", "search.trials=1")
    many = planned(folder, "search.method=random", "search.trials=1000")
    wide = planned(folder, "search.method=random", "search.trials=1000", f"search.threads={cores}")
    assert [plans.slots(plan) for plan in (one, many, wide)] == [1, cores, 1]


def test_values_that_are_refused_only_together_cost_their_trial_and_not_the_study(
    folder: Path,
) -> None:
    params = "{alpha: [2.0, 1.0], solver: [svd, cholesky]}"
    plan = planned(
        folder,
        f'search.over=[{{family: "./mine.py:Together", params: {params}}}]',
        "search.method=grid",
    )
    assert plan.search.size == 4
    assert plan.remarks == ()


def test_a_family_that_one_process_fits_shares_no_fits(folder: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"search.over\[0\].family: 'linear' is fitted by one"):
        planned(folder, "train={workers: 2}")


def test_boosters_are_shared_by_executors_of_spark_alone(folder: Path) -> None:
    over = "search.over=[{family: xgboost, params: {max_depth: {low: 2, high: 900}}}]"
    with pytest.raises(
        InvalidSpec, match=r"over\[0\].family: fits of 'xgboost' are shared by exec"
    ):
        planned(folder, over, "train={workers: 2}")
    assert planned(folder, over, "train={workers: 1}").remarks == ()
    assert planned(folder, over, "train={workers: 2, engine: spark}").remarks == ()


def test_what_of_a_booster_depends_on_who_has_which_rows_is_refused_or_remarked(
    folder: Path,
) -> None:
    over = "search.over=[{family: xgboost, params: {subsample: [1.0, 0.5]}}]"
    with pytest.raises(InvalidSpec, match=r"over\[0\].params.subsample: processes cannot share a"):
        planned(folder, over, "train={workers: 2, engine: spark}")
    plan = planned(folder, over, "train={workers: 2, engine: spark, mode: allreduce}")
    assert "train.mode: allreduce with 2 workers gives other trees" in plan.remarks[-1]
