"""The command line as a process: how it begins, ends and speaks."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.cli.main import COMMANDS, NAMES
from fairlead.families import catalog
from fairlead.spec.load import load

ROOT = Path(__file__).parents[3]
RIDGE = """
name: ridge
data: {source: diabetes}
search: {method: grid, folds: 2, over: [{family: linear, params: {alpha: [1]}}]}
"""


def run(*args: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *args],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that was refused."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


# ---- help and usage -------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_lists_every_command_in_its_section(option: str) -> None:
    text = run(option).stdout
    at = [text.index(f"\n  {name} ") for name in NAMES]
    assert at == sorted(at)
    assert all(f"{section}:" in text for section in COMMANDS)
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_imports_nothing_heavy() -> None:
    heavy = (
        "numpy pandas pyarrow sklearn optuna mlflow plotly onnx pydantic rich sqlalchemy "
        "onnxruntime uvicorn uvloop msgspec prometheus_client"
    )
    program = (
        "import sys\nfrom fairlead.cli.main import main\nmain(['--help'])\n"
        f"print(sorted(set({heavy.split()!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_examples(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "\n  Example" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_unknown_command_suggests_the_nearest() -> None:
    assert said(run("rnu")) == (
        "fairlead: No such command 'rnu'. Did you mean 'run'? Try `fairlead --help`.\n"
    )


def test_an_unknown_option_suggests_the_nearest() -> None:
    line = said(run("history", "--jsn"))
    assert line.startswith("fairlead history: No such option '--jsn'. Did you mean '--json'?")


def test_an_argument_too_many_is_told_in_whole_sentences() -> None:
    assert said(run("trials", "a", "5")) == (
        "fairlead trials: Got unexpected extra argument (5). Try `fairlead trials --help`.\n"
    )


def test_the_next_command_is_named_as_this_one_was_called(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "fairlead"
    script.write_text(f"#!{sys.executable}\nfrom fairlead.cli.main import main\nmain()\n")
    script.chmod(0o755)
    for name, path, called in (("a", tmp_path, "bin/fairlead"), ("b", script.parent, "fairlead")):
        done = subprocess.run(
            ["bin/fairlead", "new", name],
            cwd=tmp_path,
            env={**os.environ, "PATH": str(path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == f"next: {called} run {name}/{name}.yaml\n"


def test_what_a_new_spec_has_as_a_comment_is_a_spec_without_its_mark(tmp_path: Path) -> None:
    assert run("new", "prices", cwd=tmp_path).returncode == 0
    path = tmp_path / "prices" / "prices.yaml"
    path.write_text(re.sub(r"(?m)^( *)# (\w+:|  )", r"\1\2", path.read_text()))
    data = load(path).spec.data
    assert (data.decimal, data.encoding, data.missing) == (",", "cp1252", ("", "?"))
    assert (data.encode, data.types) == ({"city": "onehot", "sold": "date"}, {"zip": "text"})
    assert (data.drop, data.impute) == (("id",), "median")


def test_a_list_of_nothing_says_so_and_prints_no_table(tmp_path: Path) -> None:
    done = run("token", "list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "there is no token: `fairlead token add NAME` adds one\n"
    assert run("token", "list", "--json", cwd=tmp_path).stdout == "[]\n"


def test_a_missing_argument_is_one_line() -> None:
    assert said(run("new")).startswith("fairlead new: Missing argument 'DIR'.")


def test_no_command_at_all_shows_the_help_and_fails() -> None:
    done = run()
    assert done.returncode == 2
    assert "The job:" in done.stderr


def test_the_version_is_the_package_s() -> None:
    import fairlead

    assert run("--version").stdout == f"fairlead {fairlead.__version__}\n"


# ---- errors ---------------------------------------------------------------------------------


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    assert said(run("doctor", cwd=tmp_path, FAIRLEAD_LEASE="soon")) == (
        "$FAIRLEAD_LEASE must be a number above 0 and at most 86400, not 'soon'\n"
    )


def test_a_ledger_that_cannot_be_used_is_told_with_the_setting_that_names_it(
    tmp_path: Path,
) -> None:
    other, nowhere = tmp_path / "other.db", str(tmp_path / "none.db")
    for file in (other, tmp_path / ".fairlead" / "ledger.db"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("this is no database, whatever its name says" * 9)
    assert "choose another $FAIRLEAD_HOME (" in said(run("studies", cwd=tmp_path))
    for environ in ({"FAIRLEAD_LEDGER": str(other)}, {"FAIRLEAD_LEDGER": f"sqlite:///{other}"}):
        line = said(run("studies", cwd=tmp_path, **environ))
        assert line.startswith(f"ledger {str(other)!r}: it is no SQLite file; choose another ")
        assert "another $FAIRLEAD_LEDGER (" in line
    line = said(run("studies", cwd=tmp_path, FAIRLEAD_LEDGER=nowhere))
    assert line.endswith("run a spec first, or name it with --ledger or $FAIRLEAD_LEDGER\n")


def test_an_empty_home_is_told_and_not_made(tmp_path: Path) -> None:
    line = said(run("--home", "none", "gc", cwd=tmp_path))
    assert line.startswith(f"there is no ledger in {str(tmp_path / 'none')!r}")
    assert list(tmp_path.iterdir()) == []


def crash(tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command that meets an error which nobody foresaw: a package that cannot be imported."""
    (tmp_path / "rich.py").write_text("raise RuntimeError('broken\\x1b[31m')\n")
    path = str(tmp_path)
    return run("--home", "home", "families", cwd=tmp_path, PYTHONPATH=path, **environ)


