"""An AMQP URL says all that is needed, and what is wrong with one is told without its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import Invalid
from fairlead.queue.address import Address, read_address

SECRET = "s3cr3t"


def test_a_url_with_everything_is_read() -> None:
    address = read_address(
        "amqps://ann:s3%2Fcr%40t@mq.example:5673/team%2Fa?prefix=x.&cacertfile=/ca.pem"
        "&certfile=/me.pem&keyfile=/me.key&heartbeat=20&connection_timeout=3"
    )
    assert address == Address(
        host="mq.example",
        port=5673,
        vhost="team/a",
        user="ann",
        password="s3/cr@t",
        tls=True,
        cacertfile=Path("/ca.pem"),
        certfile=Path("/me.pem"),
        keyfile=Path("/me.key"),
        prefix="x.",
        heartbeat=20,
        connection_timeout=3,
    )


@pytest.mark.parametrize(
    ("url", "port"), [("amqp://mq.example", 5672), ("amqps://mq.example/", 5671)]
)
def test_what_a_url_does_not_say_is_what_amqp_says(url: str, port: int) -> None:
    address = read_address(url)
    assert (address.port, address.vhost, address.user) == (port, "/", "guest")
    assert address.current_password() == "guest"


def test_the_password_is_shown_nowhere() -> None:
    address = read_address(f"amqp://ann:{SECRET}@[::1]/team")
    assert str(address) == "amqp://ann@[::1]:5672/team"
    assert SECRET not in repr(address)


def test_the_first_line_of_a_file_is_the_password(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(f"{SECRET}\nmore\n")
    address = read_address(f"amqp://ann@mq.example?password_file={tmp_path}/file")
    assert address.current_password() == SECRET


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"], ids=["empty", "blank", "no text"])
def test_a_file_without_a_password_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    address = read_address(f"amqp://ann@mq.example?password_file={tmp_path}/file")
    with pytest.raises(Invalid, match=r"holds no password|not UTF-8"):
        address.current_password()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"amqp://ann:{SECRET}/x@mq.example", "has an @ after its host"),
        (f"amqp://ann:1/{SECRET}@mq.example", "has an @ after its host"),
        (f"amqp://ann:1?{SECRET}@mq.example", "has an @ after its host"),
        (f"amqp://ann:1#{SECRET}@mq.example", "has an @ after its host, or a #"),
        (f"amqp://ann:{SECRET}", "the port must be a number"),
        ("amqp://mq.example:0", "the port must be a number"),
        ("amqp://mq.example:99999", "the port must be a number"),
        (f"amqp://[ann:{SECRET}@mq.example", "is no URL"),
        (f"http://ann:{SECRET}@mq.example", "begins with amqp:// or amqps://"),
        (f"amqp://ann:{SECRET}@", "names no host"),
        (f"amqp://ann:{SECRET}@mq.example/a/b", "one virtual host may follow"),
        (f"amqp://ann:{SECRET}@mq.example?hartbeat=3", "did you mean 'heartbeat'?"),
        (f"amqp://ann:{SECRET}@mq.example?heartbeat=0", "from 1 to 3600 seconds, not '0'"),
        (f"amqp://ann:{SECRET}@mq.example?heartbeat=3&heartbeat=4", "is given twice"),
        (f"amqp://ann:{SECRET}@mq.example?prefix=", "'prefix' has no value"),
        (f"amqp://ann:{SECRET}@mq.example?password_file=f", "keep one of the two"),
        (f"amqp://ann:{SECRET}@mq.example?cacertfile=f", "cacertfile is for amqps://"),
        (f"amqps://ann:{SECRET}@mq.example?keyfile=f", "keyfile needs certfile"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_without_the_password(url: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_address(url)
    assert why in str(caught.value)
    assert str(caught.value).startswith("$FAIRLEAD_QUEUE")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
