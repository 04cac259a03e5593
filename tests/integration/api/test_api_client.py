"""The client of the control API: what it waits for, what it sends to whom, and what it is told."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.contract.ledger_contract import commit_and_claim
from tests.integration.api.conftest import Home
from tests.support.control_server import ControlServer, control_server
from tests.support.faulty_proxy import (
    FaultyProxy,
    answer_lost,
    cut_at_once,
    cut_in_the_middle,
)
from tests.support.ports import free_ports

from fairlead.api_client import PLAIN, TOKEN, TOKEN_FILE, ApiClient
from fairlead.errors import FairleadError, Invalid, Lost, NotFound, Unreachable
from fairlead.ledger.store import open_ledger
from fairlead.records import Counts, NewTask, Result, Study, Trial
from fairlead.server.auth import add_token, remove_token


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlServer]:
    with control_server() as started, started.serving(tmp_path_factory.mktemp("server")):
        yield started


class Heard(BaseHTTPRequestHandler):
    """A server that answers as it is told, and keeps what it heard."""

    status = 200
    headers_back: dict[str, str] = {}  # noqa: RUF012 - set by each test
    heard: list[Any] = []  # noqa: RUF012 - set by each test

    def _answer(self) -> None:
        self.heard.append((self.path, dict(self.headers)))
        self.send_response(self.status)
        for name, value in self.headers_back.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@contextmanager
def listening(
    status: int = 200, *, tls: ssl.SSLContext | None = None, **headers: str
) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives this answer; its URL, and what it heard."""
    heard: list[Any] = []
    kind = type("Bound", (Heard,), {"status": status, "headers_back": headers, "heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def client(url: str, patience: float = 0.0, **environ: str) -> ApiClient:
    return ApiClient(url, setting="$FAIRLEAD_LEDGER", patience=patience, environ=environ)


def refused(url: str, **environ: str) -> FairleadError:
    with pytest.raises(FairleadError) as caught:
        client(url, **environ).ask("GET", "/runs")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("fault", [cut_at_once, answer_lost, cut_in_the_middle])
def test_a_connection_that_is_cut_is_made_again(server: ControlServer, fault: Any) -> None:
    with FaultyProxy(server.url).running() as proxy, open_ledger(proxy.url) as ledger:
        planned = proxy.plan(fault, method="POST", times=3)
        assert ledger.runs.all() == []
        assert planned.met == 3


def test_a_server_that_is_away_is_waited_for_and_then_given_up() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(Unreachable, match=r"no answer from the server.*FAIRLEAD_LEDGER"):
        client(url, patience=0.3).ask("GET", "/health")
    with listening(503) as (url, heard):
        with pytest.raises(Unreachable, match="answers 503"):
            client(url, patience=0.3).ask("GET", "/health")
        assert len(heard) > 2


def test_opening_does_not_wait() -> None:
    with pytest.raises(Unreachable):
        open_ledger(f"http://127.0.0.1:{free_ports(1)[0]}", patience=600.0)


def test_a_client_goes_on_after_a_fork(server: ControlServer) -> None:
    with open_ledger(server.url) as ledger:
        ledger.now()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if [ledger.now() for _ in range(20)] else 1
            finally:
                os._exit(status)
        for _ in range(20):
            ledger.now()
        assert os.waitpid(child, 0)[1] == 0


def test_several_threads_share_a_client(server: ControlServer) -> None:
    with open_ledger(server.url) as ledger:
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                for _ in range(10):
                    assert ledger.now() > 0
            except BaseException as error:  # noqa: BLE001 - told to the test
                failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []


def test_what_was_done_though_nobody_heard_of_it_is_done_once(server: ControlServer) -> None:
    study = Study(id="5" * 64, name="n", spec="{}", table="7" * 64, size=2)
    tasks = [
        NewTask(kind="trials", trials=(Trial(number=n, family="f", params={}),)) for n in (0, 1)
    ]
    with FaultyProxy(server.url).running() as proxy, open_ledger(proxy.url) as ledger:
        for change in (
            lambda: ledger.studies.open(study),
            lambda: ledger.tasks.add(study.id, tasks),
        ):
            lost = proxy.plan(answer_lost, method="POST", times=2)
            change()
            assert lost.met == 2
        proxy.plan(answer_lost, method="POST", times=2)
        claim = ledger.tasks.claim("w", lease=60)
        assert claim is not None
        assert ledger.studies.counts(study.id) == Counts(ready=1, running=1)
        lost = proxy.plan(answer_lost, method="POST", times=2)
        following = commit_and_claim(ledger, claim, [Result(number=0, state="done")], lease=60)
        assert lost.met == 2
        assert following is not None
        assert following.trials[0].number == 1
        proxy.plan(answer_lost, method="POST", times=2)
        ledger.tasks.commit(following, [Result(number=1, state="done")])
        assert ledger.studies.counts(study.id) == Counts(done=2)
        kinds = [event.kind for event in ledger.studies.events(study.id)]
        assert kinds == ["opened", "claimed", "committed", "claimed", "committed"]
        with pytest.raises(Lost):
            ledger.tasks.commit(following, [Result(number=1, state="done")])


# ---- the token ------------------------------------------------------------------------------


def test_the_token_goes_to_the_server_and_nowhere_else() -> None:
    with (
        listening() as (other, heard_there),
        listening(302, Location=f"{other}/api/v1/runs") as (url, heard),
    ):
        error = refused(url, **{TOKEN: "secret"})
        assert isinstance(error, Invalid)
        assert [each["Authorization"] for _, each in heard] == ["Bearer secret"]
        assert heard_there == []


def test_a_token_is_not_sent_in_plain_text_to_another_machine() -> None:
    for url in ("http://example.org", "http://192.0.2.1:8000", "http://[2001:db8::1]"):
        with pytest.raises(Invalid, match="everybody on the way could read the token") as caught:
            client(url, **{TOKEN: "secret"})
        assert "secret" not in str(caught.value)
        client(url, **{TOKEN: "secret", PLAIN: "1"})
        client(url)
        client(url.replace("http:", "https:"), **{TOKEN: "secret"})
    for url in ("http://localhost:1", "http://127.8.8.8", "http://[::1]:9"):
        client(url, **{TOKEN: "secret"})


def test_a_url_with_a_token_in_it_is_refused_and_not_shown() -> None:
    for url in (
        "https://me:secret@example.org",
        "https://secret@example.org/x",
        "https://example.org?token=secret",
        "https://example.org#secret",
    ):
        with pytest.raises(Invalid, match=TOKEN) as caught:
            client(url)
        assert "secret" not in str(caught.value)
    for url in (
        "https://",
        "ftp://example.org",
        "example.org",
        "https://me:secret@example.org:99999",
        "http://[::1?secret",
        "http://127.0.0.1:0",
    ):
        with pytest.raises(Invalid, match="must be a URL") as caught:
            client(url)
        assert "secret" not in str(caught.value)


def test_a_token_in_a_file_is_read_again_where_it_is_refused(home: Home, tmp_path: Path) -> None:
    tokens = home.settings.tokens
    add_token(tokens, "another", role="viewer")
    file = tmp_path / "token"
    file.write_text(add_token(tokens, "first", role="viewer") + "\n")
    served = home.serve("--no-controller")
    asking = client(served.url, **{TOKEN_FILE: str(file)})
    assert asking.ask("GET", "/runs").status == 200
    file.write_text(add_token(tokens, "second", role="viewer"))
    remove_token(tokens, "first")
    assert asking.ask("GET", "/runs").status == 200
    remove_token(tokens, "second")
    with pytest.raises(Invalid, match=f"does not accept the token in .{TOKEN_FILE}") as caught:
        asking.ask("GET", "/runs")
    assert caught.value.code == "unauthorized"
    with pytest.raises(Invalid, match=f"set .{TOKEN}"):
        client(served.url).ask("GET", "/runs")


def test_what_is_no_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for odd in (str(tmp_path / "none"), str(tmp_path / "binary"), str(tmp_path)):
        with pytest.raises(Invalid, match=TOKEN_FILE):
            client("https://example.org", **{TOKEN_FILE: odd})
    for odd in ("two words", "a\nb: c", "\u00e9"):
        with pytest.raises(Invalid, match="no token"):
            client("https://example.org", **{TOKEN: odd})


# ---- answers --------------------------------------------------------------------------------


def test_what_is_no_fairlead_server_is_told(server: ControlServer) -> None:
    with listening(404) as (url, _):
        assert "as no Fairlead server does" in str(refused(url))
    with listening(500) as (url, _):
        assert "answers 500" in str(refused(url))
    with pytest.raises(NotFound, match="no study"), open_ledger(server.url) as ledger:
        ledger.studies.get("none")


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context = _own_certificate(tmp_path)
    with listening(tls=context) as (url, heard):
        error = refused(url, **{TOKEN: "secret"})
        assert isinstance(error, Invalid)
        assert "certificate is not accepted" in str(error)
        assert heard == []


def test_a_certificate_of_a_known_authority_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _own_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    with listening(tls=context) as (url, heard):
        assert client(url, **{TOKEN: "secret"}).ask("GET", "/runs").status == 200
        assert heard[0][1]["Authorization"] == "Bearer secret"


def _own_certificate(folder: Path) -> ssl.SSLContext:
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    files = ["-nodes", "-keyout", "key.pem", "-out", "own.pem", "-days", "2", "-subj", "/CN=own"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*new, *files, *names], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem", folder / "key.pem")
    return context
