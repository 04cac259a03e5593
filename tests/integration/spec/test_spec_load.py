"""A spec file, read: places, overrides, complaints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidData, InvalidSpec, NotFound
from fairlead.spec.load import Loaded, load

ROOT = Path(__file__).parents[3]
SPEC = """\
name: boston-prices
data:
  source: boston
  target: MEDV
  seed: 42
search:
  method: grid
  folds: 3
  over:
    - family: random_forest
      params:
        max_depth: [null, 10, 20]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "boston.yaml"
    path.write_text(SPEC)
    return path


def loaded(file: Path, *sets: str) -> Loaded:
    return load(file, sets=sets)


def refusal(file: Path, *sets: str) -> str:
    with pytest.raises(InvalidSpec) as caught:
        load(file, sets=sets)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{file}", file.name)


def changed(file: Path, old: str, new: str) -> str:
    assert old in SPEC
    file.write_text(SPEC.replace(old, new))
    return refusal(file)


@pytest.mark.parametrize("name", ["boston", "boston-bayes", "california"])
def test_the_examples_are_specs(name: str) -> None:
    found = load(ROOT / f"examples/{name}.yaml")
    assert found.spec.data.source == name.partition("-")[0]
    assert found.base == ROOT / "examples"


def test_relative_paths_start_at_the_folder_of_the_spec(file: Path) -> None:
    assert loaded(file).base == file.parent


IMPUTE = "data.impute must be a finite number within 3.4e38, the largest number of a model"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("folds: 3", "folds: 1", "8:10: search.folds must be at least 2, not 1"),
        ("folds: 3", 'folds: "3"', "8:10: search.folds must be a whole number, not '3'"),
        ("folds: 3", "folds: true", "8:10: search.folds must be a whole number, not true"),
        ("folds: 3", "folds: 2.5", "8:10: search.folds must be a whole number, not 2.5"),
        ("folds: 3", "folds:", "8:3: search.folds must be a whole number, not null"),
        ("folds: 3", "fold: 3", "8:3: search.fold is not known; did you mean 'folds'?"),
        ("folds: 3", "trials: 2000000", "8:11: search.trials must be at most 1,000,000"),
        ("folds: 3", "until: .inf", "8:10: search.until must be a finite number"),
        ("folds: 3", "time: soon", "8:9: search.time must be seconds, or a time such as"),
        ("folds: 3", "prune: medan", "8:10: search.prune must be 'median', not 'medan'; did you"),
        ("method: grid", "method: gird", "7:11: search.method must be 'grid', 'random' or 'tpe'"),
        ("over:", "ovr:", "9:3: search.ovr is not known; did you mean 'over'?"),
        ("- family: random_forest", "- famly: x", "10:7: search.over[0].famly is not known; did"),
        ("  source: boston\n", "", "2:1: data.source is missing: a catalog name"),
        ("target: MEDV", "target: 5", "4:11: data.target must be text"),
        ("target: MEDV", "drop: a", "4:9: data.drop must be a list, such as [a, b], not 'a'"),
        ("seed: 42", "drop: [MEDV]", "5:9: data.drop must not name the target 'MEDV'"),
        ("seed: 42", "columns: [a, a]", "5:16: data.columns[1] must not be listed twice ('a')"),
        ("seed: 42", "impute: avg", "5:11: data.impute must be mean, median, most_frequent or"),
        ("seed: 42", "impute: .nan", f"5:11: {IMPUTE}, not nan"),
        ("seed: 42", "impute: -.inf", f"5:11: {IMPUTE}, not -inf"),
        ("seed: 42", "impute: 1e300", f"5:11: {IMPUTE}, not 1e+300"),
        ("seed: 42", f"impute: -1{'0' * 39}", f"5:11: {IMPUTE}, not -1000"),
        ("seed: 42", "digest: abc", "5:11: data.digest must be 'sha256:' and 64"),
        (
            "seed: 42",
            "drop: [a, b]\n  encode: {b: onehot}",
            "5:9: data.drop must not name 'b', which",
        ),
        ("seed: 42", "encode: onehot", "5:11: data.encode must be a mapping from columns to how"),
        ("seed: 42", "encode: {a: hot}", "5:15: data.encode.a must be 'onehot'"),
        ("seed: 42", "holdout: {share: 1}", "5:20: data.holdout.share must be below 1, not 1"),
        ("boston-prices", "Boston", "1:7: name must be 1 to 63 lower-case letters"),
        ("source: boston", 'source: "a\\0b"', "3:11: data.source must be printable text"),
        ("source: boston", 'source: ""', "3:11: data.source must not be empty"),
    ],
)
def test_a_complaint_has_its_place_and_what_to_do(
    file: Path, old: str, new: str, said: str
) -> None:
    assert changed(file, old, new).startswith(f"boston.yaml:{said}")


