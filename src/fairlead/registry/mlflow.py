"""The process that brings MLflow's registry up to date from the ledger's outbox.

MLflow takes seconds to import and warns, logs and reports home while it does, so no other process
of Fairlead imports it. There is one such process at a time, bounded in time. What it has not sent
waits in the outbox: a registry that is away delays the alias and loses nothing.

    python -m fairlead.registry.mlflow --home DIR
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.ledger.interface import Ledger
from fairlead.registry.mirror import Mirror
from fairlead.settings import Settings, from_environment
from fairlead.stores import Stores, open_stores

OFF = "none"  # as $FAIRLEAD_MLFLOW_URI: there is no mirror
PATIENCE = 60  # seconds that somebody waits for a mirror that they asked for
LIFETIME = 300  # seconds after which a mirror that nobody waits for ends itself
_AWAY = 1
# Without these MLflow waits 2 minutes a request, 7 times over, and reports its use to its makers.
_BOUNDS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


@dataclass(frozen=True, kw_only=True)
class State:
    """How far MLflow's registry is behind.

    Args:
        uri: Of the registry, without a password.
        pending: Entries that it has yet to hear; at most 100 are counted.
        note: Why they wait; None where nothing does, or it is not known.
    """

    uri: str
    pending: int
    note: str | None = None


def start_mirror(settings: Settings) -> None:
    """Bring the mirror up to date in the background, in a process that outlives this one.

    Its messages go to `mirror.log` in the folder of the logs.
    """
    if settings.mlflow == OFF:
        return
    settings.logs.mkdir(parents=True, exist_ok=True)
    with (settings.logs / "mirror.log").open("ab") as log:
        # The shell goes at once, so that the mirror is nobody's child and is never waited for.
        subprocess.run(  # noqa: S603 - our own program
            ["/bin/sh", "-c", '"$@" &', "sh", *_command(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(settings, os.environ),
            start_new_session=True,
            check=True,
        )


def catch_up(settings: Settings, ledger: Ledger) -> State:
    """Bring the mirror up to date now, and say how that went.

    Args:
        settings: The installation's.
        ledger: Its ledger, for the count of what waits.
    """
    uri = without_password(settings.mlflow_uri)
    if settings.mlflow == OFF:
        return State(uri=OFF, pending=0)
    note = _run_mirror(settings) if ledger.outbox.pending(1) else None
    return State(uri=uri, pending=len(ledger.outbox.pending()), note=note)


def without_password(uri: str) -> str:
    """The URI with its password, if any, left out."""
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", uri)


def _run_mirror(settings: Settings) -> str | None:
    try:
        ended = subprocess.run(  # noqa: S603 - our own program
            _command(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(settings, os.environ),
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"MLflow's registry took longer than {PATIENCE} s"
    lines = ended.stderr.strip().splitlines()
    return lines[-1] if ended.returncode and lines else None


def _command(settings: Settings) -> list[str]:
    # -W ignore: MLflow's own warnings are nothing that a user of Fairlead can act on.
    home = str(settings.home.resolve())
    return [sys.executable, "-W", "ignore", "-m", "fairlead.registry.mlflow", "--home", home]


def _environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    stores = {"FAIRLEAD_LEDGER": settings.ledger, "FAIRLEAD_ARTIFACTS": settings.artifacts}
    return {**_BOUNDS, **environ, **stores, "FAIRLEAD_MLFLOW_URI": settings.mlflow}


def main(args: Sequence[str] | None = None) -> int:
    """Bring the mirror up to date; one process a home folder at a time.

    Returns:
        The exit status: 0 up to date, 1 MLflow's registry could not be told.
    """
    parser = argparse.ArgumentParser(prog="python -m fairlead.registry.mlflow")
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args(args).home
    settings = from_environment(os.environ, home=home.resolve())
    signal.alarm(LIFETIME)  # its default action ends the process; the entries stay where they are
    with _alone(settings), open_stores(settings) as stores:
        if not stores.ledger.outbox.pending(1):
            return 0
        return _tell(settings, stores)


def _tell(settings: Settings, stores: Stores) -> int:
    uri = settings.mlflow_uri
    if not settings.mlflow:
        os.chdir(settings.home)  # where MLflow's own database is, its `mlruns` shall be too
    try:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        mirror = Mirror(
            client,
            uri=uri,
            ledger=stores.ledger,
            artifacts=stores.artifacts,
            folders=settings.home / "mlflow",
        )
        told = mirror.catch_up()
    except Exception as error:  # noqa: BLE001 - MLflow's stores raise whatever their drivers raise
        _log(f"MLflow's registry at {without_password(uri)!r} was not told: {_first_line(error)}")
        return _AWAY
    _log(f"MLflow's registry at {without_password(uri)!r} was told {told} entries")
    return 0


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Holds the home folder's lock: others wait their turn.

    Besides telling nothing twice, this keeps two processes from creating MLflow's tables at once,
    which its stores do not survive.
    """
    with (settings.home / "mlflow.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _first_line(error: Exception) -> str:
    lines = without_password(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def _log(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stderr.write(f"{stamp} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
