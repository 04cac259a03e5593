"""Where Fairlead keeps its state and what the machine's owner allows.

The settings of an installation are read once from the environment and passed down as a record. The
two stores (ledger, artefacts) are named by URLs; all else is kept in folders of the home.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead.errors import Invalid
from fairlead.machine import usable_memory
from fairlead.records import CacheFolder

SERVERS = ("http://", "https://")
"""What the URLs of servers begin with."""

_REACHING = ("AWS_", "GOOGLE_", "FAIRLEAD_SERVER_TOKEN", "FAIRLEAD_ALLOW_PLAIN_HTTP")
"""What the names of variables begin with by which an artefact store is reached."""

_SQLITE = "sqlite:///"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{letter}I": 1 << 10 * power for power, letter in enumerate("KMGT", start=1)}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The installation's settings.

    Args:
        home: Folder of the logs, the reports, and the stores that no URL names ($FAIRLEAD_HOME).
        ledger: URL of the ledger's database, or of the server that has it ($FAIRLEAD_LEDGER); a
            SQLite file in home if empty.
        artifacts: URL of the artefact store ($FAIRLEAD_ARTIFACTS); if empty, the server that has
            the ledger, or a folder in home.
        queue: URL of what tells idle workers of tasks ($FAIRLEAD_QUEUE); the server of the ledger,
            where it has one that can, if empty; "none" for nothing.
        data: Mirror folders that are tried before a download ($FAIRLEAD_DATA, separated by the
            system's path separator).
        mlflow: URI of MLflow's registry ($FAIRLEAD_MLFLOW_URI); a SQLite file in home if empty;
            "none" for no mirror.
        allow_private_urls: Whether data may come over http:// and from private addresses
            ($FAIRLEAD_ALLOW_PRIVATE_URLS=1).
        max_download: Bytes that one download may bring ($FAIRLEAD_MAX_DOWNLOAD).
        download_seconds: Seconds that one download may take ($FAIRLEAD_DOWNLOAD_SECONDS).
        ask_again: Whether the server of a URL that was downloaded is asked if it has changed; no
            variable's, but of what wants the data of today.
        data_memory: Bytes of memory that the rows of a folder of files may take at a time
            ($FAIRLEAD_DATA_MEMORY); a quarter of what there is if 0.
        max_upload: Bytes that a file may have which is put into the store over the control API
            ($FAIRLEAD_MAX_UPLOAD).
        cache_size: Bytes that local copies of artefacts may have ($FAIRLEAD_CACHE_SIZE).
        lease: Seconds a worker may be silent before its task is given to another
            ($FAIRLEAD_LEASE).
        image: Container image of Fairlead that pods run ($FAIRLEAD_IMAGE).
    """

    home: Path
    ledger: str = ""
    artifacts: str = ""
    queue: str = ""
    data: tuple[Path, ...] = ()
    mlflow: str = ""
    allow_private_urls: bool = False
    max_download: int = 1 << 30
    download_seconds: float = 300.0
    ask_again: bool = False
    data_memory: int = 0
    max_upload: int = 8 << 30
    cache_size: int = CacheFolder.size
    lease: float = 10.0
    image: str = ""

    @property
    def ledger_url(self) -> str:
        """URL of the ledger's database."""
        return self.ledger or f"{_SQLITE}{self.home.absolute() / 'ledger.db'}"

    @property
    def ledger_setting(self) -> str:
        """The setting that says where the ledger is: what to change where that is wrong."""
        return "$FAIRLEAD_LEDGER" if self.ledger else "$FAIRLEAD_HOME"

    @property
    def is_behind_api(self) -> bool:
        """Whether a `fairlead server` has the ledger, and not a database that this can open."""
        return self.ledger.startswith(SERVERS)

    @property
    def artifacts_url(self) -> str:
        """URL of the artefact store; a server that has the ledger has this as well."""
        if self.is_behind_api and not self.artifacts:
            return self.ledger
        return self.artifacts or (self.home.absolute() / "artifacts").as_uri()

    @property
    def artifacts_cache(self) -> CacheFolder:
        """The folder of local copies of artefacts, where their store is no local folder."""
        return CacheFolder(path=str(self.home.absolute() / "artifacts-cache"), size=self.cache_size)

    @property
    def memory_for_data(self) -> int:
        """Bytes of memory that rows may take where they can be had in parts."""
        return self.data_memory or usable_memory() // 4

    @property
    def reading(self) -> Path:
        """The folder of what is being read from folders of files."""
        return self.home / "reading"

    @property
    def downloads(self) -> Path:
        """The folder of downloaded data, cached by digest."""
        return self.home / "downloads"

    @property
    def uploads(self) -> Path:
        """The folder of uploads to the control API that are not finished."""
        return self.home / "uploads"

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