PARAM = "search.over[0].params.max_depth"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("[]", f"20: {PARAM} must not be empty"),
        ("[1, 1]", f"24: {PARAM}[1] must not be listed twice (1)"),
        ("[1, [2]]", f"24: {PARAM}[1] must be a number, a text, true, false or null, not [2]"),
        ("[.nan]", f"21: {PARAM}[0] must be finite, not nan"),
        ("[9223372036854775808]", f"21: {PARAM}[0] must fit into 64 bits"),
        ("{low: 1, high: 9}", f"20: {PARAM} must be a list, or have a step"),
        ("{low: 9, high: 1, step: 1}", f"35: {PARAM}.high must be above low (9), not 1"),
        ("{low: 1, hihg: 9}", f"29: {PARAM}.hihg is not known; did you mean 'high'?"),
        ("{low: a, high: 9}", f"26: {PARAM}.low must be a number, not 'a'"),
        ("{low: 0, high: 9, log: true}", f"26: {PARAM}.low must be above 0 where log is true"),
        ("{low: 1, high: 9, step: 0}", f"44: {PARAM}.step must be above 0, not 0"),
        ("{low: 1, high: 9, step: .5}", f"44: {PARAM}.step must be whole"),
        ("{low: 1, high: 9, step: 2, log: true}", f"44: {PARAM}.step must not be combined"),
        ("{low: 1, high: 9, log: yes}", f"43: {PARAM}.log must be true or false, not 'yes'"),
        ("{}", f"9: {PARAM}.low is missing: the lowest value (and 1 more)"),
    ],
)
def test_a_complaint_about_a_parameter_is_about_what_was_meant(
    file: Path, values: str, said: str
) -> None:
    assert changed(file, "[null, 10, 20]", values).startswith(f"boston.yaml:12:{said}")


def test_the_first_of_several_is_said_with_their_number(file: Path) -> None:
    file.write_text(SPEC.replace("seed: 42", "seed: -1").replace("folds: 3", "folds: 1"))
    assert refusal(file) == "boston.yaml:5:9: data.seed must be at least 0, not -1 (and 1 more)"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_typed_is_a_spec_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    start, end = sorted(data.draw(st.integers(0, len(SPEC))) for _ in range(2))
    typed = data.draw(st.text("ab1 .:-,[]{}&*!|>'\"%@`#?<~\n\t\\u00e9", max_size=8))
    path = tmp_path_factory.getbasetemp() / "typed.yaml"
    path.write_text(SPEC[:start] + typed + SPEC[end:], encoding="utf-8")
    try:
        assert load(path).spec.search.over
    except InvalidSpec as error:
        assert str(error).startswith(f"{path}:")  # noqa: PT017 - either outcome is right
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


# ---- files ----------------------------------------------------------------------------------


def test_a_missing_file_suggests_one_that_is_there(file: Path) -> None:
    said = refusal(file.with_name("bostn.yml"))
    assert said == f"bostn.yml: there is no such file; did you mean '{file}'?"


def test_a_missing_folder_is_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no" / "a.yaml") == "a.yaml: there is no such file"


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith(": is a folder; name the spec (a YAML file) in it")


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    assert refusal(file / "x") == "x: cannot be read: Not a directory"


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    assert refusal(Path("/dev/zero")) == "zero: is larger than 1 MiB; is it a spec?"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ": is empty"),
        (b"# only this\n", ": is empty"),
        (b"name: a\nx: \xff\n", ":2:4: not UTF-8 (byte 0xff); save it as UTF-8"),
        ("é: \xff".encode("latin-1"), ":1:1: not UTF-8 (byte 0xe9); save it as UTF-8"),
        (b"- a\n", ":1:1: a spec is a mapping of keys and values"),
        (b"hello\n", ":1:1: a spec is a mapping of keys and values"),
        (b"a: [1\n", ":2:1: not YAML: while parsing a flow sequence"),
        (b"\x89PNG\r\n\x1a\n", ":1:1: not UTF-8 (byte 0x89)"),
    ],
)
def test_what_is_no_spec_is_said_with_what_to_do(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    assert refusal(file).startswith(f"boston.yaml{said}")


def test_an_empty_spec_leads_on_to_one_to_start_from(file: Path) -> None:
    file.write_bytes(b"")
    with pytest.raises(InvalidSpec) as caught:
        load(file)
    (step,) = caught.value.next_steps
    assert (step.action, step.effect) == ("new", "writes a spec to start from")


def test_a_byte_order_mark_is_no_part_of_the_spec(file: Path) -> None:
    file.write_text("\ufeff" + SPEC, encoding="utf-8")
    assert loaded(file).spec.name == "boston-prices"


# ---- overrides ------------------------------------------------------------------------------


def test_an_override_replaces_what_the_file_says(file: Path) -> None:
    spec = loaded(file, "search.trials=2", f"{PARAM}=[4, null]", "promote.when=never").spec
    assert spec.search.trials == 2
    assert spec.search.over[0].params == {"max_depth": (4, None)}
    assert spec.promote.when == "never"


def test_the_last_override_of_a_key_holds(file: Path) -> None:
    assert loaded(file, "search.folds=4", "search.folds=5").spec.search.folds == 5


def test_an_override_without_a_value_is_null(file: Path) -> None:
    assert loaded(file, "data.target=").spec.data.target is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.over[1].family=x", "[1] is not there: 1 item"),
        ("search.folds[0]=x", "[0] is not there: no list"),
        ("name.x=1", "'x' is not there: what it would be in has no keys"),
        ("search.trials", "give it as key=value, such as search.trials=20"),
        ("=3", "give it as key=value, such as search.trials=20"),
        ("search.trials=[", "1:2: not YAML: "),
    ],
)
def test_an_override_that_fits_nowhere_is_named(file: Path, override: str, said: str) -> None:
    assert refusal(file, override).startswith(f"--set {override}: {said}")


