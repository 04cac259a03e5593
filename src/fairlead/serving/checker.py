"""The child process of a check: `python -P -m fairlead.serving.checker FOLDER`.

Belongs here: what it is given, what it tells, its limits. Does not: the parent (check.py), and
what is asked of the model (proof.py).

It finds all it needs in a folder and writes its findings there, so that nothing that a library
prints is taken for them. Its standard input is open for as long as its parent lives.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairlead.errors import Corrupt, FairleadError
from fairlead.inference import Exported, inspect
from fairlead.inference.exported import compact
from fairlead.records import Signature
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
    except Exception as error:  # noqa: BLE001 - whatever a model raises is told
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


if __name__ == "__main__":
    main(sys.argv[1])