def test_an_unforeseen_error_is_one_line_and_its_traceback_is_kept(tmp_path: Path) -> None:
    done = crash(tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    (kept,) = (tmp_path / "home/logs").iterdir()
    assert done.stderr.rstrip().endswith(f"(the traceback is in {kept})")
    assert "Traceback" in kept.read_text()


def test_a_traceback_goes_elsewhere_where_home_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    (tmp_path / "tmp").mkdir()
    done = crash(tmp_path, TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 2  # a home that is a file is a wrong request
    done = run(
        "families",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
        TMPDIR=str(tmp_path / "tmp"),
        FAIRLEAD_HOME=str(tmp_path / "home"),
    )
    assert done.returncode == 1
    assert [path.name[:6] for path in (tmp_path / "tmp").iterdir()] == ["crash-"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = crash(tmp_path, FAIRLEAD_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("command", ["schema", "families", "families --json", "--help"])
def test_a_reader_that_goes_away_is_told_nothing(tmp_path: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(tmp_path / "home"), *command.split()],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == b""
    assert not (tmp_path / "home").exists()  # no traceback was kept


def test_a_pipe_of_our_own_that_breaks_is_an_error_like_others(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise BrokenPipeError(32, 'ours')\n")
    done = run("--home", "home", "families", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "ours" in done.stderr
    assert len(list((tmp_path / "home/logs").iterdir())) == 1


def test_ctrl_c_ends_a_command_quietly(tmp_path: Path) -> None:
    program = (
        "import signal, os, sys, click\n"
        "from fairlead.cli import main\nfrom fairlead.cli.commands import schema\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job has none
        "schema.command.callback = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main.main(['schema']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr.strip() == ""


# ---- new ------------------------------------------------------------------------------------


def test_a_plain_spec_is_named_after_its_folder_and_can_be_planned(tmp_path: Path) -> None:
    done = run("new", "My Prices", cwd=tmp_path)
    assert done.stdout == "My Prices/my-prices.yaml\n"
    assert done.stderr == "next: fairlead run 'My Prices/my-prices.yaml'\n"
    from fairlead.spec.load import load

    assert load(tmp_path / "My Prices/my-prices.yaml").spec.name == "my-prices"


@pytest.mark.parametrize(
    ("example", "data"),
    [
        ("boston", "boston.data"),
        ("boston-bayes", "boston.data"),
        ("california", "california.tgz"),
    ],
)
def test_an_example_comes_with_its_data(tmp_path: Path, example: str, data: str) -> None:
    assert run("new", ".", "--example", example, cwd=tmp_path).returncode == 0
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert written == {f"{example}.yaml", f"data/{data}"}
    spec = (tmp_path / f"{example}.yaml").read_bytes()
    assert spec == (ROOT / f"examples/{example}.yaml").read_bytes()
    assert (tmp_path / "data" / data).read_bytes() == (ROOT / "examples/data" / data).read_bytes()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/boston.data").write_text("mine")
    line = said(run("new", ".", "--example", "boston", cwd=tmp_path))
    assert line == "'data/boston.data' is there already; choose another folder\n"
    assert not (tmp_path / "boston.yaml").exists()


def test_a_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("new", "file/x", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("writing into 'file/x': ")


# ---- schema, families, doctor ---------------------------------------------------------------


def test_the_schema_that_is_printed_is_the_published_one() -> None:
    assert run("schema").stdout == (ROOT / "docs/spec.schema.json").read_text(encoding="utf-8")


def test_families_says_what_each_searches_by_default() -> None:
    families = json.loads(run("families", "--json").stdout)
    assert [family["family"] for family in families] == list(catalog.NAMES)
    forest = families[0]
    assert forest["installed"]
    assert forest["shares"] == "n_estimators"
    assert forest["spaces"]["regression"]["max_features"] == {"low": 0.2, "high": 1.0}


def test_a_family_without_its_library_says_what_to_install(tmp_path: Path) -> None:
    hook = (
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'catboost' else find(name, *a)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    families = json.loads(run("families", "--json", PYTHONPATH=str(tmp_path)).stdout)
    missing = next(family for family in families if family["family"] == "catboost")
    assert not missing["installed"]
    assert missing["install"] == "pip install 'fairlead[catboost]'"
    table = run("families", PYTHONPATH=str(tmp_path)).stdout
    assert "pip install 'fairlead[catboost]'" in table


def test_tables_fit_80_columns() -> None:
    for command in ("families", "doctor"):
        text = run(command, COLUMNS="").stdout
        assert max(map(len, text.splitlines())) <= 80


def checked(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_a_sound_installation_is_found_sound_and_left_alone(tmp_path: Path) -> None:
    done = run("doctor", "--json", cwd=tmp_path)
    found = checked(done)
    assert done.returncode == 0
    assert found["home"]["text"] == f"{tmp_path / '.fairlead'} (not there yet)"
    assert {"python", "numpy", "scikit-learn", "ledger", "clock", "mlflow"} <= found.keys()
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_stops_a_run() -> None:
    done = run("--home", "/proc/none", "doctor", "--json")
    assert done.returncode == 1
    assert checked(done)["home"]["state"] == "fail"


def test_a_package_that_is_too_old_stops_a_run(tmp_path: Path) -> None:
    info = tmp_path / "click-7.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: click\nVersion: 7.0\n")
    done = run("doctor", "--json", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert checked(done)["click"]["text"].startswith("7.0, and >=8.2 is needed: pip install")


def test_an_mlflow_server_that_is_away_is_a_warning(tmp_path: Path) -> None:
    uri = "http://user:secret@127.0.0.1:9"
    done = run("doctor", "--json", cwd=tmp_path, FAIRLEAD_MLFLOW_URI=uri)
    assert done.returncode == 0
    assert checked(done)["mlflow"]["state"] == "warn"
    assert "secret" not in done.stdout


def test_a_newer_ledger_stops_a_run(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    from fairlead.ledger.store import open_ledger

    open_ledger(tmp_path / "ledger.db").__exit__(None, None, None)
    assert checked(run("--home", str(tmp_path), "doctor", "--json"))["ledger"]["state"] == "ok"
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    done = run("--home", str(tmp_path), "doctor", "--json")
    assert done.returncode == 1
    assert "revision 9999 of a newer Fairlead" in checked(done)["ledger"]["text"]


def test_what_is_no_ledger_stops_a_run(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("no database at all, whatever its name says")
    done = run("--home", str(tmp_path), "doctor", "--json")
    assert done.returncode == 1
    assert checked(done)["ledger"]["state"] == "fail"


# ---- output ---------------------------------------------------------------------------------


def test_csv_and_json_are_whole_and_a_table_folds(capsys: pytest.CaptureFixture[str]) -> None:
    from fairlead.cli import output

    digest = "0123456789abcdef" * 4
    rows = [(digest, None, float("nan"), "a\x1b[31m,b"), (digest, 1, 0.123456789, "\n")]
    output.print_csv(("id", "n", "x", "text"), rows)
    read = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert read[0] == ["id", "n", "x", "text"]
    assert read[1][:2] == [digest, ""]
    output.print_json({"rows": rows, "path": Path("a")})
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0][:3] == [digest, None, None]
    assert found["path"] == "a"
    output.print_table(("id", "n", "x", "text"), rows)
    table = capsys.readouterr().out
    assert "\x1b" not in table
    assert digest in "".join(line.split(" ")[0] for line in table.splitlines()[2:4])


def test_a_table_breaks_no_name_to_make_room_for_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fairlead.cli import output

    why = "`fairlead undo boston-prices` said why " * 4
    output.print_table(("model", "champion", "why"), [("boston-prices", 1, why)])
    table = capsys.readouterr().out
    assert max(map(len, table.splitlines())) <= 80
    words = table.split()
    assert words.count("boston-prices") + words.count("boston-prices`") == 5
    assert "champion" in words


def test_a_table_has_no_blanks_around_it_and_keeps_times_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fairlead.cli import output
    from fairlead.cli.output import minute
    from fairlead.formatting import utc

    at = 1_795_243_419.0
    assert (minute(at), utc(at)) == ("2026-11-21 06:43", "2026-11-21T06:43:39Z")
    output.print_table(("name", "when"), [("long " * 30, minute(at))], unfolded=("when",))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert all(lines)
    assert lines[2].endswith("2026-11-21 06:43")
    assert max(map(len, lines)) <= 80


def test_closed_streams_are_no_crash(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = f"{sys.executable} -m fairlead --home {home} families <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert not home.exists()


def test_a_width_that_is_no_number_is_no_crash(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fairlead", "--home", str(tmp_path), "families"]
    done = subprocess.run(
        command, env={**os.environ, "COLUMNS": "\u00b2"}, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert b"random_forest" in done.stdout
    assert b"Error" not in done.stderr


# ---- what no command can help ---------------------------------------------------------------


@pytest.mark.parametrize("args", [("families", "--json"), ("schema",)])
def test_where_stdout_has_no_room_one_line_says_so(args: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fairlead", *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "the disk, or where stdout goes, is full: No space left on device; free some space\n"
    )


def test_arguments_that_no_ledger_can_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ridge.yaml").write_text(RIDGE)
    environ = {"FAIRLEAD_HOME": str(tmp_path / "home"), "FAIRLEAD_MLFLOW_URI": "none"}
    assert run("run", "ridge.yaml", cwd=tmp_path, **environ).returncode == 0
    odd = os.fsdecode(b"\xff")
    assert "not UTF-8" in said(run("trials", odd, **environ))
    assert "not UTF-8" in said(run("history", odd, **environ))
    assert "is no version" in said(run("promote", "ridge", "9" * 20, "--why", "it", **environ))
    assert "is no version" in said(run("reproduce", "ridge", "9" * 5_000, **environ))
    assert "'--output': it is empty" in said(run("report", "ridge", "--output", "", **environ))
    assert "'--home': it is empty" in said(run("--home", "", "studies", **environ))
    assert list((tmp_path / "home" / "logs").glob("crash-*")) == []