def from_environment(
    environ: Mapping[str, str],
    *,
    home: Path | None = None,
    ledger: str | None = None,
    artifacts: str | None = None,
    server: str | None = None,
) -> Settings:
    """Read the settings from environment variables.

    Args:
        environ: Usually os.environ.
        home: Goes before $FAIRLEAD_HOME.
        ledger: Goes before $FAIRLEAD_LEDGER.
        artifacts: Goes before $FAIRLEAD_ARTIFACTS.
        server: URL of a server that has both; goes before either.

    Raises:
        Invalid: A variable does not hold what it should.
    """
    if server:
        if ledger or not server.startswith(SERVERS):
            raise Invalid(
                f"--server {server!r}: it must be a URL such as https://HOST, and --ledger not "
                "be given beside it"
            )
        ledger, artifacts = server, artifacts or server
    return Settings(
        home=(home or Path(environ.get("FAIRLEAD_HOME") or ".fairlead")).absolute(),
        ledger=ledger_url(ledger or environ.get("FAIRLEAD_LEDGER", "")),
        artifacts=_artifacts_url(artifacts or environ.get("FAIRLEAD_ARTIFACTS", "")),
        queue=environ.get("FAIRLEAD_QUEUE", ""),
        data=tuple(
            Path(part) for part in environ.get("FAIRLEAD_DATA", "").split(os.pathsep) if part
        ),
        mlflow=environ.get("FAIRLEAD_MLFLOW_URI", ""),
        allow_private_urls=environ.get("FAIRLEAD_ALLOW_PRIVATE_URLS", "") == "1",
        max_download=_whole(environ, "FAIRLEAD_MAX_DOWNLOAD", 1 << 30),
        download_seconds=_positive(environ, "FAIRLEAD_DOWNLOAD_SECONDS", 300.0),
        data_memory=_bytes(environ, "FAIRLEAD_DATA_MEMORY", Settings.data_memory),
        max_upload=_bytes(environ, "FAIRLEAD_MAX_UPLOAD", Settings.max_upload),
        cache_size=_bytes(environ, "FAIRLEAD_CACHE_SIZE", CacheFolder.size),
        lease=_positive(environ, "FAIRLEAD_LEASE", 10.0, most=86_400.0),
        image=environ.get("FAIRLEAD_IMAGE", ""),
    )


def ledger_url(text: str) -> str:
    """The URL of a ledger, which a file may stand for; empty stays empty.

    The file's path becomes absolute: other processes may have another current folder.
    """
    if not text or ("://" in text and not text.startswith(_SQLITE)):
        return text
    return _SQLITE + str(Path(text.removeprefix(_SQLITE)).absolute())


def _artifacts_url(text: str) -> str:
    """The URL, which a folder may stand for."""
    return text if not text or "://" in text else Path(text).absolute().as_uri()


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


def _bytes(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]I?|)B?", text.strip().upper(), re.ASCII)
    many = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if many < 1:
        raise Invalid(f"${name} must be a number of bytes such as 20GB or 500MiB, not {text!r}")
    return many


def reaching_stores(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which another process reaches the artefact store of this one."""
    return {name: value for name, value in environ.items() if name.startswith(_REACHING)}
