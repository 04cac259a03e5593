"""A study given to other tools: a table, a study of Optuna, runs of MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fairlead import atomic
from fairlead.errors import Failed, Invalid
from fairlead.export.material import Material, OnProgress, Written, load
from fairlead.export.tables import Form, table
from fairlead.formatting import without_password
from fairlead.settings import Settings
from fairlead.stores import Stores

To: TypeAlias = Literal["csv", "parquet", "optuna", "mlflow"]
_FORMS: dict[str, Form] = {".csv": "csv", ".parquet": "parquet"}
_FILE = (".db", ".sqlite", ".sqlite3")
_SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was exported where.

    Args:
        study: Its id.
        to: The kind of target.
        target: File or URL, without a password.
        name: What the target calls the study; None of a file.
        trials: That are there now.
        added: That were not there.
        updated: That were there and had not ended.
    """

    study: str
    to: To
    target: str
    name: str | None
    trials: int
    added: int
    updated: int


def form_of(path: Path, to: str | None) -> Form:
    """What a file of this name is to be.

    Raises:
        Invalid: Its suffix says nothing, or another form than the one that is asked for.
    """
    found = _FORMS.get(path.suffix.lower())
    if found is None and to is None:
        raise Invalid(f"{str(path)!r} ends neither in .csv nor in .parquet: say which with --to")
    if found is not None and to not in (None, found):
        raise Invalid(f"{str(path)!r} is to be {to}, and its name says {found}: change one of them")
    return found or ("csv" if to == "csv" else "parquet")


def as_csv(stores: Stores, study: str) -> str:
    """A study's trials as CSV. Raises NotFound."""
    return table(_material(stores, study), "csv").decode()


def to_file(stores: Stores, study: str, path: Path, form: Form) -> Exported:
    """Write a study's trials into a file, whole or not at all.

    Raises:
        NotFound: There is no such study.
        Failed: It cannot be written.
    """
    material = _material(stores, study)
    try:
        atomic.write(path, table(material, form))
    except OSError as error:
        raise Failed(f"writing the trials to {str(path)!r}: {error.strerror}") from error
    many = len(material.rows)
    return _exported(material, form, str(path), Written(added=many, there=many))


def to_optuna(  # noqa: PLR0913 - what, where, and who follows it
    stores: Stores,
    settings: Settings,
    study: str,
    *,
    url: str,
    name: str | None,
    on_progress: OnProgress,
) -> Exported:
    """Bring a study of an Optuna storage up to date.

    Args:
        stores: Where the study is.
        settings: The installation's.
        study: Its id, its name, or the beginning of its id.
        url: Of the storage's database, or the file of a JournalStorage.
        name: What the study is called there, if not as here.
        on_progress: Called as it goes on.

    Raises:
        NotFound: There is no such study.
        Invalid: The URL names no storage, or another study there has the name.
        Failed: The storage did not take it.
    """
    material = _material(stores, study)
    where = _storage_url(url)
    _refuse_ledger(where, settings)
    from fairlead.export import optuna_storage

    with optuna_storage.opened(where) as storage:
        written = optuna_storage.write(material, storage, name=name, on_progress=on_progress)
    return _exported(material, "optuna", where, written)


def to_mlflow(  # noqa: PLR0913 - what, where, and who follows it
    stores: Stores,
    settings: Settings,
    study: str,
    *,
    uri: str,
    name: str | None,
    on_progress: OnProgress,
) -> Exported:
    """Bring the runs of an MLflow experiment up to date. Arguments and errors as of `to_optuna`."""
    material = _material(stores, study)
    _refuse_ledger(uri, settings)
    from fairlead.export import mlflow_runs

    written = mlflow_runs.write(
        material.study, settings, uri=uri, name=name, on_progress=on_progress
    )
    return _exported(material, "mlflow", uri, written)


def _material(stores: Stores, study: str) -> Material:
    return load(stores.ledger.studies.get(study), stores.ledger)


def _storage_url(text: str) -> str:
    """A file of SQLite as its URL; any other file is a JournalStorage's."""
    sqlite = "://" not in text and text.lower().endswith(_FILE)
    return _SQLITE + text if sqlite else text


def _refuse_ledger(url: str, settings: Settings) -> None:
    if not (url.startswith(_SQLITE) and settings.ledger_url.startswith(_SQLITE)):
        return
    here, there = (Path(one.removeprefix(_SQLITE)).resolve() for one in (settings.ledger_url, url))
    if here == there:
        raise Invalid(f"{url!r} is this installation's ledger: name another file")


def _exported(material: Material, to: To, target: str, written: Written) -> Exported:
    return Exported(
        study=material.study.id,
        to=to,
        target=without_password(target),
        name=written.name,
        trials=written.there,
        added=written.added,
        updated=written.updated,
    )
