"""The cores that a process may use, and names that no two processes have."""

from __future__ import annotations

import os
import subprocess
import sys

from fairlead.machine import unique_name, usable_cores


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
