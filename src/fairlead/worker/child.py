"""The child process of a worker: it executes one request after another.

Requests and answers are lines of JSON on one socket (messages.py). The child keeps one study open,
with its libraries and data loaded, and fits and scores in its own process, so that a crash or a
hang of the model's code ends the child and never the worker. It has no access to the ledger.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from fairlead import manifest, settings
from fairlead.artifacts import Artifacts
from fairlead.errors import Diverged, FairleadError, InvalidData, InvalidSpec, Transient
from fairlead.families.family import DryRun
from fairlead.families.user_code import Overdue
from fairlead.gang.rank import TF_CONFIG
from fairlead.machine import die_with
from fairlead.records import CacheFolder, FitProgress
from fairlead.spec.document import Train
from fairlead.training.check import FamiliesToCheck, check_families
from fairlead.training.driver import DriverSetting, GangDriver
from fairlead.training.refit import refit
from fairlead.training.study_context import StudyContext
from fairlead.training.task_fits import FitChannel
from fairlead.worker.messages import (
    Answer,
    Began,
    CheckFamilies,
    FamiliesChecked,
    FitProgressed,
    Noted,
    OpenStudy,
    Raised,
    Refitted,
    StudyReady,
    TaskRequest,
    Told,
    TrialsScored,
    decode,
    encode,
)


def main(descriptor: int, artifacts: str, cache: str, cache_size: int, parent: int) -> None:
    """Answer requests until the worker closes its end.

    Args:
        descriptor: File descriptor of the connection to the worker.
        artifacts: URL of the artefact store.
        cache: Folder of local copies of artefacts, in the home folder.
        cache_size: Bytes that these may have.
        parent: Process id of the worker; when it dies, so does this process.
    """
    die_with(parent)
    os.environ.pop(TF_CONFIG, None)  # its fits have gangs of their own
    copies = CacheFolder(path=cache, size=cache_size)
    store, me = Artifacts(artifacts, cache=copies), os.getpid()
    speaking = threading.Lock()  # what looks after ranks is a thread of its own
    with (
        socket.socket(fileno=descriptor) as connection,
        connection.makefile("rb") as requests,
        contextlib.closing(
            StudySession(
                store,
                tell=partial(_tell, connection, me, speaking),
                logs=Path(cache).parent / "logs",
            )
        ) as session,
    ):
        for line in requests:
            for answer in _answers(session, line):
                if os.getpid() != me:
                    os._exit(0)  # a fork that the model's code left behind
                try:
                    with speaking:
                        connection.sendall(encode(answer))
                except OSError:
                    return  # nobody waits for it any more


def _tell(connection: socket.socket, process: int, speaking: threading.Lock, message: Told) -> None:
    if os.getpid() == process:  # no fork that the model's code made speaks for it
        with speaking:
            connection.sendall(encode(message))


def _answers(session: StudySession, line: bytes) -> Iterator[Answer]:
    request = decode(line)
    if isinstance(request, OpenStudy):
        yield _answered(lambda: session.open(request), token=0)
        return
    if isinstance(request, CheckFamilies):
        yield _answered(lambda: _check(request), token=0)
        return
    assert isinstance(request, TaskRequest)
    if not session.has_open(request):
        answer = _answered(lambda: session.begin(request), token=request.token)
        yield answer
        if not isinstance(answer, Began):
            return
    yield _answered(lambda: session.execute(request), token=request.token)


class StudySession:
    """The study that this process has open; opening another closes it.

    Args:
        artifacts: Where what it needs is, and where goes what it makes.
        tell: Called with how far a fit is, while it goes on, and what is to be known of it.
        logs: Folder of what the processes print that share its fits.
    """

    def __init__(self, artifacts: Artifacts, *, tell: Callable[[Told], None], logs: Path) -> None:
        self.artifacts = artifacts
        self._tell = tell
        self._logs = logs
        self._gang: GangDriver | None = None
        self._current: tuple[str, StudyContext] | None = None  # the study's id, and the study
        self._token = 0  # of the task in hand
        self._folds = False  # whether its folds are prepared, which a refit does without

    def has_open(self, request: TaskRequest) -> bool:
        """Whether the task's study is the one that is open, with all that the task needs."""
        open_ = self._current is not None and self._current[0] == request.study
        return open_ and (self._folds or request.kind == "refit")

    def open(self, request: OpenStudy) -> StudyReady:
        """Open a study before its first task."""
        self._load(request)
        return StudyReady(study=request.study)

    def begin(self, request: TaskRequest) -> Began:
        """Open the task's study."""
        self._load(request)
        return Began(token=request.token)

    def _load(self, request: OpenStudy | TaskRequest) -> None:
        self.close()
        context = StudyContext(
            spec=request.spec,
            table=request.table,
            sources=request.sources,
            artifacts=self.artifacts,
            study=request.study,
            memory=settings.from_environment(os.environ).memory_for_data,
        )
        self._folds = isinstance(request, OpenStudy) or request.kind == "trials"
        context.prepare(folds=self._folds)
        self._current = (request.study, context)
        train = context.spec.train
        if train is not None and train.is_shared:
            self._gang = GangDriver(self._ranks(train, context.recipe.threads))
            context.gang = self._gang.open
            context.spark = self._gang.on_spark if train.engine == "spark" else None

    def _ranks(self, train: Train, threads: int) -> DriverSetting:
        return DriverSetting(
            train=train,
            threads=threads,
            artifacts=self.artifacts.root,
            logs=self._logs,
            environ=settings.reaching_stores(os.environ),
            notice=self._note,
        )

    def _note(self, line: str) -> None:
        """Tell what a person should know of the task in hand."""
        self._tell(Noted(token=self._token, text=line))

    def close(self) -> None:
        """Have no study open, and no processes that share its fits."""
        self._current = None
        if self._gang is not None:
            self._gang.close()
            self._gang = None

    def execute(self, request: TaskRequest) -> Answer:
        """Execute the task; its study is open."""
        self._token = request.token
        try:
            return self._execute(request)
        finally:
            if self._gang is not None:
                self._gang.rest()

    def _execute(self, request: TaskRequest) -> Answer:
        assert self._current is not None
        context, channel = self._current[1], self._channel(request)
        if request.kind == "trials":
            results = tuple(context.score(request.trials, channel))
            return TrialsScored(token=request.token, results=results)
        candidate = refit(context, request.study, request.trials[0], self.artifacts, channel)
        digest = self.artifacts.put(manifest.dump(candidate)).digest
        return Refitted(token=request.token, candidate=digest)

    def _channel(self, request: TaskRequest) -> FitChannel:
        def report(progress: FitProgress) -> None:
            self._tell(FitProgressed(token=request.token, progress=progress))

        return FitChannel(report=report, note=self._note, checkpoint=request.checkpoint)


