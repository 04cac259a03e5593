"""A driver that a test may kill: it has ranks compute one fit, and says where it listens.

    python -m tests.support.driving FOLDER RANKS

With 0 ranks it waits for those that somebody else starts. It says a line for each step; the second
one stalls.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fairlead.engines.gang import EngineGang
from fairlead.engines.local import LocalEngine
from fairlead.gang.hub import Hub
from tests.support.gangs import SECRET, shared_study


def main(folder: Path, ranks: int) -> None:
    study = shared_study(folder)
    job = study.fit(stall=1)
    with Hub(secret=SECRET) as hub:
        say(hub.address)
        if ranks == 0:
            hub.open(job)
            study.train(job, hub, say)
            return
        engine = LocalEngine(logs=folder / "logs")
        with EngineGang(engine, study.request(hub, ranks=ranks), hub) as gang:
            gang.open(job)
            study.train(job, gang, say)


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
