"""The check of a version before it may take traffic, in a process of its own.

A model is bytes from elsewhere that a C++ library runs: whatever they do there (crash, hang, take
all memory) happens where no request is. The parent writes the model, its golden rows and the task
into a folder, starts `python -P -m fairlead.serving.check FOLDER` under limits of memory and time,
and reads the findings from the folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt, Failed, FairleadError, Unexportable
from fairlead.inference import Exported, compact, inspect
from fairlead.records import Candidate, Limits, Signature
from fairlead.serving.plan import Facts

if TYPE_CHECKING:
    from fairlead.serving.protocol.rows import Rows


MODEL, GOLDEN, TASK = "model.onnx", "golden.json", "task.json"
COMPACT, FINDINGS = "model.ort", "findings.json"
_LONGEST = 500  # letters of another's message that are passed on


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the child is to do, beside the files of the folder.

    Args:
        signature: Of the model.
        memory: Bytes that it may use.
        seconds: Of processor time that it may use.
    """

    signature: Signature
    memory: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the child found: facts, or else a fault."""

    facts: Facts | None = None
    fault: str = ""


def main(path: str) -> None:
    """Check what lies in this folder, and write there what was found."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(path)
    task = msgspec.json.decode((folder / TASK).read_bytes(), type=Task)
    _limit(task)
    try:
        findings = Findings(facts=_facts(folder, task.signature))
    except MemoryError:
        findings = Findings(fault=f"it needs more than {task.memory >> 20} MiB of memory")
    except FairleadError as error:
        findings = Findings(fault=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a model raises is reported
        text = " ".join(str(error).split())[:_LONGEST]
        limit = f"(it may use {task.memory >> 20} MiB of memory)"
        findings = Findings(fault=f"it raised {type(error).__name__}: {text} {limit}")
    (folder / FINDINGS).write_bytes(msgspec.json.encode(findings))


def _facts(folder: Path, signature: Signature) -> Facts:
    from fairlead.serving import proof  # numpy: only the child needs it

    content = (folder / MODEL).read_bytes()
    found = inspect(content)
    exported = Exported(content, signature, found)
    golden = proof.golden((folder / GOLDEN).read_bytes())
    rows = proof.asked(golden, signature, missing=found.missing)
    proof.prove(exported, rows, golden)
    _make_compact(folder, signature, exported, rows)
    return Facts(
        steady=found.steady,
        missing=found.missing,
        seconds=proof.seconds_a_row(exported, rows),
        size=len(content),
    )


def _make_compact(folder: Path, signature: Signature, exported: Exported, rows: Rows) -> None:
    """Write the compact form, if it predicts the same bits."""
    from fairlead.serving.proof import alike

    with contextlib.suppress(Corrupt):
        form = compact((folder / MODEL).read_bytes())
        if alike(exported, Exported(form, signature, exported.found), rows):
            (folder / COMPACT).write_bytes(form)


def _limit(task: Task) -> None:
    """Limits that hold in a library, too; the parent counts the seconds, this the processor's."""
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory, task.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = int(task.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _end_with_parent() -> None:
    """End when standard input does, which nobody ever writes to."""
    os.read(0, 1)
    os._exit(1)


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
        Failed: It died before it reported.
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
    command = [sys.executable, "-P", "-m", "fairlead.serving.check", str(folder)]
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


if __name__ == "__main__":
    main(sys.argv[1])
