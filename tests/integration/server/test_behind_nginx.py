"""Servers behind nginx, with the configuration of docs/serving.md as it stands there."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from fairlead.rollout.routes import undo
from fairlead.rollout.start import start_deployment
from fairlead.spec.document import Judge, Serve
from tests.integration.server.rig import BEYOND, MODEL, Home, failing_beyond, load, serving
from tests.lacking import lacking
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

PAGE = Path(__file__).resolve().parents[3] / "docs/serving.md"
MAIN = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/fairlead.conf;
}}
"""
STICKY = Serve(sticky="header:X-User", judge=Judge(hold=600.0))  # a canary stays where it is


@contextlib.contextmanager
def nginx(folder: Path, *, listen: int, servers: list[int]) -> Iterator[str]:
    """nginx in front of servers at these ports; its URL."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        lacking("nginx")
    (config,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for written, port in (
        ("listen 8000", listen),
        ("127.0.0.1:8080", servers[0]),
        ("127.0.0.1:8081", servers[1]),
    ):
        assert config.count(written) == 1
        config = config.replace(written, f"{written[:-4]}{port}")
    folder.mkdir()
    user = "" if os.geteuid() else "user root;"  # its workers could not write to the folder
    (folder / "fairlead.conf").write_text(config)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    child = subprocess.Popen(
        [
            program,
            "-p",
            str(folder),
            "-e",
            str(folder / "error.log"),
            "-c",
            str(folder / "nginx.conf"),
        ]
    )
    try:
        wait_until(lambda: _listens(listen) or child.poll() is not None)
        assert child.poll() is None, (folder / "error.log").read_text()
        yield f"http://127.0.0.1:{listen}"
    finally:
        child.send_signal(signal.SIGQUIT)
        try:
            child.wait(10)
        finally:
            child.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def ask(url: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
    """How nginx answers: status, revision, content."""
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    with contextlib.closing(client):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request("POST" if body is not None else "GET", path, body, named)
        answer = client.getresponse()
        return answer.status, answer.getheader("Fairlead-Revision", ""), answer.read()


BODY = json.dumps({"rows": [{"number": 5.0}]}).encode()
PREDICT = f"/models/{MODEL}:predict"


def test_a_canary_a_rollback_and_restarts_go_through_nginx_without_a_request_lost(
    home: Home, tmp_path: Path
) -> None:
    listen, first, second = free_ports(3)
    good, bad = home.good(), home.version(failing_beyond())
    with (
        nginx(tmp_path / "nginx", listen=listen, servers=[first, second]) as url,
        serving(home, "--port", str(first)),
    ):
        wait_until(lambda: ask(url, PREDICT, BODY)[0] == 200)
        with serving(home, "--port", str(second)) as other, load(url, clients=6) as clients:
            assert home.ended(home.deploy(good, 10, 50, 100)).state == "done"
            wait_until(home.followed)
            assert other.end() == 0  # the second server goes ...
            before = clients.total
            wait_until(lambda: clients.total > before + 200)
        with serving(home, "--port", str(second)), load(url, clients=6) as again:  # ... and comes
            with load(url, clients=1, number=BEYOND + 5) as hurt:
                ended = home.ended(home.deploy(bad, 50, 100))
                wait_until(home.followed)
            assert ended.state == "undone", ended
            undo(home.stores, MODEL, why="a try")
            wait_until(home.followed)
            before = again.total
            wait_until(lambda: again.total > before + 50)
    for found in (clients, again):
        assert not found.failed
        assert not found.broken
    assert clients.by("v1")
    assert clients.by("v2")
    assert not hurt.broken
    assert {status for status, _ in hurt.answers} <= {200, 500}


def test_what_a_proxy_sends_is_understood(home: Home, tmp_path: Path) -> None:
    listen, first, second = free_ports(3)
    with (
        nginx(tmp_path / "nginx", listen=listen, servers=[first, second]) as url,
        serving(home, "--port", str(first)),
    ):
        wait_until(lambda: ask(url, "/readyz")[0] == 200)
        sticky = start_deployment(home.stores, MODEL, version=1, steps=(100,), serve=STICKY)
        assert home.ended(sticky).state == "done"
        start_deployment(home.stores, MODEL, version=home.good(), steps=(50, 100), serve=STICKY)
        wait_until(lambda: home.followed() and home.route().traffic.get("v2") == 50)
        users = {f"user-{number}" for number in range(40)}
        found = {
            user: {ask(url, PREDICT, BODY, X_User=user)[1] for _ in range(4)} for user in users
        }
        assert {len(revisions) for revisions in found.values()} == {1}  # each stays with its own
        assert set.union(*found.values()) == {"v1-2", "v2"}
        user = next(user for user in users if found[user] == {"v1-2"})
        chosen = ask(url, PREDICT, BODY, X_User=user, Fairlead_Revision="v2")
        assert chosen[1] == "v1-2"  # the public may not choose
        large = json.dumps({"rows": [{"number": 5.0}] * 90_000}).encode()
        assert len(large) > 1 << 20
        assert ask(url, PREDICT, large)[0] == 200
        status, _, content = ask(url, "/models/a%2Fb:predict", BODY)
        assert status == 404
        assert "no model 'a/b' is served here" in json.loads(content)["error"]  # the path as it was
