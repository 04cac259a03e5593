"""The certificate by which a server speaks TLS: two files, read again when they are others.

Whoever renews it writes them anew, as cert-manager does in a Secret that is mounted. Connections
that are open keep the one before.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.errors import Invalid


@dataclass(kw_only=True)
class Certificate:
    """A certificate with its chain, and its private key, as PEM files.

    Raises:
        Invalid: They cannot be read, or do not belong together.
    """

    certificate: Path
    key: Path
    context: ssl.SSLContext = field(init=False)
    _read: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise Invalid(
                f"the certificate {str(self.certificate)!r} with the key {str(self.key)!r} cannot "
                f"be used: {error}; give PEM files that belong together",
                code="certificate",
            ) from error

    def follow(self) -> None:
        """Read the files again where they were written since."""
        try:
            if self._written() != self._read:
                self._load()
        except (OSError, ssl.SSLError):  # half written: the next look finds the rest
            return

    def _load(self) -> None:
        written = self._written()
        self.context.load_cert_chain(self.certificate, self.key)
        self._read = written

    def _written(self) -> tuple[int, ...]:
        return tuple(one.stat().st_mtime_ns for one in (self.certificate, self.key))
