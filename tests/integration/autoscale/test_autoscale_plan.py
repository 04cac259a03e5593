"""`fairlead autoscale --plan LOAD.yaml`: what is read, what is printed, and what is refused."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fairlead.cli.main import commands

LOAD = """\
startup: 3
max: 8
cooldown: 30
arrivals:
  - {at: 5, tasks: 24, seconds: 20s}
  - {at: 200, tasks: 5, seconds: 8, study: other}
"""


def plan(folder: Path, text: str, *args: str) -> Result:
    file = folder / "load.yaml"
    file.write_text(textwrap.dedent(text))
    home = ["--home", str(folder / "home")]
    return asked(*home, "autoscale", "--plan", str(file), *args)


def asked(*args: str) -> Result:
    """What a command ends with is its `return_value`: None, or the status of a refusal."""
    return CliRunner().invoke(commands, args, standalone_mode=False)


def test_a_described_load_is_replayed_to_the_letter(tmp_path: Path) -> None:
    done = plan(tmp_path, LOAD)
    assert done.exit_code == 0, done.output
    golden = Path(__file__).parent / "replayed.txt"
    assert done.output == golden.read_text()
    assert not (tmp_path / "home").exists()


def test_as_json_it_is_one_value(tmp_path: Path) -> None:
    told = json.loads(plan(tmp_path, LOAD, "--json").output)
    assert (told["tasks"], told["done"], told["most"]) == (29, 29, 6)
    assert {"makespan", "worker_seconds", "idle", "decisions"} < {*told}
    first = told["decisions"][1]
    assert (first["at"], first["cause"], first["start"]) == (5.0, "work", 4)


def test_options_go_before_what_the_file_says(tmp_path: Path) -> None:
    told = json.loads(plan(tmp_path, LOAD, "--json", "--max", "2", "--cooldown", "0").output)
    assert told["most"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; known keys: arrivals, startup, min"),
        ("- 1", ":1:1: a load is a mapping (arrivals, startup"),
        ("max: 3", ":1:1: arrivals is missing: a list of what comes"),
        ("arrivals: []", ":1:11: arrivals must not be empty"),
        ("arrivals: [{tasks: 0, seconds: 1}]", ":1:20: arrivals[0].tasks must be at least 1"),
        ("arrivals: [{tasks: 1}]", ":1:12: arrivals[0].seconds is missing: how long each"),
        (
            "arrivals: [{tasks: 1, second: 1}]",
            ":1:23: arrivals[0].second is not known; did you mean 'seconds'?",
        ),
        ("arrivals: [{tasks: 1, seconds: soon}]", "must be seconds, or a time such as 90s"),
        ("arrivals: [{tasks: 1, seconds: 1}]\nmaximum: 2", ":2:1: maximum is not known"),
        ("arrivals: [{tasks: 1, seconds: 1}]\nmin: 1.5", ":2:6: min must be a whole number"),
        ("arrivals: [", "not YAML"),
    ],
    ids=[
        "empty",
        "list",
        "missing",
        "none",
        "no tasks",
        "no seconds",
        "misspelled",
        "words",
        "unknown",
        "half a worker",
        "no YAML",
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    refused = plan(tmp_path, text)
    assert refused.return_value == 2
    assert refused.output.count("\n") == 1
    assert said in refused.output
    assert refused.output.startswith(str(tmp_path / "load.yaml"))


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    refused = asked("autoscale", "--plan", str(tmp_path / "none.yaml"))
    assert refused.return_value == 2
    assert "there is no such file" in refused.output


def test_more_tasks_than_are_simulated_are_refused(tmp_path: Path) -> None:
    refused = plan(tmp_path, "arrivals: [{tasks: 60000, seconds: 1}, {tasks: 60000, seconds: 1}]")
    assert refused.return_value == 2
    assert "120,000 tasks come; a load has 100,000 at most" in refused.output
