"""Fairlead's processes, forked from one that has the libraries imported, not started anew.

Most of what the tests cost is importing scikit-learn and its like in one process after another.
A server is a process without work of its own: it imports what INSTALLED names, nothing of Fairlead,
and waits. Where `subprocess` would start `python -m fairlead...`, the server forks instead, and the
fork gets what a new program gets: its arguments (also as `ps` shows them), environment, folder,
file descriptors, signals and session, and whoever asked as its parent, so that waiting for it and
killing it are the system's. Then it imports and runs the module as `python -m` does.

A forked command may start processes itself: it has a server of its own, forked before it runs.

What a fork cannot be is a new interpreter all the same: `new_interpreter` says of what. This file
is run as a program, too: by its path, without `tests`.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

INSTALLED = (
    "alembic.command", "click", "httptools", "jinja2", "msgspec", "numpy", "onnx", "onnxruntime",
    "optuna", "pandas", "plotly", "psutil", "pyarrow.parquet", "pydantic", "rich", "ruamel.yaml",
    "scipy.optimize", "scipy.stats", "skl2onnx", "sklearn.compose", "sklearn.ensemble",
    "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline", "skops.io", "sqlalchemy",
    "threadpoolctl", "urllib3", "uvicorn", "uvloop",
)  # fmt: skip
LATER = {
    "fairlead.registry.mlflow": (
        "mlflow", "mlflow.onnx", "mlflow.store.model_registry.sqlalchemy_store",
        "mlflow.store.tracking.sqlalchemy_store",
    )
}  # fmt: skip
"""What a module needs besides, imported when it is first asked for: few test processes do."""

LEAVES = {"fairlead.worker.child", "fairlead.serving.process"}  # they start no processes
NEW = {"fairlead.serving.check"}  # limits its memory: what was imported before would count
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "COVERAGE_")
APPLIED = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", *THREADS}
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_HIGH = 500  # file descriptors from here on are ours
_ROOM = 8_000  # bytes of arguments that a fork may have


@dataclass(frozen=True, kw_only=True)
class Request:
    """A process to fork."""

    argv: list[str]
    environ: dict[str, str]
    folder: str
    targets: list[int]  # the numbers of the file descriptors that come with it
    session: bool
    ignored: list[int]  # signals
    blocked: list[int]

    @property
    def module(self) -> str:
        return self.argv[self.argv.index("-m") + 1]


# ---- who asks -------------------------------------------------------------------------------


class Client:
    """Has a server fork what `subprocess` would start, where a fork can be it."""

    forks = True  # else all are new interpreters

    def __init__(self, connection: socket.socket, environ: Mapping[str, str]) -> None:
        self._connection = connection
        self._environ = _read_at_start(environ)
        self._lock = threading.Lock()
        self._exec: Any = None
        self._process = os.getpid()  # a fork of it has no server

    def install(self) -> None:
        self._exec = subprocess._fork_exec  # type: ignore[attr-defined]
        subprocess._fork_exec = self._start  # type: ignore[attr-defined]

    def uninstall(self) -> None:
        subprocess._fork_exec = self._exec  # type: ignore[attr-defined]

    def _start(self, *given: Any) -> int:
        request, descriptors = self._request(*given)
        if request is None:
            return int(self._exec(*given))
        with self._lock:
            _reap_orphans(on=True)
            try:
                _send(self._connection, request.__dict__, descriptors)
                return int(_received(self._connection)[0]["pid"])
            finally:
                _reap_orphans(on=False)

    def _request(self, *given: Any) -> tuple[Request | None, list[int]]:
        argv, executables, close, keep, folder, environ, *streams = given[:12]
        reading, _, _, writing, _, errors = streams  # the ends that are the new process's
        _, report, restore, session, group, *identity, before, _ = given[12:]
        argv = [os.fsdecode(word) for word in argv]
        asked = _environment(environ)
        plain = close and restore and group == -1 and before is None
        plain = plain and identity[:3] == [None, None, None] and identity[3] < 0
        if (
            not (plain and self.forks)
            or os.getpid() != self._process
            or os.fsdecode(executables[0]) != sys.executable
            or new_interpreter(argv, asked, self._environ)
        ):
            return None, []
        own = {0: reading, 1: writing, 2: errors}
        placed = {target: target if own[target] == -1 else own[target] for target in own}
        placed |= {number: number for number in keep if number != report}
        request = Request(
            argv=argv,
            environ=asked,
            folder=str(Path(os.fsdecode(folder or ".")).absolute()),
            targets=list(placed),
            session=bool(session),
            ignored=_ignored(),
            blocked=[int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        )
        return request, list(placed.values())


def new_interpreter(
    argv: Sequence[str], asked: Mapping[str, str], server: Mapping[str, str]
) -> bool:
    """Whether only a new interpreter can be this program.

    Args:
        argv: Its arguments.
        asked: Its environment.
        server: What the server's interpreter read of its environment.
    """
    rest = list(argv[1:])
    while rest and rest[0] in {"-P", "-W"}:
        del rest[: 1 + (rest[0] == "-W")]
    if len(rest) < 2 or rest[0] != "-m" or not rest[1].startswith("fairlead") or rest[1] in NEW:
        return True
    return _read_at_start(asked) != server or sum(map(len, argv)) > _ROOM // 2


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are read once, by the interpreter or a library."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(READ_AT_START) and name not in APPLIED
    }


def _environment(listed: Sequence[bytes] | None) -> dict[str, str]:
    if listed is None:
        return dict(os.environ)
    pairs = (os.fsdecode(one).partition("=") for one in listed)
    return {name: value for name, _, value in pairs}


def _ignored() -> list[int]:
    """What a new program would ignore, too; Python itself ignores SIGPIPE, and restores it."""
    python = {signal.SIGPIPE, signal.SIGXFSZ}
    return [
        int(one)
        for one in signal.valid_signals() - python
        if signal.getsignal(one) == signal.SIG_IGN
    ]


def _reap_orphans(*, on: bool) -> None:
    """A fork of the server's fork becomes a child of whoever asked for it."""
    ctypes.CDLL(None).prctl(_SUBREAPER, int(on), 0, 0, 0)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """While this is open, processes of Fairlead are forked from a server."""
    ours, theirs = socket.socketpair()
    environ = {**os.environ, **dict.fromkeys(THREADS, "1")}
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno()), "x" * _ROOM],
            env=environ,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    client = Client(ours, environ)
    client.install()
    try:
        yield
    finally:
        client.uninstall()
        ours.close()
        server.wait()


