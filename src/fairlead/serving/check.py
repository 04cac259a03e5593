"""The check of a version in a process of its own, before it may take traffic.

Belongs here: starting it, its limits, and how its end is told. Does not: what it does (checker.py,
proof.py), and what follows (deployment).

A model is other people's bytes, run by a library in C++: whatever it does there - crash, hang, take
all memory - is to happen where nobody's request is.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed, Unexportable
from fairlead.records import Candidate, Limits
from fairlead.serving.checker import COMPACT, FINDINGS, GOLDEN, MODEL, TASK, Findings, Task
from fairlead.serving.plan import Facts

SECONDS = 60.0
MEMORY = 1 << 30
MEMORY_A_BYTE = 32
"""The least that a check may use, and what more for each byte of the file: taking apart a forest's
ONNX file twice, as the check does, takes 12 times its size."""

_OUTPUT = "output.txt"
_LAST_WORDS = 4096  # bytes
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check(
    candidate: Candidate, artifacts: Artifacts, *, name: str, limits: Limits | None = None
) -> Facts:
    """Prove a version in a child process.

    It is loaded and asked its golden rows, alone and together. Its compact form is made, asked the
    same, and kept in the artefact store.

    Args:
        candidate: The version's.
        artifacts: Holds its files.
        name: Of the version, for messages.
        limits: Of the child; 60 s, and 1 GiB and 32 times the file's size, if not given.

    Raises:
        Unexportable: It has no ONNX form.
        Corrupt: A file of it is missing or damaged.
        Unreachable: The artefact store did not answer.
        Failed: Says what it did instead: crashed, hung, took too much memory, predicted something
            else or nothing.
    """
    if MODEL not in candidate.files:
        raise Unexportable(f"checking {name}: it has no ONNX form: {candidate.unexportable}")
    with TemporaryDirectory(prefix="fairlead-check-") as path:
        folder = Path(path)
        task = _lay_out(folder, candidate, artifacts, limits or Limits())
        findings = _found(folder, task, name)
        if findings.facts is None:
            raise Failed(f"checking {name}: {findings.fault}")
        return _with_compact(findings.facts, folder / COMPACT, artifacts)


def _with_compact(facts: Facts, form: Path, artifacts: Artifacts) -> Facts:
    if not form.exists():
        return facts
    return replace(facts, compact=artifacts.put(form.read_bytes()).digest)


def _lay_out(folder: Path, candidate: Candidate, artifacts: Artifacts, limits: Limits) -> Task:
    for name in (MODEL, GOLDEN):
        (folder / name).write_bytes(artifacts.get(candidate.files[name].digest))
    task = Task(
        signature=candidate.signature,
        seconds=limits.seconds or SECONDS,
        memory=limits.memory or MEMORY + MEMORY_A_BYTE * candidate.files[MODEL].size,
    )
    (folder / TASK).write_bytes(msgspec.json.encode(task))
    return task


def _found(folder: Path, task: Task, name: str) -> Findings:
    """What the child found.

    Raises:
        Failed: It did not live to tell.
    """
    with _child(folder) as child:
        try:
            status = child.wait(timeout=task.seconds)
        except subprocess.TimeoutExpired:
            raise Failed(
                f"checking {name}: it had not ended after {task.seconds:g} s and was stopped"
            ) from None
    try:
        return msgspec.json.decode((folder / FINDINGS).read_bytes(), type=Findings)
    except (OSError, msgspec.DecodeError):
        raise Failed(f"checking {name}: {_end(status)}{_last_words(folder)}") from None


@contextlib.contextmanager
def _child(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The child at its work; it is gone afterwards."""
    command = [sys.executable, "-P", "-m", "fairlead.serving.checker", str(folder)]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with (folder / _OUTPUT).open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the parent's to handle
            env={**os.environ, **one_thread},
        )
    with child:
        try:
            yield child
        finally:
            child.kill()


def _end(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"its process crashed with {signal.Signals(-status).name}"
    return f"its process was ended by signal {-status}"


def _last_words(folder: Path) -> str:
    text = _COLOUR.sub("", (folder / _OUTPUT).read_bytes()[-_LAST_WORDS:].decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""
