"""What everybody on a machine may read of processes: their command lines."""

from __future__ import annotations

import contextlib

import psutil
import pytest

from tests.integration.job import families, specs
from tests.integration.job.conftest import Place
from tests.support.waiting import wait_until


def lines(pid: int) -> list[str]:
    """The command lines of a process and of all that it started, as `ps` shows them."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found.append(" ".join(one.cmdline()))
    return found


@pytest.mark.new_interpreters
@pytest.mark.parametrize("threads", [1, 2], ids=["forked children", "spawned children"])
def test_no_command_line_of_a_run_or_a_server_names_the_stores(place: Place, threads: int) -> None:
    stores = {
        "FAIRLEAD_LEDGER": f"sqlite:///{place.folder / 'secret.db'}",
        "FAIRLEAD_ARTIFACTS": (place.folder / "secret-files").as_uri(),
    }
    place.write("slow.py", families.SLOW)
    place.write(
        "slow.yaml", specs.slow(trials=4).replace("folds: 2", f"folds: 2\n  threads: {threads}")
    )
    run = place.start("run", "slow.yaml", "--workers", "2", **stores)
    seen: set[str] = set()

    def ended() -> bool:
        seen.update(lines(run.pid))
        return run.poll() is not None

    wait_until(ended)
    assert run.returncode == 0, (place.folder / "output.log").read_text()
    assert any(" worker " in line for line in seen)
    assert any("fairlead.worker.child" in line for line in seen) == (threads > 1)
    server = place.start("serve", "--port", "0", "--processes", "1", **stores)
    wait_until(lambda: any("fairlead.serving" in line for line in lines(server.pid)))
    assert not [line for line in {*seen, *lines(server.pid)} if "secret" in line]
    assert (place.folder / "secret.db").exists()
