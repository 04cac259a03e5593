"""A process that has the libraries loaded and forks the children of workers.

Importing scikit-learn takes a second of processor time, as much as many a study's fits. The fork
server pays for it once: it imports with one thread, starts nothing, and forks a child for each
request. `fairlead run` starts one before it reads the spec, so that its imports run beside
everything that comes before the first trial.

What must hold: the server forks only while it has no thread of its own and no OpenMP or BLAS pool
was used (`_forkable`). A child is the server's and not the worker's: the connection of a request
represents it. When the worker closes it, or dies, the server kills the child's process group; when
the child ends, the server kills what is left of its group, writes its exit status and closes it;
when the server dies, the kernel kills its children. The owner holds the server's standard input:
when that ends, the server ends with its children.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.machine import library_environment

VARIABLE = "FAIRLEAD_FORKSERVER"
"""Names the socket of a fork server to the workers that may use it."""

PRELOADED = (
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "fairlead.worker.child",
)
"""Imported before the first child is forked."""
PRELOADED_LATER = ("onnx", "onnx.checker", "skops.io")
"""For exporting: imported one by one once a worker has no task; children from then on have them."""
_HARMLESS = {"jemalloc_bg_thd"}
"""Threads that survive a fork: jemalloc starts its own again in the child."""
_REQUEST = 1 << 20
_NO_TASK = b"no task"
"""What a worker sends in place of a request, when it has nothing to do."""
_GRACE = 1.0
"""Seconds in which a server ends with its children."""


def supported() -> bool:
    """Whether this system can fork a process that has libraries loaded, and watch it."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


@contextlib.contextmanager
def started(home: Path) -> Iterator[str | None]:
    """A fork server of this process, unless there is one for whatever runs here.

    Gives the path of its socket; None where there can be none.

    Args:
        home: Shown in its command line, for whoever looks for the processes of this home.
    """
    if VARIABLE in os.environ or not supported():
        yield os.environ.get(VARIABLE)
        return
    listening = _listening()
    if listening is None:
        yield None
        return
    path = listening.getsockname()
    try:
        with listening:
            server = _spawn(listening, home)
        try:
            yield path
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.terminate()  # at which it ends its children with all that they started
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(_GRACE)
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)  # noqa: PTH120 - as in _listening


def _listening() -> socket.socket | None:
    """A socket in a folder of its own; None where that cannot be made or its path is too long."""
    try:
        folder = tempfile.mkdtemp(prefix="fairlead-")
    except OSError:
        return None
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listening.bind(os.path.join(folder, "forkserver"))  # noqa: PTH118 - no pathlib in the first milliseconds
        listening.listen(64)
    except OSError:
        listening.close()
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return listening


