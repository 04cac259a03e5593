"""URLs that data may come from.

Only https, and only public addresses, unless the installation allows others
($FAIRLEAD_ALLOW_PRIVATE_URLS): a spec must not make the machine ask its own network.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TypeAlias
from urllib.parse import urlsplit

from fairlead.errors import InvalidSpec, Unreachable

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "hdfs"}
_COPIED = "; of an object store, copy the file or folder to a disk, or mount it, and give its path"
_ALLOW = (
    "FAIRLEAD_ALLOW_PRIVATE_URLS=1 allows it to the commands of a machine, "
    "and never to clients of a server"
)


@dataclass(frozen=True, kw_only=True)
class Url:
    """An address of the web, taken apart."""

    text: str
    scheme: str
    host: str
    port: int
    target: str  # path and query

    @property
    def file(self) -> str:
        """The last part of the path."""
        return self.target.split("?", 1)[0].rsplit("/", 1)[-1]


def parse(text: str, *, private: bool) -> Url:
    """Take a URL apart.

    Args:
        text: What the spec or a redirect says.
        private: Whether http:// is allowed.

    Raises:
        InvalidSpec: It is not https://, has no host, or holds a user, a password or blanks.
    """
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidSpec(f"data.source: {text!r} is no address: {error}") from error
    if scheme not in _PORTS or (scheme == "http" and not private):
        how = f"; {_ALLOW}" if scheme == "http" else _COPIED if scheme in _STORES else ""
        raise InvalidSpec(f"data.source: {text!r} must begin with https://{how}")
    if not host or not re.fullmatch(r"[!-~]+", text):
        raise InvalidSpec(f"data.source: {text!r} is no address: write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise InvalidSpec(
            "data.source: an address with a user or a password is refused: it would be kept with "
            "the study; download the file and give its path"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(text=text, scheme=scheme, host=host, port=port or _PORTS[scheme], target=target)


def resolve(url: Url, *, private: bool) -> tuple[Address, ...]:
    """The addresses of the URL's host; a connection is made to these and to no others.

    Args:
        url: Where to.
        private: Whether addresses that are not public are allowed.

    Raises:
        InvalidSpec: One of them is not public.
        Unreachable: The name is not known.
    """
    try:
        found = _looked_up(url)
    except UnicodeError as error:
        raise InvalidSpec(f"data.source: {url.host!r} is no name of a host: {error}") from error
    except OSError as error:
        raise Unreachable(f"data.source: the name {url.host!r} is not known: {error}") from error
    addresses = tuple(dict.fromkeys(map(ipaddress.ip_address, found)))
    for address in addresses:
        if not (private or is_public(address)):
            raise InvalidSpec(
                f"data.source: {url.text!r} leads to the private address {address}; {_ALLOW}"
            )
    return addresses


def _looked_up(url: Url) -> list[str]:
    """Aside, so that Ctrl-C is heeded: the system's look-up heeds none, and may take a minute."""
    answer: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
            answer.set_result([str(entry[4][0]) for entry in found])
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)

    Thread(target=look_up, daemon=True).start()
    return answer.result()


def is_public(address: Address) -> bool:
    """Whether the address, and any IPv4 address within it, is one of the public internet."""
    inner = _inner(address)
    return address.is_global and not address.is_multicast and (inner is None or is_public(inner))


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo
