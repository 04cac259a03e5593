"""Children that a fork server forks are as those that are programs of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.children import children_with

from fairlead.data import store
from fairlead.errors import Failed, InvalidSpec
from fairlead.records import CacheFolder, TaskKind, Trial
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.stores import open_artifacts
from fairlead.study import plan as plans
from fairlead.training.check import FamiliesToCheck, check_families
from fairlead.worker import forkserver
from fairlead.worker.check import check_in_child
from fairlead.worker.forkserver import ForkedProcess
from fairlead.worker.messages import Began, Refitted, TaskRequest, TrialsScored
from fairlead.worker.process import Child

pytestmark = pytest.mark.skipif(not forkserver.supported(), reason="only Linux can")
SPEC = """
name: all
data: {{source: diabetes}}
search:
  method: random
  folds: 2
  trials: 2
  threads: {threads}
  over: [{{family: {family}, params: {{}}}}]
promote: {{when: never}}
"""


def waited(condition: Callable[[], Any], *, seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not become true within {seconds:g} s")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with forkserver.started(tmp_path_factory.mktemp("home")) as path:
        assert path is not None
        yield path


def requested(folder: Path, family: str, *, threads: int = 1) -> TaskRequest:
    """One trial of a study whose table is among the artefacts of the home in this folder."""
    (folder / "all.yaml").write_text(SPEC.format(family=family, threads=threads))
    loaded = load(folder / "all.yaml", sets=())
    settings = Settings(home=folder / "home")
    plan = plans.make(loaded.spec, base=loaded.base, settings=settings)
    artifacts = open_artifacts(settings)
    return TaskRequest(
        token=1,
        kind="trials",
        study="s",
        spec=plans.canonical(plan.spec),
        table=store.save(plan.table, artifacts),
        sources={},
        trials=(Trial(number=0, family=family, params={}),),
    )


def scored(folder: Path, family: str, server: str | None, *, threads: int = 1) -> Any:
    """The scores that a child gives, and whether it was forked."""
    request = requested(folder, family, threads=threads)
    settings = Settings(home=folder / "home")
    child = Child(
        artifacts=settings.artifacts_url,
        cache=settings.artifacts_cache,
        threads=threads,
        forkserver=server,
    )
    try:
        child.send(request)
        answers = []
        while not answers or isinstance(answers[-1], Began):
            child.wait(120)
            answers.append(waited(child.answer))
        assert isinstance(answers[-1], TrialsScored), answers
        return answers[-1].results[0].scores, isinstance(child._process, ForkedProcess)
    finally:
        child.end()


@pytest.mark.parametrize(
    "family",
    ["random_forest", "linear", "xgboost", "lightgbm", "catboost"]
    + [f"sklearn.ensemble:{name}" for name in ("HistGradientBoostingRegressor",)],
)
def test_a_fit_in_a_forked_child_scores_what_it_does_in_a_program_of_its_own(
    tmp_path: Path, server: str, family: str
) -> None:
    assert scored(tmp_path, family, server) == (scored(tmp_path, family, None)[0], True)


def test_a_child_with_several_threads_is_a_program_of_its_own(tmp_path: Path, server: str) -> None:
    assert scored(tmp_path, "linear", server, threads=2)[1] is False


def forked(server: str, folder: Path) -> tuple[Child, psutil.Process]:
    child = Child(
        artifacts=str(folder), cache=CacheFolder(path=str(folder)), threads=1, forkserver=server
    )
    waited(lambda: child.exit_status() is None and child._process.pid)
    assert child._process.pid is not None
    return child, psutil.Process(child._process.pid)


def test_a_forked_child_ends_as_its_worker_wants_it(tmp_path: Path, server: str) -> None:
    child, process = forked(server, tmp_path)
    child.end()
    assert child._process.poll() == -signal.SIGKILL
    assert not process.is_running()


def test_what_ended_a_forked_child_is_known(tmp_path: Path, server: str) -> None:
    for number in (signal.SIGTERM, signal.SIGABRT):
        child, process = forked(server, tmp_path)
        process.send_signal(number)
        assert waited(child.exit_status) == -number
        child.end()


def test_a_forked_child_has_the_memory_streams_and_surroundings_of_its_own(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKED_FOR", "this test")
    monkeypatch.chdir(tmp_path)
    child, process = forked(server, tmp_path)
    waited(lambda: process.cwd() == str(tmp_path))
    assert (child.memory() or 0) > 10 << 20
    assert os.getpgid(process.pid) == process.pid
    held = [str(one.readlink()) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert sum("socket" in one for one in held) == 1
    assert process.name() == "fairlead-child"
    child.end()


WORKER = """
import sys, time
from fairlead.records import CacheFolder
from fairlead.worker.process import Child
child = Child(artifacts=".", cache=CacheFolder(path="."), threads=1, forkserver=sys.argv[1])
while child.exit_status() is None and child._process.pid is None:
    time.sleep(0.01)