def _spawn(listening: socket.socket, home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [
            sys.executable,
            "-P",
            "-m",
            "fairlead.worker.forkserver",
            str(listening.fileno()),
            str(home),
        ],
        pass_fds=[listening.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is the owner's to handle
        env={**os.environ, **library_environment(1), "PYTHONUNBUFFERED": "1"},
    )


@dataclass(frozen=True, kw_only=True)
class ArtifactStore:
    """Where a child finds artefacts: the store's URL, and the folder of local copies."""

    url: str
    cache: str
    cache_size: int  # bytes


@dataclass(frozen=True, kw_only=True)
class ForkRequest:
    """A request for a child, with its environment and working folder."""

    store: tuple[str, str, int]  # URL and cache of the artefacts, and how large that may become
    environ: Mapping[str, str]
    folder: str


class ForkedProcess:
    """A child that a fork server forks, from its worker's side.

    Args:
        path: The server's socket.
        store: Where it finds artefacts.
        connection: Its end of the connection to the worker.
        output: Where its standard output and error go.

    Raises:
        OSError: No server answers there.
    """

    def __init__(self, path: str, store: ArtifactStore, *, connection: int, output: int) -> None:
        request = ForkRequest(
            store=(store.url, store.cache, store.cache_size),
            environ=dict(os.environ),
            folder=str(Path.cwd()),
        )
        self.pid: int | None = None  # unknown until it was forked
        self._status: int | None = None
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._control.connect(path)
            content = json.dumps(vars(request)).encode()
            socket.send_fds(self._control, [content], [connection, output])
        except OSError:
            self._control.close()
            raise

    def poll(self) -> int | None:
        """Its exit status (negative: the signal) once it has ended."""
        return self._receive(0.0)

    def wait(self, timeout: float) -> int | None:
        """Its exit status, waited for as long as this many seconds."""
        return self._receive(timeout)

    def _receive(self, timeout: float) -> int | None:
        while self._status is None:
            self._control.settimeout(timeout)
            try:
                message = self._control.recv(_REQUEST)
            except (BlockingIOError, TimeoutError):
                return None
            except ConnectionResetError:
                message = b""
            self._read_status(message)
        return self._status

    def _read_status(self, message: bytes) -> None:
        if not message:  # the server has ended, and the kernel kills its children
            self._status = -signal.SIGKILL
            return
        fields = json.loads(message)
        self.pid, self._status = fields["pid"], fields.get("status")

    def release(self) -> None:
        """Have nothing to do with it any more: the server kills it if it has not ended."""
        if self._status is None:
            self._status = -signal.SIGKILL
        self._control.close()

    def kill(self) -> None:
        """Kill it with its process group, and wait for that."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        self._receive(0.0)
        if self.pid is not None:
            self._receive(5.0)
        self._control.close()


def tell_idle(path: str) -> None:
    """Tell the server of this socket that a worker has no task: a core is free for its imports."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(path)
        link.send(_NO_TASK)


def main(descriptor: int) -> None:
    """Import, then fork children until standard input ends."""
    listening = socket.socket(fileno=descriptor)
    gc.disable()  # collections take a fifteenth of the imports
    for name in PRELOADED:
        importlib.import_module(name)
    gc.enable()
    folder = Path(listening.getsockname()).parent
    task = _Server(listening, later=list(PRELOADED_LATER)).serve()
    if task is not None:  # in a child
        task()
    else:
        shutil.rmtree(folder, ignore_errors=True)  # left by an owner that was killed


class _Server:
    def __init__(self, listening: socket.socket, *, later: list[str]) -> None:
        self._listening = listening
        self._later = later
        self._core_is_free = False
        self._selector = selectors.DefaultSelector()
        self._children: dict[socket.socket, tuple[int, int]] = {}  # process id, its descriptor
        self._open = True
        self._selector.register(listening, selectors.EVENT_READ, self._accept)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._owner_gone)
        signal.signal(signal.SIGTERM, self._terminate)

    def serve(self) -> Callable[[], None] | None:
        """Serve until owner and children have ended; in a forked child, what it is to run."""
        while self._open or self._children:
            importing = self._later and self._core_is_free
            ready = self._selector.select(0.0 if importing else None)
            for key, _ in ready:
                task: Callable[[], None] | None = key.data()
                if task is not None:
                    return task
            if not ready:
                self._import_one()
        return None

    def _import_one(self) -> None:
        with contextlib.suppress(Exception):  # the child that needs it will say why
            importlib.import_module(self._later.pop(0))

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._handle(connection))

    def _owner_gone(self) -> None:
        self._selector.unregister(sys.stdin.fileno())
        self._selector.unregister(self._listening)
        self._listening.close()
        self._open = False
        self._kill_children()

    def _terminate(self, *_: object) -> None:
        """End at once, in the middle of an import, too."""
        self._kill_children()
        os._exit(0)

    def _kill_children(self) -> None:
        for pid, _ in self._children.values():
            _kill_group(pid)

    def _handle(self, connection: socket.socket) -> Callable[[], None] | None:
        """A request, or the end of a worker's connection."""
        if connection.fileno() < 0:
            return None  # closed just now: its child ended at the same moment
        try:
            content, descriptors, _, _ = socket.recv_fds(connection, _REQUEST, 2)
        except OSError:
            content, descriptors = b"", []
        self._core_is_free = self._core_is_free or content == _NO_TASK
        if content not in (b"", _NO_TASK) and connection not in self._children:
            return self._fork(connection, ForkRequest(**json.loads(content)), descriptors)
        self._kill_child(connection)
        return None

    def _fork(
        self, connection: socket.socket, request: ForkRequest, descriptors: Sequence[int]
    ) -> Callable[[], None] | None:
        if not _forkable():
            for descriptor in descriptors:
                os.close(descriptor)
            self._kill_child(connection)
            return None
        gc.collect()
        gc.freeze()  # so that a child's garbage collections do not copy shared pages
        # One that is asked to end as soon as it is there must not do so as the server would.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            self._close()
            return lambda: _run_child(request, *descriptors, parent=server)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        for descriptor in descriptors:
            os.close(descriptor)
        watched = os.pidfd_open(pid)
        self._children[connection] = (pid, watched)
        self._selector.register(watched, selectors.EVENT_READ, lambda: self._ended(connection))
        _send(connection, pid=pid)
        return None

    def _close(self) -> None:
        """Close the descriptors that a child must not keep."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            elif key.fd != sys.stdin.fileno():
                os.close(key.fd)
        self._selector.close()

    def _kill_child(self, connection: socket.socket) -> None:
        """Kill the connection's child, where it has one: its worker has closed it or has ended."""
        self._selector.unregister(connection)
        if connection not in self._children:
            connection.close()
            return
        pid, _ = self._children[connection]
        _kill_group(pid)

    def _ended(self, connection: socket.socket) -> None:
        pid, watched = self._children.pop(connection)
        _kill_group(pid)  # what it started; no other group has its number until it is waited for
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(watched)
        os.close(watched)
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection)
        _send(connection, pid=pid, status=os.waitstatus_to_exitcode(status))
        connection.close()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # the child may not have its process group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _send(connection: socket.socket, **fields: int) -> None:
    with contextlib.suppress(OSError):
        connection.send(json.dumps(fields).encode())


def _forkable() -> bool:
    """Whether this process has one thread only: a lock that another holds stays held in a fork."""
    try:
        names = [(one / "comm").read_text().strip() for one in Path("/proc/self/task").iterdir()]
    except FileNotFoundError:  # one has ended meanwhile
        return False
    return sum(name not in _HARMLESS for name in names) == 1


def _run_child(request: ForkRequest, connection: int, output: int, *, parent: int) -> None:
    """Become what `python -m fairlead.worker.child` is: its own session, output and environment."""
    os.setsid()
    _rename("fairlead-child")
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    _set_environment(request)
    from fairlead.worker import child

    child.main(connection, *request.store, parent)


def _rename(name: str) -> None:
    """Show this name in lists of processes, where the command line is still the server's."""
    import ctypes

    set_name = 15  # PR_SET_NAME of prctl(2)
    ctypes.CDLL(None).prctl(set_name, name.encode())


def _set_environment(request: ForkRequest) -> None:
    import numpy as np

    os.environ.clear()
    os.environ.update({**request.environ, **library_environment(1), "PYTHONUNBUFFERED": "1"})
    known = set(sys.path)
    sys.path[:0] = [
        folder
        for folder in request.environ.get("PYTHONPATH", "").split(os.pathsep)
        if folder and folder not in known
    ]
    with contextlib.suppress(OSError):
        os.chdir(request.folder)
    np.random.seed()  # noqa: NPY002 - forked children would share one state


if __name__ == "__main__":
    main(int(sys.argv[1]))
