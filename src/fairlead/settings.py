"""Where Fairlead keeps its state and what the machine's owner allows.

Belongs here: settings of the installation, read once from the environment and passed down.
Does not: anything about one study (that is the spec).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead.errors import Invalid


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The installation's settings.

    Args:
        home: Folder of the ledger, the artefacts and the logs ($FAIRLEAD_HOME).
        data: Mirror folders that are tried before a download ($FAIRLEAD_DATA, separated by the
            system's path separator).
        mlflow: URI of MLflow's registry ($FAIRLEAD_MLFLOW_URI); a SQLite file in home if empty;
            "none" for no mirror.
        allow_private_urls: Whether data may come over http:// and from private addresses
            ($FAIRLEAD_ALLOW_PRIVATE_URLS=1).
        max_download: Bytes that one download may bring ($FAIRLEAD_MAX_DOWNLOAD).
        download_seconds: Seconds that one download may take ($FAIRLEAD_DOWNLOAD_SECONDS).
        lease: Seconds a worker may be silent before its task is given to another
            ($FAIRLEAD_LEASE).
    """

    home: Path
    data: tuple[Path, ...] = ()
    mlflow: str = ""
    allow_private_urls: bool = False
    max_download: int = 1 << 30
    download_seconds: float = 300.0
    lease: float = 10.0

    @property
    def ledger(self) -> Path:
        """The ledger's SQLite file."""
        return self.home / "ledger.db"

    @property
    def artifacts(self) -> Path:
        """The folder of the artefact store."""
        return self.home / "artifacts"

    @property
    def downloads(self) -> Path:
        """The folder of downloaded data, cached by digest."""
        return self.home / "downloads"

    @property
    def logs(self) -> Path:
        """The folder of the workers' logs."""
        return self.home / "logs"

    @property
    def checked(self) -> Path:
        """The folder of what checks of models found out."""
        return self.home / "checked"

    @property
    def tokens(self) -> Path:
        """The file of the tokens that servers let in."""
        return self.home / "tokens.json"

    @property
    def reports(self) -> Path:
        """The folder of the studies' reports."""
        return self.home / "reports"

    @property
    def mlflow_uri(self) -> str:
        """URI of MLflow's registry."""
        return self.mlflow or f"sqlite:///{self.home.resolve() / 'mlflow.db'}"


def from_environment(environ: Mapping[str, str], *, home: Path | None = None) -> Settings:
    """Read the settings from environment variables.

    Args:
        environ: Usually os.environ.
        home: Goes before $FAIRLEAD_HOME.

    Raises:
        Invalid: A variable does not hold what it should.
    """
    return Settings(
        home=(home or Path(environ.get("FAIRLEAD_HOME") or ".fairlead")).absolute(),
        data=tuple(
            Path(part) for part in environ.get("FAIRLEAD_DATA", "").split(os.pathsep) if part
        ),
        mlflow=environ.get("FAIRLEAD_MLFLOW_URI", ""),
        allow_private_urls=environ.get("FAIRLEAD_ALLOW_PRIVATE_URLS", "") == "1",
        max_download=_whole(environ, "FAIRLEAD_MAX_DOWNLOAD", 1 << 30),
        download_seconds=_positive(environ, "FAIRLEAD_DOWNLOAD_SECONDS", 300.0),
        lease=_positive(environ, "FAIRLEAD_LEASE", 10.0, most=86_400.0),
    )


def _positive(
    environ: Mapping[str, str], name: str, default: float, *, most: float = 1e15
) -> float:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most:
        raise Invalid(f"${name} must be a number above 0 and at most {most:g}, not {text!r}")
    return value


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    value = _positive(environ, name, default)
    if value != int(value):
        raise Invalid(f"${name} must be a whole number of at least 1, not {environ[name]!r}")
    return int(value)
