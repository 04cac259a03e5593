"""The control API by TLS, and a certificate that is renewed."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.support.certificates import self_signed
from tests.support.waiting import wait_until

from fairlead.api.certificate import Certificate
from fairlead.errors import Invalid

NAME = "IP:127.0.0.1"


def test_the_control_api_answers_by_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, NAME)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "fairlead", "--home", str(tmp_path / "home"), "server"]
    files = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--port", "0", *files], stdout=file, stderr=file)
    try:
        url = wait_until(lambda: re.search(r"https://\S+/api/v1", log.read_text())).group()
        context = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{url}/health", timeout=60, context=context) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_a_certificate_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, NAME)
    found = Certificate(certificate=certificate, key=key)
    before = shown(found)
    found.follow()
    assert shown(found) == before
    self_signed(tmp_path, NAME)
    found.follow()
    after = shown(found)
    assert after != before
    (tmp_path / "tls.crt").write_text("half")
    found.follow()
    assert shown(found) == after


def test_files_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, NAME)
    key.write_text("none")
    for other in (key, tmp_path / "missing"):
        with pytest.raises(Invalid) as refused:
            Certificate(certificate=certificate, key=other)
        assert refused.value.code == "certificate"


def shown(of: Certificate) -> bytes | None:
    """The certificate that a client sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server)
    server = of.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True)
