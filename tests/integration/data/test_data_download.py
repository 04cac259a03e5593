"""Downloads from a real server that is slow, wrong, broken or hostile."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fairlead.data.catalog import ENTRIES
from fairlead.data.download import download
from fairlead.data.read import read
from fairlead.errors import Failed, FairleadError, InvalidData, InvalidSpec, Unreachable
from fairlead.settings import Settings
from fairlead.spec.document import Data

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(kw_only=True)
class Web:
    """One server: what it answers by path, and the paths that it was asked for."""

    root: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, Host header)
    stopping: threading.Event = field(default_factory=threading.Event)

    def add(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return self.root + path

    def gives(self, path: str, content: bytes) -> str:
        return self.add(path, sends(content))


def sends(
    content: bytes, *, status: int = 200, length: int | None = None, **headers: str
) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def serve(address: str, context: ssl.SSLContext | None = None) -> Iterator[Web]:
    web = Web(root="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append((self.path, self.headers["Host"]))
            web.answers.get(self.path, sends(b"no", status=404))(self)

        def log_message(self, *_: object) -> None:
            """Nothing: a test's output is its own."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that hang up are what is tested."""

    with Server((address, 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        web.root = f"{'http' if context is None else 'https'}://{address}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield web
        web.stopping.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    yield from serve("127.0.0.1")


@pytest.fixture
def secure(certificate: ssl.SSLContext) -> Iterator[Web]:
    yield from serve("127.0.0.1", certificate)


@pytest.fixture
def public(certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server at an address that counts as one of the public internet."""
    monkeypatch.setattr("fairlead.data.address.is_public", lambda found: str(found) == "127.0.0.2")
    yield from serve("127.0.0.2", certificate)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for both addresses and `data.test`, which this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "data.test")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("data.test")]
    names += [x509.IPAddress(ipaddress.ip_address(f"127.0.0.{n}")) for n in (1, 2)]
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


ROWS = b"a,y\n1,1\n2,2\n3,4\n"


SECOND = "Fri, 31 Dec 1999 10:00:00 GMT"


def local(settings: Settings, **limits: Any) -> Settings:
    return replace(settings, allow_private_urls=True, **limits)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def drip(web: Web) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not web.stopping.wait(0.02):
            request.wfile.write(b"x")

    return answer


def drip_headers(web: Web) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        while not web.stopping.wait(0.02):
            request.wfile.write(b"X")

    return answer


def drip_chunk(web: Web) -> Answer:
    """A chunk whose size never ends."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not web.stopping.wait(0.02):
            request.wfile.write(b"0")

    return answer


def hang(web: Web) -> Answer:
    return lambda _: web.stopping.wait(60) and None


def then(*answers: Answer) -> Answer:
    """One answer after the other, the last one again and again."""
    left = list(answers)

    def answer(request: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


class TestContent:
    def test_a_file_comes_once_and_is_then_taken_from_the_cache(
        self, web: Web, settings: Settings
    ) -> None:
        url = web.gives("/rows.csv", ROWS)
        assert download(url, settings=local(settings)) == ROWS
        web.gives("/rows.csv", b"other")
        assert download(url, settings=local(settings)) == ROWS
        assert len(web.asked) == 1

    def test_a_server_that_is_to_be_asked_again_sends_what_has_changed(
        self, web: Web, settings: Settings
    ) -> None:
        again = local(settings, ask_again=True)
        url = web.gives("/rows.csv", ROWS)
        assert download(url, settings=again) == ROWS
        web.gives("/rows.csv", b"other")
        assert download(url, settings=again) == b"other"
        assert download(url, settings=local(settings)) == b"other"  # what came last
        web.add("/rows.csv", sends(b"", status=503))
        with pytest.raises(Unreachable, match="503"):
            download(url, settings=again)

    @pytest.mark.parametrize(
        ("sent", "asked"),
        [
            ({"ETag": '"one"'}, {"If-None-Match": '"one"'}),
            ({"Last-Modified": SECOND}, {"If-Modified-Since": SECOND}),
            ({"ETag": 'W/"one"', "Last-Modified": SECOND}, {}),
            ({"Last-Modified": "Fri, 31 Dec 2100 10:00:00 GMT"}, {}),
            ({"Last-Modified": "lately"}, {}),
            ({}, {}),
        ],
        ids=["tag", "date", "weak tag", "date of now", "no date", "neither"],
    )
    def test_a_file_that_has_not_changed_is_not_sent_again(
        self, web: Web, settings: Settings, sent: dict[str, str], asked: dict[str, str]
    ) -> None:
        conditions: list[dict[str, str]] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            said = {name: text for name, text in request.headers.items() if name.startswith("If-")}
            conditions.append(said)
            (sends(b"", status=304) if said else sends(ROWS, **sent))(request)

        again = local(settings, ask_again=True)
        web.add("/rows.csv", answer)
        url = web.add("/moved", sends(b"", status=302, Location="/rows.csv"))
        for _ in range(3):
            assert download(url, settings=again) == ROWS
        assert conditions == [{}, asked, asked]
        (again.downloads / hashlib.sha256(ROWS).hexdigest()).write_bytes(b"damaged")
        assert download(url, settings=again) == ROWS
        assert conditions[3] == {}

    def test_a_tag_is_one_of_the_address_that_gave_it(self, web: Web, settings: Settings) -> None:
        again = local(settings, ask_again=True)

        def other(request: BaseHTTPRequestHandler) -> None:
            assert "If-None-Match" not in request.headers
            sends(b"other")(request)

        web.add("/rows.csv", sends(ROWS, ETag='"1"'))
        web.add("/other.csv", other)
        url = web.add("/moved", sends(b"", status=302, Location="/rows.csv"))
        assert download(url, settings=again) == ROWS
        web.add("/moved", sends(b"", status=302, Location="/other.csv"))
        assert download(url, settings=again) == b"other"

    def test_a_known_digest_is_asked_for_again_too(self, web: Web, settings: Settings) -> None:
        again = local(settings, ask_again=True)
        digest = hashlib.sha256(ROWS).hexdigest()
        url = web.gives("/rows.csv", ROWS)
        assert download(url, settings=again, digest=digest) == ROWS
        web.gives("/rows.csv", b"other")
        with pytest.raises(InvalidData, match=r"^data\.digest: "):
            download(url, settings=again, digest=digest)

    def test_a_damaged_cache_is_fetched_again(self, web: Web, settings: Settings) -> None:
        url = web.gives("/rows.csv", ROWS)
        download(url, settings=local(settings))
        (settings.downloads / hashlib.sha256(ROWS).hexdigest()).write_bytes(b"damaged")
        assert download(url, settings=local(settings)) == ROWS
        assert len(web.asked) == 2

    def test_a_file_of_a_known_digest_is_found_under_any_url(
        self, web: Web, settings: Settings
    ) -> None:
        download(web.gives("/rows.csv", ROWS), settings=local(settings))
        digest = hashlib.sha256(ROWS).hexdigest()
        other = f"{web.root}/moved.csv"
        assert download(other, settings=local(settings), digest=digest) == ROWS
        assert len(web.asked) == 1

    def test_another_file_than_the_digest_says_is_refused_and_not_kept(
        self, web: Web, settings: Settings
    ) -> None:
        url = web.gives("/rows.csv", ROWS)
        with pytest.raises(InvalidData, match=rf"^data\.digest: .*, not sha256:{'0' * 64}"):
            download(url, settings=local(settings), digest="0" * 64)
        assert files(settings.home) == []

    def test_a_folder_that_cannot_be_written_is_named(self, web: Web, settings: Settings) -> None:
        settings.home.write_text("a file where the folder should be")
        with pytest.raises(Failed, match=r"keeping the download of .*rows\.csv' in .*downloads'"):
            download(web.gives("/rows.csv", ROWS), settings=local(settings))

    def test_progress_is_told_up_to_the_last_byte(self, web: Web, settings: Settings) -> None:
        content = bytes(300_000)
        seen: list[tuple[int, int | None]] = []
        download(
            web.gives("/big", content),
            settings=local(settings),
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen[-1] == (300_000, 300_000)
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})

    def test_an_answer_without_a_length_is_read_to_its_end(
        self, web: Web, settings: Settings
    ) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            request.wfile.write(ROWS)

        assert download(web.add("/rows.csv", answer), settings=local(settings)) == ROWS

    def test_a_table_is_read_from_a_url(self, web: Web, settings: Settings) -> None:
        data = Data(source=web.gives("/rows.csv", ROWS), target="y")
        table = read(data, base=Path(), settings=local(settings))
        assert table.target.tolist() == [1, 2, 4]

    def test_a_mirror_folder_goes_before_the_web(
        self, web: Web, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "rows.csv").write_bytes(ROWS)
        data = Data(source=f"{web.root}/rows.csv", target="y")
        read(data, base=Path(), settings=local(settings, data=(tmp_path,)))
        assert web.asked == []


class TestFaults:
    def test_404_is_refused_at_once(self, web: Web, settings: Settings) -> None:
        with pytest.raises(InvalidData, match=r"^data\.source: .* answers 404 Not Found"):
            download(f"{web.root}/nothing.csv", settings=local(settings))
        assert len(web.asked) == 1
        assert not settings.home.exists()

    def test_a_server_that_is_briefly_down_is_asked_again(
        self, web: Web, settings: Settings
    ) -> None:
        url = web.add(
            "/rows.csv", then(sends(b"", status=503), sends(b"", status=500), sends(ROWS))
        )
        assert download(url, settings=local(settings)) == ROWS
        assert len(web.asked) == 3

    def test_a_server_that_stays_down_is_given_up(self, web: Web, settings: Settings) -> None:
        url = web.add("/rows.csv", sends(b"", status=502))
        with pytest.raises(Unreachable, match=r"answers 502 Bad Gateway \(4 attempts\)"):
            download(url, settings=local(settings))
        assert len(web.asked) == 4

    def test_a_body_that_breaks_off_is_fetched_again_from_its_start(
        self, web: Web, settings: Settings
    ) -> None:
        url = web.add("/rows.csv", then(sends(ROWS[:7], length=len(ROWS)), sends(ROWS)))
        assert download(url, settings=local(settings)) == ROWS

    def test_nobody_listening_is_unreachable(self, settings: Settings) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/rows.csv"
            with pytest.raises(Unreachable, match=r"cannot be reached: .*refused"):
                download(url, settings=local(settings))

    def test_a_catalog_file_that_cannot_be_fetched_may_be_put_into_a_folder(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/t10k-images-idx3-ubyte.gz"
            entries = {**ENTRIES, "mnist": replace(ENTRIES["mnist"], url=url)}
            monkeypatch.setattr("fairlead.data.read.ENTRIES", entries)
            monkeypatch.setattr("fairlead.data.catalog._CARRIED", tmp_path)
            with pytest.raises(Unreachable) as caught:
                read(Data(source="mnist"), base=tmp_path, settings=local(settings))
        assert str(caught.value).endswith(
            "without a network, put 't10k-images-idx3-ubyte.gz' and 't10k-labels-idx1-ubyte.gz' "
            "into a folder that FAIRLEAD_DATA names"
        )

    def test_a_name_that_nobody_has_is_unreachable(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(Unreachable, match=r"the name 'data\.test' is not known"):
            download("https://data.test/rows.csv", settings=settings)

    @pytest.mark.parametrize("slow", [hang, drip, drip_headers, drip_chunk])
    def test_a_server_that_hangs_or_drips_is_left_in_time(
        self, web: Web, settings: Settings, slow: Any
    ) -> None:
        url = web.add("/rows.csv", slow(web))
        began = time.monotonic()
        with pytest.raises(InvalidData, match=r"took longer than the 0\.3 s"):
            download(url, settings=local(settings, download_seconds=0.3))
        assert time.monotonic() - began < 3
        assert not settings.home.exists()

    def test_a_hanging_server_is_left_in_time_over_https_too(
        self, secure: Web, settings: Settings
    ) -> None:
        url = secure.add("/rows.csv", drip(secure))
        with pytest.raises(InvalidData, match=r"took longer than the 0\.4 s"):
            download(url, settings=local(settings, download_seconds=0.4))

    def test_a_file_that_says_it_is_too_large_is_refused_unread(
        self, web: Web, settings: Settings
    ) -> None:
        url = web.add("/rows.csv", sends(b"", length=10**9))
        with pytest.raises(InvalidData, match=r"more than the 1000 bytes .*FAIRLEAD_MAX_DOWNLOAD"):
            download(url, settings=local(settings, max_download=1000))

    def test_a_file_that_turns_out_too_large_is_refused(self, web: Web, settings: Settings) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            while not web.stopping.is_set():
                request.wfile.write(bytes(1 << 16))

        url = web.add("/rows.csv", answer)
        with pytest.raises(InvalidData, match=r"more than the 1000000 bytes"):
            download(url, settings=local(settings, max_download=1_000_000))
        assert not settings.home.exists()


class TestAddresses:
    def test_http_is_refused_before_connecting(self, web: Web, settings: Settings) -> None:
        with pytest.raises(InvalidSpec, match="must begin with https://"):
            download(web.gives("/rows.csv", ROWS), settings=settings)
        assert web.asked == []

    def test_a_private_address_is_refused_before_connecting(
        self, secure: Web, settings: Settings
    ) -> None:
        with pytest.raises(InvalidSpec, match=r"leads to the private address 127\.0\.0\.1"):
            download(secure.gives("/rows.csv", ROWS), settings=settings)
        assert secure.asked == []

    def test_a_public_address_is_not(self, public: Web, settings: Settings) -> None:
        assert download(public.gives("/rows.csv", ROWS), settings=settings) == ROWS

    def test_a_redirect_to_a_private_address_is_refused_before_connecting(
        self, public: Web, secure: Web, settings: Settings
    ) -> None:
        inside = secure.gives("/rows.csv", ROWS)
        url = public.add("/go", sends(b"", status=302, Location=inside))
        with pytest.raises(InvalidSpec, match=r"leads to the private address 127\.0\.0\.1"):
            download(url, settings=settings)
        assert secure.asked == []

    def test_a_redirect_to_http_is_refused(self, public: Web, web: Web, settings: Settings) -> None:
        inside = web.gives("/rows.csv", ROWS)
        url = public.add("/go", sends(b"", status=301, Location=inside))
        with pytest.raises(InvalidSpec, match="must begin with https://"):
            download(url, settings=settings)
        assert web.asked == []

    def test_a_redirect_is_followed_relative_to_where_it_came_from(
        self, web: Web, settings: Settings
    ) -> None:
        web.gives("/files/rows.csv", ROWS)
        url = web.add("/files/old", sends(b"", status=307, Location="rows.csv"))
        assert download(url, settings=local(settings)) == ROWS

    def test_redirects_that_go_round_are_left(self, web: Web, settings: Settings) -> None:
        url = web.add("/round", sends(b"", status=302, Location="/round"))
        with pytest.raises(InvalidData, match="redirects more than 5 times"):
            download(url, settings=local(settings))

    def test_a_name_that_changes_its_address_is_asked_once(
        self, public: Web, secure: Web, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DNS rebinding: public when it is checked, private when it is connected to."""
        real, lookups = socket.getaddrinfo, iter(["127.0.0.2", "127.0.0.1"])

        def rebinding(host: Any, *args: Any, **kwargs: Any) -> Any:
            return real(next(lookups) if host == "data.test" else host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        port = public.root.rsplit(":", 1)[1]
        public.gives("/rows.csv", ROWS)
        content = download(f"https://data.test:{port}/rows.csv", settings=settings)
        assert content == ROWS
        assert public.asked == [("/rows.csv", f"data.test:{port}")]
        assert secure.asked == []
        assert next(lookups) == "127.0.0.1"

    def test_a_certificate_of_another_name_is_refused(
        self, public: Web, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *a, **k: real("127.0.0.2" if host == "other.test" else host, *a, **k),
        )
        port = public.root.rsplit(":", 1)[1]
        with pytest.raises(InvalidData, match=r"certificate of 'other\.test' is refused"):
            download(f"https://other.test:{port}/rows.csv", settings=settings)

    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, public: Web, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(InvalidData, match=r"certificate of '127\.0\.0\.2' is refused"):
            download(public.gives("/rows.csv", ROWS), settings=settings)
        assert public.asked == []

    def test_every_refusal_is_one_line(self, web: Web, settings: Settings) -> None:
        with pytest.raises(FairleadError) as caught:
            download(f"{web.root}/nothing", settings=local(settings))
        assert "\n" not in str(caught.value)
