"""A private PgBouncer in front of a PostgreSQL server: each transaction may get another session."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.lacking import lacking
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

_CONFIGURATION = """
[databases]
* = host={host} port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
"""


@contextmanager
def pooled(database: str) -> Iterator[str]:
    """The URL of this database through a pooler, whose three sessions all clients share."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        lacking("PgBouncer")
    server = urlsplit(database)
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="fairlead-pgbouncer-") as made:
        folder = Path(made)
        file = folder / "pgbouncer.ini"
        file.write_text(
            _CONFIGURATION.format(
                host=server.hostname, server=server.port, user=server.username, port=port
            )
        )
        folder.chmod(0o755)
        url = f"postgresql://{server.username}@127.0.0.1:{port}{server.path}"
        with _started([program, str(file)], folder / "log"):
            wait_until(lambda: _answers(url), seconds=30)
            yield url


@contextmanager
def _started(command: list[str], log: Path) -> Iterator[None]:
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None  # it refuses to be root
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, user=user)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
