"""What a spec may say, and the digest of what it says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fairlead.data.lexicon import LARGEST
from fairlead.families.catalog import NAMES
from fairlead.metrics import METRICS
from fairlead.spec.document import (
    Data,
    Spec,
    canonical,
    identity,
    json_schema,
    parse_canonical,
)
from fairlead.spec.space import Range

ROOT = Path(__file__).parents[3]


def document(**search: Any) -> dict[str, Any]:
    over = [{"family": "random_forest", "params": {"max_depth": [None, 4]}}]
    return {
        "name": "a",
        "data": {"source": "boston"},
        "search": {"method": "grid", "over": over, **search},
    }


def spec(**search: Any) -> Spec:
    return Spec.model_validate(document(**search))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
choices = st.lists(scalars, min_size=1, max_size=5, unique_by=lambda value: (type(value), value))


@given(st.dictionaries(st.text("abc", min_size=1), st.one_of(scalars, choices), max_size=4))
def test_the_canonical_form_says_the_same_spec(params: dict[str, Any]) -> None:
    one = spec(over=[{"family": "x", "params": params}])
    assert canonical(parse_canonical(canonical(one))) == canonical(one)
    assert parse_canonical(canonical(one)) == one


def test_options_of_a_method_are_part_of_the_identity_and_only_where_there_are_some() -> None:
    without = Spec.model_validate(document())
    assert "options" not in canonical(without)
    some = Spec.model_validate(document(options={"draws": 3}))
    assert parse_canonical(canonical(some)) == some
    assert identity(some) != identity(without)


def held_out(**holdout: Any) -> Spec:
    data = {"source": "digits", "holdout": holdout}
    return Spec.model_validate({**document(), "data": data})


def test_a_stratified_holdout_is_part_of_the_identity_and_only_where_it_is_asked_for() -> None:
    plain = held_out(by="random")
    assert identity(held_out(by="random", stratify=False)) == identity(plain)
    assert "stratify" not in canonical(plain)
    stratified = held_out(by="random", stratify=True)
    assert parse_canonical(canonical(stratified)) == stratified
    assert identity(stratified) != identity(plain)


@pytest.mark.parametrize("holdout", [{"by": "hash", "stratify": True}, {"stratify": True}])
def test_only_a_drawn_holdout_is_stratified(holdout: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="needs by: random"):
        held_out(**holdout)


def test_the_number_of_trials_is_no_part_of_the_identity() -> None:
    assert identity(spec(trials=3)) == identity(spec(trials=9))


@pytest.mark.parametrize(
    "search", [{"folds": 3}, {"seed": 1}, {"metric": "mae"}, {"threads": 2}, {"time": 60}]
)
def test_anything_else_of_the_search_makes_another_study(search: dict[str, Any]) -> None:
    assert identity(spec(**search)) != identity(spec())


def test_the_name_and_the_promotion_make_no_other_study() -> None:
    other = Spec.model_validate({**document(), "name": "b", "promote": {"when": "never"}})
    assert identity(other) == identity(spec())


def test_the_table_and_the_versions_make_another_study() -> None:
    assert identity(spec(), fingerprint="x") != identity(spec(), fingerprint="y")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90.0), ("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("1.5s", 1.5)],
)
def test_a_time_is_seconds_or_a_duration(written: object, seconds: float) -> None:
    assert spec(time=written).search.time == seconds


@pytest.mark.parametrize("written", [True, "", "10", "m", "-5s", 0, -1, "5d", "0s"])
def test_what_is_no_time_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        spec(time=written)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1 << 20, 1 << 20),
        ("512MiB", 512 << 20),
        ("2GB", 2 * 10**9),
        ("1.5GiB", 3 << 29),
        ("2Gi", 2 << 30),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(written: object, size: int) -> None:
    assert spec(task_memory=written).search.task_memory == size


@pytest.mark.parametrize("written", [True, 1, "2XB", "1KB", "GB"])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        spec(task_memory=written)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_stands_for_a_missing_number_is_one_that_the_data_may_hold(sign: int) -> None:
    assert Data(source="x", impute=sign * LARGEST).impute == sign * LARGEST
    with pytest.raises(ValidationError, match=r"a finite number within 3\.4e38"):
        Data(source="x", impute=sign * math.nextafter(LARGEST, math.inf))


def test_one_and_true_and_a_float_are_different_choices() -> None:
    params = {"max_features": [1, 1.0, True]}
    chosen = spec(over=[{"family": "x", "params": params}]).search.over[0].params
    assert chosen is not None
    values = chosen["max_features"]
    assert isinstance(values, tuple)
    assert [type(value) for value in values] == [int, float, bool]


def test_a_range_with_a_step_has_exact_values() -> None:
    assert Range(low=0.1, high=0.5, step=0.1).values() == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert Range(low=3, high=12, step=4).values() == (3, 7, 11)


def test_the_published_schema_is_the_one_of_the_program() -> None:
    published = json.loads((ROOT / "docs/spec.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema()


def test_the_schema_is_one_and_takes_what_the_program_takes() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document(trials=3, time="10m", task_memory="2GB"), schema)
    for wrong in ({"trails": 3}, {"folds": 1}, {"method": "gird"}, {"over": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document(**wrong), schema)


def keys(schema: dict[str, Any]) -> set[str]:
    sections = [schema, *schema["$defs"].values()]
    return {name for section in sections for name in section.get("properties", {})}


def test_every_key_is_described_in_the_schema_and_on_the_page() -> None:
    schema = json_schema()
    page = (ROOT / "docs/spec.md").read_text(encoding="utf-8")
    assert [key for key in keys(schema) if f"| `{key}` |" not in page] == []
    for section in [schema, *schema["$defs"].values()]:
        assert [k for k, v in section.get("properties", {}).items() if "description" not in v] == []


def test_the_schema_offers_every_family_and_every_metric() -> None:
    definitions = json_schema()["$defs"]
    assert definitions["FamilySpace"]["properties"]["family"]["examples"] == list(NAMES)
    assert definitions["Search"]["properties"]["metric"]["examples"] == list(METRICS)


def shared(**train: Any) -> Spec:
    return Spec.model_validate({**document(), "train": train})


def test_a_spec_without_train_has_the_identity_it_always_had() -> None:
    assert "train" not in canonical(spec())
    assert identity(spec()) == identity(parse_canonical(canonical(spec())))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"workers": 1}, {"workers": 4, "engine": "kubernetes", "checkpoint": 5}),
        ({"workers": 2}, {"engine": "spark", "master": "spark://a:7077", "workers": 8}),
        ({"workers": 2}, {"engine": "kubernetes", "workers": 1, "most": 4}),
        (
            {"mode": "averaging", "workers": 2},
            {"mode": "averaging", "workers": 2, "engine": "spark", "microbatches": 3},
        ),
    ],
)
def test_who_computes_a_fit_is_no_part_of_the_identity(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert identity(shared(**one)) == identity(shared(**other))


@pytest.mark.parametrize(
    "other",
    [
        {"workers": 2, "microbatches": 4},
        {"workers": 2, "mode": "allreduce"},
        {"workers": 2, "mode": "averaging"},
    ],
)
def test_how_steps_are_cut_is_part_of_the_identity(other: dict[str, Any]) -> None:
    assert identity(shared(workers=2)) not in {identity(shared(**other)), identity(spec())}


@pytest.mark.parametrize("mode", ["allreduce", "averaging"])
def test_the_number_of_workers_is_part_of_it_where_the_model_depends_on_it(mode: str) -> None:
    assert identity(shared(mode=mode, workers=2)) != identity(shared(mode=mode, workers=3))


def test_each_worker_of_a_fit_has_a_part_of_a_step() -> None:
    with pytest.raises(ValidationError, match=r"at least train.workers \(9\)"):
        shared(workers=9)


def test_a_master_is_of_spark() -> None:
    with pytest.raises(ValidationError, match="is for engine: spark, not local"):
        shared(master="spark://a:7077")


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"most": 2}, "is for engine: kubernetes or spark, and mode: exact, not engine: local"),
        ({"most": 2, "engine": "tfjob"}, "not engine: tfjob and mode: exact"),
        ({"most": 2, "engine": "spark", "mode": "averaging"}, "mode: averaging"),
        ({"most": 1, "engine": "kubernetes", "workers": 2}, r"from train.workers \(2\)"),
        ({"most": 9, "engine": "kubernetes"}, r"to train.microbatches \(8\)"),
    ],
)
def test_more_join_a_fit_where_an_engine_adds_them_and_each_has_a_part(
    train: dict[str, Any], said: str
) -> None:
    assert shared(engine="kubernetes", workers=2, most=8).train is not None
    with pytest.raises(ValidationError, match=said):
        shared(**train)


# ---- a function that builds the networks of keras -------------------------------------------


def _over(space: dict[str, object]) -> Spec:
    search = {"method": "random", "over": [space]}
    return Spec.model_validate({"name": "a", "data": {"source": "mnist"}, "search": search})


def test_the_function_that_builds_a_network_is_part_of_the_familys_name() -> None:
    spec = _over({"family": "keras", "model": "./digits.py:build", "params": {"units": 3}})
    assert spec.search.over[0].family == "keras:./digits.py:build"
    assert spec == _over({"family": "keras:./digits.py:build", "params": {"units": 3}})
    assert parse_canonical(canonical(spec)) == spec
    assert '"model"' not in canonical(spec)


@pytest.mark.parametrize("family", ["xgboost", "keras:./other.py:build"])
def test_other_families_have_no_function_that_builds_them(family: str) -> None:
    with pytest.raises(ValidationError, match=f"is for family: keras, not {family}"):
        _over({"family": family, "model": "./digits.py:build"})
