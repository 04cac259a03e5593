"""Several processes submit specs at the same moment.

    python -m tests.support.submitting FOLDER LEDGER SPEC...

They are forked by a process that has loaded everything but opened nothing. Prints the id of each
run, one a line, in the order of the specs.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.study import run as runs
from fairlead.study.progress import Silent
from fairlead.study.run import RunRequest


def submit(barrier: Any, said: Any, number: int, settings: Settings, spec: Path) -> None:
    request = RunRequest(spec=load(spec).spec, base=spec.parent)
    barrier.wait()
    said.put((number, runs.submit(request, settings, Silent()).id))


def main(folder: Path, ledger: str, specs: Sequence[Path]) -> None:
    settings = Settings(home=folder / "home", ledger=ledger, queue="none", mlflow="none")
    plans.make(load(specs[0]).spec, base=specs[0].parent, settings=settings)  # loads the libraries
    forking = multiprocessing.get_context("fork")
    barrier, said = forking.Barrier(len(specs)), forking.Queue()
    processes = [
        forking.Process(target=submit, args=(barrier, said, number, settings, spec))
        for number, spec in enumerate(specs)
    ]
    for process in processes:
        process.start()
    for _, run in sorted(said.get(timeout=240) for _ in specs):
        sys.stdout.write(f"{run}\n")
    for process in processes:
        process.join()
        assert process.exitcode == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(each) for each in sys.argv[3:]])
