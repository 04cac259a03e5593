"""An S3 server for tests: a private seaweedfs, or the one that $FAIRLEAD_TEST_S3 names.

    FAIRLEAD_TEST_S3=http://KEY:SECRET@HOST:PORT/BUCKET

The bucket must be there; each test keeps what it stores under a prefix of its own.

All processes of a test session (pytest-xdist) share one server, which the first that needs it
starts. Each user holds a shared lock on a file; a keeper, which is this file run as a program, ends
the server once it can have that lock alone: when all users are done, or dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KEY, SECRET, BUCKET = "fairlead-tests", "not-a-secret", "artifacts"
READER, READER_SECRET = "fairlead-reader", "not-a-secret-either"
VARIABLE = "FAIRLEAD_TEST_S3"
_FORM = "http://KEY:SECRET@HOST:PORT/BUCKET"
START = 60.0  # seconds


@dataclass(frozen=True, kw_only=True)
class S3:
    """An S3 server, and what is needed to use it."""

    endpoint: str
    key: str
    secret: str
    bucket: str
    private: bool = True  # ours alone: it knows READER, too, who may not write

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the field's programs are told of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """botocore's own client, to look at what there is without Fairlead and s3fs."""
        import botocore.session

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )


def named(url: str) -> S3:
    """The server that the variable names."""
    parts = urlsplit(url)
    assert parts.username, f"${VARIABLE} must be {_FORM}"
    assert parts.password, f"${VARIABLE} must be {_FORM}"
    return S3(
        endpoint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        key=parts.username,
        secret=parts.password,
        bucket=parts.path.strip("/"),
        private=False,
    )


def program() -> str | None:
    """The server's program: the one that the developer tools bring, or any that is installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextlib.contextmanager
def shared(folder: Path, *, wait: bool) -> Iterator[S3]:
    """The private server of all who name this folder.

    Args:
        folder: Is made, for its data and log.
        wait: At the end, until it has ended, if nobody else uses it.
    """
    from tests.support.waiting import wait_until

    folder.mkdir(exist_ok=True)
    ready, keeper = folder / "ready", None
    with (folder / "users").open("w") as users:
        with (folder / "starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            if not ready.exists():
                keeper = _start_keeper(folder)
                wait_until(lambda: ready.exists() or _has_ended(keeper), seconds=START)
                assert ready.exists(), (folder / "log").read_text()[-2000:]
        yield S3(endpoint=ready.read_text(), key=KEY, secret=SECRET, bucket=BUCKET)
    if keeper is not None and wait:
        wait_until(lambda: _has_ended(keeper), seconds=START)


def _start_keeper(folder: Path) -> int:
    """Its process id. It may outlive us, for others, of which `subprocess` would warn."""
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", __file__, str(folder)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "log"), written, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _has_ended(keeper: int) -> bool:
    return os.waitpid(keeper, os.WNOHANG)[0] == keeper


def keep(folder: Path) -> None:
    """Run a server until nobody holds the lock of its users any more."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    server, endpoint = start(folder)
    try:
        made = S3(endpoint=endpoint, key=KEY, secret=SECRET, bucket=BUCKET)
        _await_bucket(made, server)
        (folder / "new").write_text(endpoint)
        (folder / "new").rename(folder / "ready")
        with (folder / "users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            (folder / "ready").unlink()
            _end(server)  # before others can have the lock
    finally:
        _end(server)


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server with its data in the folder; gives the endpoint, too."""
    data, config = folder / "data", folder / "identities.json"
    data.mkdir(exist_ok=True)
    config.write_text(json.dumps({"identities": [_may(KEY, SECRET, ["Admin", "Read", "Write",
        "List", "Tagging"]), _may(READER, READER_SECRET, ["Read", "List"])]}))  # fmt: skip
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
             "filer.port.grpc", "s3.port", "s3.port.grpc"]  # fmt: skip
    from tests.support.ports import free_ports

    ports = dict(zip(names, free_ports(len(names)), strict=True))
    found = program()
    assert found is not None
    server = subprocess.Popen(
        [
            found,
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=100",
            "-volume.preStopSeconds=0",
            "-s3",
            f"-s3.config={config}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *(f"-{name}={port}" for name, port in ports.items()),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
    )
    return server, f"http://127.0.0.1:{ports['s3.port']}"


def _may(key: str, secret: str, actions: list[str]) -> dict[str, Any]:
    return {
        "name": key,
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": actions,
    }


def _await_bucket(made: S3, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server keeps what it is given, which is some time after it first answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    from tests.support.waiting import wait_until

    client = made.client()

    def stores() -> bool:
        assert server.poll() is None, "the server has ended"
        with contextlib.suppress(BotoCoreError, ClientError):  # the bucket is there already
            client.create_bucket(Bucket=BUCKET)
        try:
            client.put_object(Bucket=BUCKET, Key="health", Body=b"x")
        except (BotoCoreError, ClientError):
            return False
        return True

    wait_until(stores, seconds=START, every=0.05)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.kill()  # what it keeps is for nobody
    server.wait()


def prefix() -> str:
    """A prefix that nobody else uses."""
    return f"t-{os.getpid()}-{secrets.token_hex(4)}"


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
