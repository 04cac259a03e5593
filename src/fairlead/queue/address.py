"""Where a RabbitMQ broker is, and who asks: an AMQP URL, read once.

    amqps://USER:PASSWORD@HOST:PORT/VHOST?prefix=staging.&cacertfile=/etc/ca.pem

Its parameters have the names of RabbitMQ's own URIs. A URL that cannot be read is never quoted, nor
a part of it: a password in which a character was not encoded may be anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fairlead.errors import Invalid
from fairlead.formatting import did_you_mean

SETTING = "$FAIRLEAD_QUEUE"
_PORTS = {"amqp": 5672, "amqps": 5671}
_FILES = ("password_file", "cacertfile", "certfile", "keyfile")
_KNOWN = (*_FILES, "prefix", "heartbeat", "connection_timeout")
_ENCODE = "in a user name or password, write / ? # @ : and % as %2F %3F %23 %40 %3A and %25"
_LONGEST = 3600
_DEFAULT = "guest"  # user and password of AMQP's own URIs; lets in from the broker's machine alone


@dataclass(frozen=True, kw_only=True)
class Address:
    """A broker and how to log in.

    Args:
        host: Name or IP address.
        port: TCP port.
        vhost: Virtual host.
        user: Name of the user.
        password: Its password, where the URL holds it.
        password_file: File whose first line is the password, read at each connection.
        tls: Whether the connection is encrypted and the broker's certificate checked.
        cacertfile: Certificates of who may have signed the broker's; the system's where None.
        certfile: Certificate that the client shows, where the broker wants one.
        keyfile: Its private key.
        prefix: What the names of the queues begin with.
        heartbeat: Seconds after which a silent connection counts as lost.
        connection_timeout: Seconds that a connection may take to come about.
    """

    host: str
    port: int
    vhost: str = "/"
    user: str = _DEFAULT
    password: str = field(default=_DEFAULT, repr=False)
    password_file: Path | None = None
    tls: bool = False
    cacertfile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None
    prefix: str = ""
    heartbeat: int = 15
    connection_timeout: int = 10

    def __str__(self) -> str:
        scheme = "amqps" if self.tls else "amqp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        vhost = "" if self.vhost == "/" else f"/{self.vhost}"
        return f"{scheme}://{self.user}@{host}:{self.port}{vhost}"

    def current_password(self) -> str:
        """The password; a file may have changed since it was last read.

        Raises:
            Invalid: The file cannot be read, or holds none.
        """
        if self.password_file is None:
            return self.password
        try:
            lines = self.password_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise Invalid(
                f"cannot read the password of {self} from {str(self.password_file)!r}: {why}"
            ) from None
        if not lines or not lines[0]:
            raise Invalid(f"the first line of {str(self.password_file)!r} holds no password")
        return lines[0]


def read_address(url: str) -> Address:
    """Read an AMQP URL.

    Raises:
        Invalid: It is none; says what is wrong without quoting it.
    """
    parts = _split(url)
    port = _port(parts)
    given = _parameters(parts.query)
    _refuse_two_passwords(parts, given)
    files = {name: Path(given[name]).absolute() for name in _FILES if name in given}
    if parts.scheme == "amqp" and (odd := files.keys() - {"password_file"}):
        raise Invalid(f"{SETTING}: {min(odd)} is for amqps://, and the URL begins with amqp://")
    if "keyfile" in files and "certfile" not in files:
        raise Invalid(f"{SETTING}: keyfile needs certfile beside it")
    return Address(
        host=parts.hostname or "",
        port=port,
        vhost=unquote(parts.path[1:]) or "/",
        user=unquote(parts.username or "") or _DEFAULT,
        password=unquote(parts.password or "") or _DEFAULT,
        tls=parts.scheme == "amqps",
        prefix=given.get("prefix", ""),
        heartbeat=_seconds(given, "heartbeat", 15),
        connection_timeout=_seconds(given, "connection_timeout", 10),
        password_file=files.get("password_file"),
        cacertfile=files.get("cacertfile"),
        certfile=files.get("certfile"),
        keyfile=files.get("keyfile"),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Invalid(f"{SETTING} is no URL; {_ENCODE}") from None
    if parts.scheme not in _PORTS:
        raise Invalid(f"{SETTING}: a RabbitMQ URL begins with amqp:// or amqps://")
    if "@" in parts.path + parts.query + parts.fragment or "#" in url:
        raise Invalid(f"{SETTING}: the URL has an @ after its host, or a #; {_ENCODE}")
    if "/" in parts.path[1:]:
        raise Invalid(f"{SETTING}: one virtual host may follow the host; write a / in it as %2F")
    if not parts.hostname:
        raise Invalid(f"{SETTING}: the URL names no host: amqp://USER:PASSWORD@HOST:PORT/VHOST")
    return parts


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise Invalid(f"{SETTING}: the port must be a number from 1 to 65535; {_ENCODE}")
    return port or _PORTS[parts.scheme]


def _parameters(query: str) -> Mapping[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, value in pairs:
        if name not in _KNOWN:
            raise Invalid(f"{SETTING}: unknown parameter {name!r}{did_you_mean(name, _KNOWN)}")
        if not value:
            raise Invalid(f"{SETTING}: parameter {name!r} has no value")
    if len(dict(pairs)) < len(pairs):
        raise Invalid(f"{SETTING}: a parameter is given twice")
    return dict(pairs)


def _refuse_two_passwords(parts: SplitResult, given: Mapping[str, str]) -> None:
    if parts.password and "password_file" in given:
        raise Invalid(f"{SETTING}: password in the URL and password_file; keep one of the two")


def _seconds(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LONGEST):
        raise Invalid(f"{SETTING}: {name} must be from 1 to {_LONGEST} seconds, not {text!r}")
    return int(text)
