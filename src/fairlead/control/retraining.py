"""Training a champion again: its spec, with its code as it was, on the data as it is today.

The data stands in the spec as it was written there, or as it was given now: a run of that spec from
the same folder is the same study. Where the data has not changed, neither has the study. The server
of a URL is asked whether it has; a copy of an earlier download never stands for its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fairlead.data.catalog import is_file
from fairlead.errors import Invalid, InvalidData
from fairlead.records import Run, Study
from fairlead.registry.registry import Registry
from fairlead.settings import Settings
from fairlead.spec.document import Spec, parse_canonical
from fairlead.stores import Stores, open_stores
from fairlead.study import run as runs
from fairlead.study.progress import ProgressListener
from fairlead.study.run import OpenRun, RunRequest
from fairlead.study.stop import StopRequest


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """What to train again, and how.

    Args:
        model: Whose champion.
        source: Where the data is; where the champion's was if None.
        base: The folder that relative paths of data start from.
        deploy: Whether the version is to be deployed where it becomes the champion.
        priority: Of its tasks; as it is if None.
        apart: Whether its families are checked in a process of their own.
    """

    model: str
    source: str | None
    base: Path
    deploy: bool = False
    priority: int | None = None
    apart: bool = False


def retrain(
    asked: Retraining,
    settings: Settings,
    watch: ProgressListener,
    stop: StopRequest | None = None,
    *,
    open_run: OpenRun | None = None,
) -> Run:
    """Submit the champion's spec on the data as it is today.

    Args:
        asked: What to train again.
        settings: The installation's.
        watch: Called with what happens.
        stop: Heeded at once.
        open_run: As for `submit`.

    Raises:
        Invalid: The model has no champion, or the data cannot be used; nothing was written.
        Unreachable: The data's server did not answer; nothing was written.
        Stopped: It was asked to stop.
    """
    settings = replace(settings, ask_again=True)
    with open_stores(settings) as stores:
        study = champions_study(stores, asked.model)
        sources = {name: stores.artifacts.get(digest) for name, digest in study.sources.items()}
    known = parse_canonical(study.spec)
    source = asked.source or known.data.source
    require_file(source, asked.base)

    def submitted(spec: Spec) -> Run:
        request = RunRequest(spec=spec, base=asked.base, sources=sources, apart=asked.apart)
        return runs.submit(
            request,
            settings,
            watch,
            stop,
            deploy=asked.deploy,
            priority=asked.priority,
            open_run=open_run,
        )

    if source == known.data.source and known.data.digest is not None:
        try:
            return submitted(known)
        except InvalidData as error:
            if error.code != "other_digest":
                raise
    return submitted(_on_data(known, source))


def champions_study(stores: Stores, model: str) -> Study:
    """The study that the champion came from. Raises NotFound where there is no champion."""
    registry = Registry(ledger=stores.ledger, artifacts=stores.artifacts)
    return stores.ledger.studies.get(registry.version(model, None).study)


def require_file(source: str, base: Path) -> None:
    """Raises Invalid where a source is a path that is not there."""
    if is_file(source) and not _exists(source, base):
        raise Invalid(f"data.source: {source!r} is not there; give --data where the data is today")


def _exists(source: str, base: Path) -> bool:
    try:
        return (base / Path(source).expanduser()).exists()
    except (OSError, RuntimeError, ValueError):  # the system does not take it for a path at all
        return False


def _on_data(spec: Spec, source: str) -> Spec:
    """The spec with this source, whose content nothing is known of beforehand."""
    data = spec.data.model_copy(update={"source": source, "digest": None})
    return spec.model_copy(update={"data": data})
