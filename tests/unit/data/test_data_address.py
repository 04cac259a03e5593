"""Which addresses data may come from."""

from __future__ import annotations

import ipaddress

import pytest

from fairlead.data.address import is_public, parse, resolve
from fairlead.errors import InvalidSpec


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1", "172.16.5.4", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
        "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_public_internet(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_an_address_of_the_public_internet(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "http://example.org/a.csv",
            "must begin with https://; FAIRLEAD_ALLOW_PRIVATE_URLS=1 allows it to the commands",
        ),
        ("ftp://example.org/a.csv", "must begin with https://"),
        ("s3://bucket/rows/", "copy the file or folder to a disk, or mount it, and give its path"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https:///a.csv", "is no address"),
        ("https://exam ple.org/", "is no address"),
        ("https://example.org/a\n.csv", "is no address"),
        ("https://example.org:99999/", "is no address"),
        ("https://[::1/", "is no address"),
        ("https://me:secret@example.org/a.csv", "a user or a password is refused"),
    ],
)
def test_a_url_that_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse(url, private=False)
    assert says in str(caught.value)
    assert str(caught.value).startswith("data.source: ")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_url_is_taken_apart() -> None:
    url = parse("https://Example.org:8443/x/a.csv?y=1#part", private=False)
    assert (url.scheme, url.host, url.port) == ("https", "example.org", 8443)
    assert (url.target, url.file) == ("/x/a.csv?y=1", "a.csv")


def test_a_name_that_no_host_can_have_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="is no name of a host"):
        resolve(parse(f"https://{'a' * 64}.org/", private=False), private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]"])
def test_a_private_address_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(InvalidSpec, match="leads to the private address"):
        resolve(parse(f"https://{host}/a.csv", private=False), private=False)