def _check(request: CheckFamilies) -> FamiliesChecked:
    sources = {name: b64decode(content) for name, content in request.sources.items()}
    tried = request.dry_run and DryRun(
        **{**request.dry_run, "shape": request.dry_run["shape"] and tuple(request.dry_run["shape"])}
    )
    asked = FamiliesToCheck(**{**vars(request), "sources": sources, "dry_run": tried})
    return FamiliesChecked(remarks=check_families(asked))


def _answered(handle: Callable[[], Answer], *, token: int) -> Answer:
    try:
        return handle()
    except FairleadError as error:
        return Raised(
            token=token,
            reason=str(error),
            transient=isinstance(error, Transient),
            final=_is_final(error),
        )
    except Exception as error:  # noqa: BLE001 - whatever a model raises is reported, not hidden
        return Raised(token=token, reason=_describe(error))


def _is_final(error: FairleadError) -> bool:
    """Whether another attempt would fail for the same.

    A spec, its data and its seed do not change. A machine may: the user's code may find a module, a
    file, memory or time on another.
    """
    of_machine = isinstance(error.__cause__, (ImportError, MemoryError, OSError, Overdue))
    return isinstance(error, (Diverged, InvalidData, InvalidSpec)) and not of_machine


def _describe(error: Exception) -> str:
    """The exception in one line: its type, its message, and the line of code that raised it."""
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).replace("\0", "\N{REPLACEMENT CHARACTER}").split())[:500]
    return f"{type(error).__name__}: {text} ({Path(frame.filename).name}:{frame.lineno})"


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        os.environ["FAIRLEAD_ARTIFACTS"],
        sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
    )
