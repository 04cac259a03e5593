"""Promises of the mirror, kept by MLflow's own client and a real database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import onnx
import pytest

from fairlead.registry.mlflow import (
    OFF,
    State,
    catch_up,
    model_folder,
    start_mirror,
    without_password,
)

if TYPE_CHECKING:
    from tests.integration.registry.conftest import Workshop

MODEL = "prices"
AWAY = "http://127.0.0.1:9"  # discard: nothing listens there

# A process of its own, as everything that imports MLflow, for all tests: importing takes seconds.
_CLIENT = """
import json, os, sys
import mlflow
from mlflow import MlflowClient
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    uri, folder, do = json.loads(line)
    os.chdir(folder)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    exec(do)
    found = sorted(client.search_model_versions("name = 'prices'"), key=lambda v: int(v.version))
    print(json.dumps({
        "versions": [[int(v.version), dict(v.tags), v.source] for v in found],
        "aliases": {
            alias: int(version)
            for alias, version in client.get_registered_model("prices").aliases.items()
        } if found else {},
    }), file=answers, flush=True)
"""


class Client:
    """MLflow's own client, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, workshop: Workshop, do: str = "") -> Any:
        """What it sees, after it did something."""
        return self.ask(workshop.settings.mlflow_uri, workshop.settings.home, do)

    def ask(self, uri: str, folder: Path, do: str = "") -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([uri, str(folder), do]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def mlflow() -> Iterator[Client]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _CLIENT],
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Client(process)  # it ends with its input


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory, mlflow: Client) -> Path:
    """MLflow's database without a model: its tables take seconds to make."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.ask(f"sqlite:///{file}", file.parent)
    return file


@pytest.fixture
def mirrored(workshop: Workshop, empty_registry: Path) -> Workshop:
    """A workshop whose MLflow registry has its tables already."""
    shutil.copy(empty_registry, workshop.settings.home / "mlflow.db")
    return workshop


def test_mlflow_shows_the_versions_and_the_champion(workshop: Workshop, mlflow: Client) -> None:
    for error in (0.5, 0.0, 2.0):
        workshop.consider(workshop.version(error))
    state = catch_up(workshop.settings, workshop.ledger)
    assert (state.pending, state.note) == (0, None)
    seen = mlflow(workshop)
    assert [version for version, _, _ in seen["versions"]] == [1, 2, 3]
    assert seen["aliases"] == {"champion": 2}
    _, tags, source = seen["versions"][1]
    version = workshop.ledger.versions.get(MODEL, 2)
    assert tags["fairlead.manifest"] == version.manifest
    assert tags["fairlead.study"] == version.study
    assert (tags["fairlead.metric"], tags["fairlead.version"]) == ("mse", "2")
    model = workshop.registry.candidate(version).files["model.onnx"]
    folder = workshop.settings.home / "mlflow" / MODEL / "v2"
    assert Path(urlparse(source).path) == folder.resolve()
    assert (folder / "model.onnx").samefile(workshop.registry.artifacts.path(model.digest))


_LOAD = """
mlflow.set_registry_uri(uri)
model = mlflow.onnx.load_model("models:/prices@champion")
with open("loaded.onnx", "wb") as file:
    file.write(model.SerializeToString())