# ---- the server -----------------------------------------------------------------------------


def main(connection: socket.socket) -> None:
    """Fork what is asked for; only forks that are to run a module return, and run it."""
    _import(INSTALLED)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the connection
    while True:
        request, descriptors = _fork_asked(connection)
        ours, theirs = socket.socketpair()
        if request.module in LEAVES or os.fork():
            break
        ours.close()
        connection = theirs  # the server of the fork
        _close_all_but(connection.fileno())
    theirs.close()
    ours = socket.socket(fileno=fcntl.fcntl(ours.detach(), fcntl.F_DUPFD_CLOEXEC, _HIGH + 100))
    _become(request, descriptors, keep=ours.fileno())
    if request.module not in LEAVES:
        Client(ours, request.environ).install()
    _run(request)


def _import(names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _fork_asked(connection: socket.socket) -> tuple[Request, list[int]]:
    """Returns in the forks, each once it is the child of whoever asked."""
    _name_process(["fairlead-forkserver"])
    while True:
        try:
            asked, descriptors = _received(connection)
        except (EOFError, OSError):
            os._exit(0)
        _import_later(asked)
        go, gone = os.pipe(), os.pipe()
        if not (between := os.fork()):
            if os.fork():
                os._exit(0)
            if asked["session"]:
                os.setsid()  # before anybody knows its number: as a new program, it has its group
            os.write(gone[1], str(os.getpid()).encode())
            os.close(go[1])
            os.read(go[0], 1)
            connection.close()
            return Request(**asked), [*descriptors]
        os.waitpid(between, 0)
        pid = int(os.read(gone[0], 20))
        os.write(go[1], b"!")
        for number in (*go, *gone, *descriptors):
            os.close(number)
        with contextlib.suppress(OSError):
            _send(connection, {"pid": pid}, [])


def _import_later(asked: Mapping[str, Any]) -> None:
    names = [name for name in LATER.get(Request(**asked).module, ()) if name not in sys.modules]
    if names:
        read = {key: value for key, value in asked["environ"].items() if key.startswith("MLFLOW_")}
        os.environ.update(read)
        with warnings.catch_warnings(action="ignore"):
            _import(names)


def _become(request: Request, descriptors: list[int], *, keep: int) -> None:
    """Take on what a new program would have."""
    moved = [fcntl.fcntl(one, fcntl.F_DUPFD, _HIGH) for one in descriptors]
    for number, target in zip(moved, request.targets, strict=True):
        os.dup2(number, target)
    _close_all_but(keep, *request.targets)
    os.environ.clear()
    os.environ.update(request.environ)
    time.tzset()
    _name_process(request.argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request.ignored:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request.blocked)
    os.chdir(request.folder)
    _open_streams(unbuffered=bool(request.environ.get("PYTHONUNBUFFERED")))
    sys.dont_write_bytecode = bool(request.environ.get("PYTHONDONTWRITEBYTECODE"))
    _set_threads(request.environ)


def _open_streams(*, unbuffered: bool) -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        stream = open(  # noqa: SIM115 - it is the process's own
            number,
            "r" if number == 0 else "w",
            encoding=old.encoding,
            errors=old.errors,
            newline=None if number == 0 else "\n",
            closefd=False,
        )
        if number:
            stream.reconfigure(
                line_buffering=number == 2 or stream.isatty(), write_through=unbuffered
            )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _set_threads(environ: Mapping[str, str]) -> None:
    import numpy as np
    from threadpoolctl import threadpool_limits

    np.random.seed()  # noqa: NPY002 - that of the libraries: forks would draw alike
    count = environ.get("OMP_NUM_THREADS", "")
    threadpool_limits(int(count) if count.isdecimal() else len(os.sched_getaffinity(0)))


def _name_process(argv: Sequence[str]) -> None:
    """What `ps` shows as the arguments: they stand where the first ones stood."""
    words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(words[45]), int(words[46])
    text = b"\0".join(map(os.fsencode, argv))[: end - begin - 1]
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


def _close_all_but(*kept: int) -> None:
    for number in {int(one.name) for one in Path("/proc/self/fd").iterdir()} - set(kept):
        with contextlib.suppress(OSError):
            os.close(number)
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)


