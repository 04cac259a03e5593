"""What a user's own code does in the coordinator: print, raise, exit."""

from __future__ import annotations

import json
import linecache
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.errors import InvalidSpec
from fairlead.families import catalog

ONE = """\
from sklearn.linear_model import Ridge


class Over(BaseException):
    pass


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("none")


class E(Ridge):
    def {method}(self, *args, **kwargs):
        {body}
"""


def _refused(folder: Path, source: str) -> str:
    (folder / "m.py").write_text(source)
    family = catalog.family("./m.py:E", base=folder)
    with pytest.raises(InvalidSpec) as caught:
        family.check({}, "regression")
    assert "\n" not in str(caught.value)
    return str(caught.value)


ENDS = [
    ("sys.exit()", "SystemExit"),
    ("sys.exit(7)", "SystemExit: 7"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("raise Over('and out')", "Over: and out"),
    ("raise StopIteration(3)", "StopIteration: 3"),
    ("raise Wordless", "Wordless"),
]


@pytest.mark.parametrize(("body", "said"), ENDS)
def test_whatever_a_constructor_ends_with_is_one_line(tmp_path: Path, body: str, said: str) -> None:
    source = ONE.format(method="__init__", body=f"import sys; {body}")
    assert _refused(tmp_path, source) == (
        f"./m.py:15: family './m.py:E' cannot be made of {{}}: {said}"
    )


@pytest.mark.parametrize("body", ["raise GeneratorExit", "raise Over('and out')"])
def test_whatever_an_import_ends_with_is_one_line(tmp_path: Path, body: str) -> None:
    message = _refused(tmp_path, f"class Over(BaseException):\n    pass\n\n\n{body}\n")
    assert message.startswith("./m.py:5: family './m.py:E' cannot be imported: ")


def test_ctrl_c_while_a_file_is_imported_stays_what_it_is(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    (tmp_path / "m.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    with pytest.raises(KeyboardInterrupt):
        catalog.family("./m.py:E", base=tmp_path).check({}, "regression")


GET, LOOKED = "cannot be given its seed and threads: ", "cannot be checked: "


@pytest.mark.parametrize(
    ("method", "body", "said"),
    [
        ("get_params", "raise RuntimeError('no')", f"{GET}RuntimeError: no"),
        ("get_params", "return None", "its get_params gives None, and not its parameters by name"),
        ("get_params", "return {1: 2}", "its get_params gives {1: 2}, and not its parameters"),
        ("set_params", "raise RuntimeError('no')", f"{GET}RuntimeError: no"),
        ("__sklearn_tags__", "raise RuntimeError('no')", f"{LOOKED}RuntimeError: no"),
        ("_validate_params", "raise RuntimeError('no')", f"{LOOKED}RuntimeError: no"),
    ],
)
def test_a_method_that_does_not_do_its_part_is_a_fault_of_the_spec(
    tmp_path: Path, method: str, body: str, said: str
) -> None:
    assert said in _refused(tmp_path, ONE.format(method=method, body=body))


@pytest.mark.parametrize("name", ["_estimator_type", "_parameter_constraints", "fit"])
def test_a_property_that_raises_is_a_fault_of_the_spec(tmp_path: Path, name: str) -> None:
    source = ONE.replace("    def", "    @property\n    def")
    source = source.format(method=name, body="raise RuntimeError('no')")
    assert _refused(tmp_path, source).endswith(
        "family './m.py:E' cannot be checked: RuntimeError: no"
    )


def test_a_function_that_gives_a_class_is_told_to_give_an_estimator(tmp_path: Path) -> None:
    source = "from sklearn.linear_model import Ridge\n\n\ndef E(alpha=1):\n    return Ridge\n"
    assert _refused(tmp_path, source) == (
        "family './m.py:E' gives the class 'Ridge': let it give Ridge()"
    )


def test_a_module_whose_getattr_raises_is_a_fault_of_the_spec(tmp_path: Path) -> None:
    source = "def __getattr__(name):\n    raise RuntimeError(name)\n"
    assert _refused(tmp_path, source) == (
        "./m.py:2: family './m.py:E' cannot be imported: RuntimeError: E"
    )


def test_a_signature_that_raises_is_a_fault_of_the_spec(tmp_path: Path) -> None:
    source = "class Odd:\n    @property\n    def __signature__(self):\n        raise KeyError(1)\n"
    source += "    def __call__(self):\n        pass\n\n\nE = Odd()\n"
    assert _refused(tmp_path, source) == (
        "./m.py:4: family './m.py:E' does not say which parameters it takes: KeyError: 1"
    )


@pytest.mark.parametrize(
    "source",
    [
        b"# coding: latin-1\nfrom sklearn.linear_model import Ridge as E  # \xe9\n",
        b"from sklearn.linear_model import Ridge as E  # \xe9\n",
    ],
    ids=["said", "not said"],
)
def test_a_file_in_another_encoding_is_taken_as_python_takes_it(
    tmp_path: Path, source: bytes
) -> None:
    (tmp_path / "m.py").write_bytes(source)
    catalog.family("./m.py:E", base=tmp_path).check({}, "regression")
    assert "import Ridge as E" in "".join(linecache.getlines("./m.py"))


def test_a_fault_without_a_line_is_given_none(tmp_path: Path) -> None:
    assert _refused(tmp_path, "x = 1\n\0\n").startswith("family './m.py:E' cannot be imported: ")


def test_a_syntax_error_in_another_file_is_placed_where_this_one_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_m.py").write_text("\n\n\n\n\nclass :\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert _refused(tmp_path, "x = 1\nimport beside_m\n").startswith("./m.py:2: ")


def test_a_file_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"cannot read .*: embedded null byte"):
        catalog.family("./m\0.py:E", base=tmp_path)


LOUD = """\
from sklearn.linear_model import Ridge

print("imported")


class E(Ridge):
    def __init__(self, alpha=1.0):
        print("made")
        super().__init__(alpha=alpha)

    def get_params(self, deep=True):
        print("asked")
        return {"alpha": self.alpha}

    def __sklearn_tags__(self):
        print("looked at")
        return super().__sklearn_tags__()

    def fit(self, x, y):
        print("fitted")
        return super().fit(x, y)

    def predict(self, x):
        print("predicted")
        return super().predict(x)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"{i},{i * 7 % 13}\n" for i in range(60))
    (tmp_path / "rows.csv").write_text(f"x,y\n{rows}")
    (tmp_path / "m.py").write_text(LOUD)
    (tmp_path / "s.yaml").write_text(
        "name: own\ndata: {source: rows.csv, target: y}\n"
        "search: {folds: 2, trials: 1, over: [{family: './m.py:E'}]}\n"
    )
    return tmp_path


def fairlead(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *args],
        cwd=folder,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_a_family_prints_is_not_among_the_data_of_a_command(
    folder: Path, command: str
) -> None:
    ended = fairlead(folder, command, "s.yaml", "--json")
    assert json.loads(ended.stdout)
    assert ended.returncode == 0
    assert {"imported", "made", "asked"} <= set(ended.stderr.splitlines())


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_family_that_ends_the_program_is_refused_with_its_key(folder: Path, command: str) -> None:
    over = "search.over=[{family: 'builtins:exit'}]"
    ended = fairlead(folder, command, "s.yaml", "--json", "--set", over)
    assert (ended.returncode, ended.stdout) == (2, "")
    *_, line = ended.stderr.splitlines()
    assert "search.over[0].family: family 'builtins:exit' cannot be made of {}: SystemExit" in line
