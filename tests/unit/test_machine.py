"""The cores and the memory that a process may use, and names that no two processes have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead import machine
from fairlead.machine import unique_name, usable_cores, usable_memory


def test_the_cores_are_those_that_this_process_may_use() -> None:
    assert usable_cores() == len(os.sched_getaffinity(0))
    one = min(os.sched_getaffinity(0))
    program = (
        f"import os; os.sched_setaffinity(0, [{one}])\n"
        "from fairlead.machine import usable_cores; print(usable_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_a_name_is_made_once() -> None:
    assert len({unique_name() for _ in range(100)}) == 100
    assert f"-{os.getpid()}-" in unique_name()


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"], ids=["v2", "v1"])
@pytest.mark.parametrize(("limit", "bounded"), [("1000000\n", True), ("max\n", False)])
def test_a_container_has_the_memory_of_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, limit: str, *, bounded: bool
) -> None:
    written = tmp_path / file
    written.parent.mkdir(exist_ok=True)
    written.write_text(limit)
    monkeypatch.setattr(machine, "_CGROUPS", (tmp_path / "none", written))
    assert (usable_memory() == 1_000_000) == bounded