print(child._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_forked_child_dies_with_its_worker(server: str, number: signal.Signals) -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER, server], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    process = psutil.Process(int(worker.stdout.readline()))
    worker.send_signal(number)
    worker.wait()
    waited(lambda: not process.is_running(), seconds=5)
    worker.stdout.close()


def test_children_die_with_the_server_and_the_next_is_a_program_of_its_own(tmp_path: Path) -> None:
    with forkserver.started(tmp_path) as path:
        assert path is not None
        child, process = forked(path, tmp_path)
        process.parent().kill()  # type: ignore[union-attr] # the server, which is there
        assert waited(child.exit_status) == -signal.SIGKILL
        assert not child.refused
        child.end()
        waited(lambda: not process.is_running(), seconds=5)
        following = Child(
            artifacts=str(tmp_path),
            cache=CacheFolder(path=str(tmp_path)),
            threads=1,
            forkserver=path,
        )
        assert not isinstance(following._process, ForkedProcess)
        following.end()
    assert not Path(path).exists()


def test_a_server_ends_with_its_owner(tmp_path: Path) -> None:
    owner = f"""
import time
from pathlib import Path
from fairlead.training.check import FamiliesToCheck, check_families
from fairlead.worker import forkserver
from fairlead.worker.check import check_in_child
with forkserver.started(Path({str(tmp_path)!r})) as path:
    print(path, flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE)
    assert process.stdout is not None
    path = process.stdout.readline().decode().strip()
    (served,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    process.stdout.close()
    waited(lambda: not served.is_running(), seconds=60)
    assert not Path(path).parent.exists()


def test_where_its_socket_would_have_too_long_a_path_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(forkserver.VARIABLE, raising=False)
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with forkserver.started(tmp_path) as path:
        assert path is None
    assert list(folder.iterdir()) == []


def test_a_worker_may_let_go_of_a_child_in_the_moment_in_which_it_ends(tmp_path: Path) -> None:
    with forkserver.started(tmp_path) as path:
        assert path is not None
        for _ in range(20):
            child, process = forked(path, tmp_path)
            server = process.parent()
            child.finish()
            waited(lambda one=process: not one.is_running(), seconds=5)
        assert server is not None
        assert server.is_running()
        following, _ = forked(path, tmp_path)
        assert following.forked
        following.end()


def asked(
    name: str, source: str = "", *, to_export: bool = False, **params: object
) -> FamiliesToCheck:
    sources = {name: source.encode()} if source else {}
    return FamiliesToCheck(
        names=(name,),
        params=(params,),
        texts=({},),
        whole=({name: (0, 1) for name in params if name == "alpha"},),
        sources=sources,
        task="regression",
        to_export=to_export,
    )


OWN = "./own.py:E"
RIDGE = "from sklearn.linear_model import Ridge\nclass E(Ridge):\n    pass\n"
CHECKED = [
    asked("random_forest", n_estimators=10, max_features=0.5),
    asked("random_forest", n_estimator=10),
    asked("random_forest", n_estimators=-1),
    asked("sklearn.linear_model:LogisticRegression"),
    asked("nosuch.module:E"),
    asked(OWN, RIDGE, to_export=True, alpha=0.5),
    asked(OWN, RIDGE.replace("pass", "def fit(self, x, y): return self"), to_export=True),
    asked(OWN, "raise ValueError('not today')"),
]


@pytest.mark.parametrize("families", CHECKED)
def test_a_forked_child_checks_families_as_this_process_does(
    tmp_path: Path, server: str, families: FamiliesToCheck
) -> None:
    def said(check: Callable[[], tuple[str, ...]]) -> object:
        try:
            return check()
        except InvalidSpec as error:
            return str(error)

    settings = Settings(home=tmp_path / "home")
    here = said(lambda: check_families(families))
    assert said(lambda: check_in_child(families, settings, server)) == here
    assert not settings.home.exists()


def test_what_a_checked_family_prints_is_passed_on(
    tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    families = asked(OWN, "print('imported')\n" + RIDGE)
    assert check_in_child(families, Settings(home=tmp_path), server) == ()
    assert capsys.readouterr().err == "imported\n"


def test_a_child_belongs_to_no_gang_that_its_surroundings_name(
    tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Platforms for training set TF_CONFIG; TensorFlow would wait for the processes in it."""
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["elsewhere:1", "elsewhere:2"]}}')
    families = asked(OWN, "import os; print(os.environ.get('TF_CONFIG'))\n" + RIDGE)
    assert check_in_child(families, Settings(home=tmp_path), server) == ()
    assert capsys.readouterr().err == "None\n"


