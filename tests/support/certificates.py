"""Certificates that sign themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_signed(folder: Path, *names: str) -> tuple[Path, Path]:
    """A new certificate and its key, as PEM files of this folder.

    Args:
        folder: Where it is.
        names: It is valid for, such as IP:127.0.0.1.
    """
    key, certificate = folder / "tls.key", folder / "tls.crt"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    files = ["-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"]
    subject = ["-subj", "/CN=own", "-addext", f"subjectAltName={','.join(names)}"]
    subprocess.run([*new, *files, *subject], check=True, capture_output=True)
    return certificate, key