def _run(request: Request) -> None:
    """As `python -m` runs a module, and ends."""
    flags, words = request.argv[1 : request.argv.index("-m")], request.argv[1:]
    sys.orig_argv = request.argv
    sys.argv = ["-m", *words[words.index("-m") + 2 :]]
    if "-P" not in flags:
        sys.path.insert(0, str(Path.cwd()))
    if "-W" in flags:
        warnings.simplefilter(flags[flags.index("-W") + 1])  # type: ignore[arg-type]
    importlib.invalidate_caches()
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        runpy._run_module_as_main(request.module)  # type: ignore[attr-defined]
    except SystemExit as ending:
        if ending.code is not None and not isinstance(ending.code, int):
            raise
        _end(ending.code or 0)
    _end(0)


def _end(status: int) -> NoReturn:
    """End as an interpreter does, but without taking apart all modules."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # the interpreter knows how to say it
    os._exit(status & 0xFF)


# ---- messages -------------------------------------------------------------------------------


def _send(connection: socket.socket, message: Mapping[str, Any], descriptors: list[int]) -> None:
    content = json.dumps(message).encode("utf-8", "surrogatepass")
    head = len(content).to_bytes(4, "big")
    socket.send_fds(connection, [head], descriptors) if descriptors else connection.sendall(head)
    connection.sendall(content)


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 250)
    content = b""
    while len(head) < 4 or len(content) < (size := int.from_bytes(head, "big")):
        came = connection.recv(size - len(content)) if len(head) == 4 else b""
        if not came:
            raise EOFError
        content += came
    return json.loads(content), descriptors


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