SOCKETS = r"""
import os, stat, time

def sockets():
    names = [name for name in os.listdir("/proc/self/fd") if int(name) > 2]
    there = [int(name) for name in names if os.path.exists(f"/proc/self/fd/{name}")]
    return [number for number in there if stat.S_ISSOCK(os.stat(number).st_mode)]

def send(text):
    for number in sockets():
        os.write(number, text.encode() + b"\n")
    time.sleep(600)
"""
BROKE = "broke the connection to its process"
HOSTILE = {
    "print('so long', flush=True); os._exit(3)": (
        "ended its process with status 3; it last printed: so long"
    ),
    "time.sleep(600) if os.fork() == 0 else os._exit(3)": "ended its process with status 3",
    "os.abort()": "ended its process with status -6",
    "os.closerange(3, 50); time.sleep(600)": BROKE,
    "send('rubbish')": BROKE,
    "send('1')": BROKE,
    """send('{"is": "StudyReady", "study": "s"}')""": BROKE,
}


def is_child(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "fairlead-child" and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("body", HOSTILE)
def test_a_family_that_breaks_the_process_of_its_check_is_refused(
    tmp_path: Path, body: str
) -> None:
    with forkserver.started(tmp_path) as path:
        assert path is not None
        families = asked(OWN, f"{SOCKETS}\n{body}\n")
        with pytest.raises(InvalidSpec, match=r"^search.over: a family ") as caught:
            check_in_child(families, Settings(home=tmp_path), path)
        assert HOSTILE[body] in str(caught.value)
        (served,) = children_with(str(tmp_path))
        waited(lambda: not any(map(is_child, served.children(recursive=True))), seconds=20)


def test_what_a_checked_family_leaves_running_is_ended(tmp_path: Path, server: str) -> None:
    left = tmp_path / "left"
    fork = f"""
import os, time
if not (pid := os.fork()):
    time.sleep(600)
open({str(left)!r}, 'w').write(str(pid))
"""
    assert check_in_child(asked(OWN, fork + RIDGE), Settings(home=tmp_path), server) == ()
    waited(lambda: not psutil.pid_exists(int(left.read_text())), seconds=5)


def test_the_end_of_the_fork_server_is_no_fault_of_the_spec(tmp_path: Path) -> None:
    kill = """
import os, signal
if b'fairlead.worker.forkserver' in open(f'/proc/{os.getppid()}/cmdline', 'rb').read():
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
"""
    with forkserver.started(tmp_path) as path:
        assert path is not None
        assert check_in_child(asked(OWN, kill + RIDGE), Settings(home=tmp_path), path) == ()


def test_a_check_that_is_killed_twice_is_a_failure(tmp_path: Path, server: str) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(Failed, match="killed twice"):
        check_in_child(asked(OWN, kill), Settings(home=tmp_path), server)


THREADED = """
import threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""


def test_where_a_server_may_not_fork_the_check_is_a_program_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(THREADED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with forkserver.started(tmp_path) as path:
        assert path is not None
        assert check_in_child(asked("linear"), Settings(home=tmp_path), path) == ()


def test_a_server_that_is_stopped_ends_with_its_owner(tmp_path: Path) -> None:
    with forkserver.started(tmp_path) as path:
        assert path is not None
        child, process = forked(path, tmp_path)
        served = process.parent()
        assert served is not None
        served.suspend()
    assert not served.is_running()
    waited(lambda: not process.is_running(), seconds=5)
    child.end()


def test_what_a_task_needs_is_loaded_before_it_begins(tmp_path: Path, server: str) -> None:
    """So that its limit of time counts none of it: for trials after a refit, too."""
    began: list[str] = []
    request = requested(tmp_path, "linear")
    settings = Settings(home=tmp_path / "home")
    child = Child(
        artifacts=settings.artifacts_url,
        cache=settings.artifacts_cache,
        threads=1,
        forkserver=server,
    )
    kinds: tuple[TaskKind, ...] = ("refit", "trials", "refit", "trials")
    for kind in kinds:
        child.send(replace(request, kind=kind))
        while True:
            child.wait(120)
            answer = waited(child.answer)
            if not isinstance(answer, Began):
                break
            began.append(kind)
        assert isinstance(answer, TrialsScored | Refitted), answer
    child.end()
    assert began == ["refit", "trials"]  # the folds are prepared for the first trials


SHOWS_MODULES = "import sys\nprint('skops.io' in sys.modules)\n" + RIDGE


def test_once_a_worker_has_no_task_the_server_imports_what_a_refit_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_loaded() -> bool:
        check_in_child(asked(OWN, SHOWS_MODULES), Settings(home=tmp_path), path)
        return capsys.readouterr().err == "True\n"

    with forkserver.started(tmp_path / "home") as path:
        assert path is not None
        assert not is_loaded()
        forkserver.tell_idle(path)
        assert waited(is_loaded)
