"""The set-up where the environment, the folder, the network or an interruption is against it.

The Makefile's own targets are run, on a project of two packages in a folder with a blank in its
name. Most tests share an environment; each leaves it as it was.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.setup.stub_index import Locked, StubIndex, copy_project, make, small

PYTHON = f"PYTHON={sys.executable}"
NOWHERE = "http://127.0.0.1:1/"


class Flaky(http.server.SimpleHTTPRequestHandler):
    """An index that ends its next downloads of packages in the middle."""

    drops = 0

    def do_GET(self) -> None:
        if not Flaky.drops or not self.path.endswith(".whl"):
            super().do_GET()
            return
        Flaky.drops -= 1
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
        self.close_connection = True

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> StubIndex:
    return small(tmp_path_factory.mktemp("index"))


@pytest.fixture
def project(index: StubIndex, tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    copy_project(folder, index, whole=False)
    return folder


@pytest.fixture(scope="module")
def made(index: StubIndex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was set up in spite of settings that say what is installed, and where."""
    folder = tmp_path_factory.mktemp("made") / "a project"
    copy_project(folder, index, whole=False)
    for name in ("pip", "flit_core", "json"):
        (folder / f"{name}.py").write_text("raise RuntimeError('a module of PYTHONPATH')")
    settings = folder / "home/.config/pip/pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"[global]\nindex-url = {index.url}\n[install]\nuser = true\nno-binary = :all:\n"
    )
    done = make(
        folder,
        "setup",
        PYTHON,
        PIP_TARGET=f"{folder}/elsewhere",
        PIP_CONSTRAINT=f"{folder}/no-such-file.txt",
        PYTHONPATH=str(folder),
        PYTHONHOME=str(folder),
        PYTHONOPTIMIZE="2",
        VENV=f"{folder}/elsewhere",
        VIRTUAL_ENV=f"{folder}/elsewhere",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def flaky(index: StubIndex) -> Iterator[str]:
    handler = functools.partial(Flaky, directory=str(index.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_settings_that_say_what_is_installed_and_where_change_nothing(made: Path) -> None:
    assert imported(made) == [f"{made}/src/fairlead/__init__.py", f"{site(made)}/alpha.py"]
    assert not (made / "elsewhere").exists()


def test_run_needs_nothing_after_setup(made: Path) -> None:
    again = make(made, ".venv/.run", PYTHON, PIP_INDEX_URL=NOWHERE)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_an_environment_that_was_moved_is_made_again(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "a copy"
    shutil.copytree(made, copy, symlinks=True)
    done = make(copy, "setup", PYTHON)
    assert f"making .venv again: it was made as {made}/.venv" in done.stdout, done.stderr
    assert imported(copy)[0] == f"{copy}/src/fairlead/__init__.py"


def test_an_environment_whose_installation_was_killed_is_made_again(
    project: Path, index: StubIndex
) -> None:
    begun = subprocess.Popen(["make", "setup", PYTHON], cwd=project, start_new_session=True)
    record = project / ".venv/setup.json"
    deadline = time.monotonic() + 60
    while not (record.exists() and record.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    assert json.loads(record.read_text())["changing"]
    done = make(project, "setup", PYTHON, PIP_INDEX_URL=index.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "making .venv again: its installation did not end well" in done.stdout


def test_a_folder_of_someones_is_left_alone_and_half_an_environment_is_made_again(
    project: Path, index: StubIndex
) -> None:
    mine = project / ".venv/mine.txt"
    mine.parent.mkdir()
    mine.write_text("")
    assert failure(make(project, "setup", PYTHON)).startswith("setup: .venv is in the way")

    mine.rename(project / ".venv/pyvenv.cfg")  # what an interrupted `python -m venv` leaves
    lock = project / "requirements/dev.txt"
    with changed(lock, index.lock([Locked(name="flit-core", version="1", marker="")])):
        begun = make(project, "setup", PYTHON, PIP_INDEX_URL=index.url)
    assert "making .venv again: its Python does not run, or has no pip" in begun.stdout
    assert "do not fit together: fairlead 1 requires alpha, which is not" in failure(begun)


def test_a_download_that_is_cut_short_is_tried_again_and_said_in_a_line(
    made: Path, index: StubIndex, flaky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("beta", "1", "Metadata-Version: 2.1\nName: beta\nVersion: 1\n", {})
    monkeypatch.setattr(Flaky, "drops", 1)
    few = [Locked(name=name, version="1", marker="") for name in ("flit-core", "beta")]
    with changed(made / "requirements/run.txt", index.lock(few)):
        done = make(made, ".venv/.run", PYTHON, PIP_INDEX_URL=flaky)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "; trying again in 2 s" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_package_that_the_index_lacks_is_said_in_a_line_and_not_tried_again(made: Path) -> None:
    lock = made / "requirements/run.txt"
    with changed(lock, lock.read_text().replace("alpha==1", "alpha==2")):
        done = make(made, ".venv/.run", PYTHON)
    assert failure(done).startswith(
        "setup: not installed: the package index has no alpha==2 for this Python"
    )
    assert "again in" not in done.stdout
    assert make(made, ".venv/.run", PYTHON).returncode == 0


def test_no_python_that_can_make_environments_is_said_in_a_line(project: Path) -> None:
    (project / "bin").mkdir()
    command = [shutil.which("make") or "make", "setup"]
    environ = {"PATH": f"{project}/bin"}
    done = subprocess.run(
        command, cwd=project, env=environ, capture_output=True, text=True, check=False
    )
    assert failure(done).startswith("Fairlead needs Python 3.11 or newer with ensurepip and venv")


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command that failed says, beside make's own."""
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    return line


@contextlib.contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """The file with another text, for a while."""
    before = path.read_text()
    path.write_text(text)
    yield
    path.write_text(before)


def imported(project: Path) -> list[str]:
    """Where the environment's modules come from."""
    code = "import fairlead, alpha; print(fairlead.__file__, alpha.__file__, sep='\\n')"
    command = [project / ".venv/bin/python", "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def site(project: Path) -> Path:
    (found,) = (project / ".venv/lib").glob("python*/site-packages")
    return found