@pytest.mark.parametrize("text", [",", "@x", "*x", "%x", "!x", '"x', "a: b: c", "`", "}"])
def test_a_value_that_yaml_cannot_read_is_to_be_quoted(file: Path, text: str) -> None:
    quoted = shlex.quote(f"data.target={json.dumps(text)}")
    override = f"data.target={text}"
    assert refusal(file, override) == (
        f"--set {override}: YAML cannot read the value {text!r}; a text such as this needs quotes: "
        f"--set {quoted}"
    )
    assert loaded(file, *shlex.split(quoted)).spec.data.target == text


@pytest.mark.parametrize("text", ["|", ">", "#", "# id", " "])
def test_a_value_of_which_yaml_reads_nothing_is_to_be_quoted(file: Path, text: str) -> None:
    told = refusal(file, f"data.target={text}")
    assert f"YAML reads nothing in the value {text!r}; a text such as this needs quotes" in told


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.trails=20", "search.trails is not known; did you mean 'trials'?"),
        ("serach.trials=20", "serach is not known; did you mean 'search'?"),
        ("search.trials=0", "search.trials must be at least 1, not 0"),
        ("serve.canary=[1]", "serve.canary must end with 100, not 1"),
        ("promote={when: {a: b}}", "promote.when must be 'better', "),
        ("train.wrokers=2", "train.wrokers is not known; did you mean 'workers'?"),
        ("train.resources.gpus=1", "train.resources.gpus is not known; known: cpu, memory"),
    ],
)
def test_a_wrong_override_is_told_from_a_wrong_file(file: Path, override: str, said: str) -> None:
    told = refusal(file, override)
    assert told.startswith(f"--set: {said}")
    assert not told.endswith("not [1]")


# ---- complaints that come later -------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "position"),
    [
        ("data.target", (4, 11)),
        ("search.over[0].params.max_depth", (12, 20)),
        ("search.over.0.params", (12, 9)),  # a mapping stands where its first key does
        ("search.metric", (6, 1)),
        ("nothing", None),
    ],
)
def test_a_key_has_a_position(file: Path, key: str, position: tuple[int, int] | None) -> None:
    assert loaded(file).position(key) == position


def test_a_key_that_was_set_has_no_position_in_the_file(file: Path) -> None:
    found = loaded(file, "data.target=X")
    assert found.position("data.target") is None
    said = str(found.invalid(InvalidSpec("data.target: there is no column 'X'")))
    assert said == "--set: data.target: there is no column 'X'"


@pytest.mark.parametrize("kind", [InvalidSpec, InvalidData])
def test_a_later_complaint_gets_its_place(
    file: Path, kind: type[InvalidSpec | InvalidData]
) -> None:
    message = "data.target: there is no column 'MEDV'"
    with pytest.raises(kind) as caught, loaded(file).located():
        raise kind(message)
    assert str(caught.value) == f"{file}:4:11: {message}"


def test_a_place_is_given_once(file: Path) -> None:
    found = loaded(file)
    once = found.invalid(InvalidSpec("data.target: no"))
    assert found.invalid(once) is once


def test_a_complaint_without_a_key_names_the_file(file: Path) -> None:
    assert str(loaded(file).invalid(InvalidSpec("too few"))) == f"{file}: too few"


def test_a_complaint_about_the_data_alone_stays_as_it_is(file: Path) -> None:
    error = InvalidData("rows.csv: row 3 is short")
    assert loaded(file).invalid(error) is error


def test_other_errors_pass(file: Path) -> None:
    with pytest.raises(NotFound, match=r"^data\.target"), loaded(file).located():
        raise NotFound("data.target: no")