"""


def test_mlflow_loads_the_champion(mirrored: Workshop, mlflow: Client) -> None:
    version = mirrored.version(0.0)
    mirrored.consider(version)
    catch_up(mirrored.settings, mirrored.ledger)
    file = mirrored.registry.candidate(version).files["model.onnx"]
    kept = mirrored.registry.artifacts.path(file.digest)
    content = kept.read_bytes()
    kept.unlink()  # the folder outlives it
    mlflow(mirrored, _LOAD)
    loaded = onnx.load_model(mirrored.settings.home / "loaded.onnx")
    assert loaded == onnx.load_model_from_string(content)


def test_a_folder_that_was_made_is_left_as_it_is_and_half_a_folder_is_made_again(
    workshop: Workshop, tmp_path: Path
) -> None:
    version, root = workshop.version(0.0), tmp_path / "folders"
    file = workshop.registry.candidate(version).files["model.onnx"]
    source = workshop.registry.artifacts.path(file.digest)
    folder = model_folder(root, version, source)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {"MLmodel", "model.onnx"}
    assert model_folder(root, version, source) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    (folder / "MLmodel").unlink()
    model_folder(root, version, source)
    assert {path.name for path in folder.iterdir()} == {"MLmodel", "model.onnx"}
    assert [path.name for path in (root / MODEL).iterdir()] == ["v1"]


def test_the_alias_follows_a_rollback(mirrored: Workshop, mlflow: Client) -> None:
    for error in (0.5, 0.0):
        mirrored.consider(mirrored.version(error))
    catch_up(mirrored.settings, mirrored.ledger)
    mirrored.registry.rollback(MODEL, why="worse on Monday")
    catch_up(mirrored.settings, mirrored.ledger)
    assert mlflow(mirrored)["aliases"] == {"champion": 1}


def test_a_registry_that_is_away_delays_the_alias_and_loses_nothing(
    mirrored: Workshop, mlflow: Client
) -> None:
    mirrored.consider(mirrored.version(0.0))
    away = replace(mirrored.settings, mlflow=AWAY)
    started = time.monotonic()
    state = catch_up(away, mirrored.ledger)
    assert time.monotonic() - started < 60
    assert state.pending == 2
    assert state.note is not None
    assert "127.0.0.1:9" in state.note
    assert "\n" not in state.note
    assert catch_up(mirrored.settings, mirrored.ledger) == State(
        uri=mirrored.settings.mlflow_uri, pending=0
    )
    seen = mlflow(mirrored)
    assert (len(seen["versions"]), seen["aliases"]) == (1, {"champion": 1})


def test_what_was_told_before_a_crash_is_not_told_twice(mirrored: Workshop, mlflow: Client) -> None:
    mirrored.consider(mirrored.version(0.0))
    entries = mirrored.ledger.outbox.pending()
    script = (
        "from fairlead.registry import mlflow\n"
        "from fairlead.ledger.versions import SqlOutbox\n"
        "def die(*_): raise SystemExit(9)\n"
        "SqlOutbox.sent = die\n"
        f"mlflow.main(['--home', {str(mirrored.settings.home)!r}])\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    assert subprocess.run(command, timeout=120, check=False).returncode == 9
    assert list(mirrored.ledger.outbox.pending()) == list(entries)
    assert catch_up(mirrored.settings, mirrored.ledger).pending == 0
    assert [version for version, _, _ in mlflow(mirrored)["versions"]] == [1]


def test_versions_that_others_registered_are_told_apart_by_their_tags(
    mirrored: Workshop, mlflow: Client
) -> None:
    mlflow(
        mirrored,
        "client.create_registered_model('prices');"
        "client.create_model_version('prices', source='s3://elsewhere/model')",
    )
    mirrored.consider(mirrored.version(0.0))
    catch_up(mirrored.settings, mirrored.ledger)
    seen = mlflow(mirrored)
    assert seen["aliases"] == {"champion": 2}
    assert seen["versions"][1][1]["fairlead.version"] == "1"


def test_a_champion_that_somebody_deleted_from_mlflow_is_registered_again(
    mirrored: Workshop,
    mlflow: Client,
) -> None:
    mirrored.version(0.0)
    catch_up(mirrored.settings, mirrored.ledger)
    mlflow(mirrored, "client.delete_model_version('prices', '1')")
    mirrored.registry.promote(MODEL, 1, why="x")
    catch_up(mirrored.settings, mirrored.ledger)
    seen = mlflow(mirrored)
    assert [tags["fairlead.version"] for _, tags, _ in seen["versions"]] == ["1"]
    assert list(seen["aliases"]) == ["champion"]


def test_a_damaged_version_does_not_hold_up_those_after_it(
    mirrored: Workshop, mlflow: Client
) -> None:
    damaged, sound = mirrored.version(1.0), mirrored.version(0.0)
    path = mirrored.registry.artifacts.path(damaged.manifest)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    mirrored.registry.promote(MODEL, sound.number, why="x")
    assert catch_up(mirrored.settings, mirrored.ledger).pending == 0
    seen = mlflow(mirrored)
    assert seen["aliases"] == {"champion": 2}
    assert seen["versions"][0][2] == f"fairlead:///sha256/{damaged.manifest}"


def test_four_mirrors_at_once_tell_everything_once(workshop: Workshop, mlflow: Client) -> None:
    for error in (0.5, 0.0):
        workshop.consider(workshop.version(error))
    home = str(workshop.settings.home)
    command = [sys.executable, "-W", "ignore", "-m", "fairlead.registry.mlflow", "--home", home]
    mirrors = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [mirror.communicate(timeout=120)[1] for mirror in mirrors]
    assert [mirror.returncode for mirror in mirrors] == [0, 0, 0, 0], said
    assert [version for version, _, _ in mlflow(workshop)["versions"]] == [1, 2]


def test_a_mirror_in_the_background_tells_everything_and_holds_no_pipe(
    mirrored: Workshop,
    mlflow: Client,
) -> None:
    mirrored.consider(mirrored.version(0.0))
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from fairlead.registry.mlflow import start_mirror\n"
        "from fairlead.settings import Settings\n"
        "start_mirror(Settings(home=Path(sys.argv[1])))\n"
    )
    command = [sys.executable, "-c", script, str(mirrored.settings.home)]
    started = time.monotonic()
    ended = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == (b"", b"")
    # The pipes were closed when the starter ended: nothing waited for the mirror.
    assert mirrored.ledger.outbox.pending() or time.monotonic() - started < 60
    _until(lambda: not mirrored.ledger.outbox.pending())
    log = mirrored.settings.logs / "mirror.log"
    _until(lambda: "received 2 entries" in log.read_text())
    assert mlflow(mirrored)["aliases"] == {"champion": 1}


def test_a_mirror_that_is_turned_off_is_not_started(workshop: Workshop) -> None:
    workshop.consider(workshop.version(0.0))
    off = replace(workshop.settings, mlflow=OFF)
    start_mirror(off)
    assert catch_up(off, workshop.ledger) == State(uri=OFF, pending=0)
    assert not workshop.settings.logs.exists()
    assert len(workshop.ledger.outbox.pending()) == 2


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:secret@db:5432/mlflow", "postgresql://me:***@db:5432/mlflow"),
        ("https://mlflow.example.org", "https://mlflow.example.org"),
        ("https://me:s@cret@host/x", "https://me:***@host/x"),
        ("sqlite:////srv/a:b@c.db", "sqlite:////srv/a:b@c.db"),
    ],
)
def test_a_password_in_the_uri_is_never_shown(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


def _until(done: Any, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
