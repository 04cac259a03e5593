"""Verified revisions: loaded in a child process, where their golden rows came back as they should.

`verify` verifies one. `Verifications` does it in the background for a server, and keeps what a
serving process needs of each. `CheckCache` keeps what the child processes found, for the next
server: a check takes a second of a processor, and a server that restarts would check all that is
live before it answers. What a check found holds for the same bytes, run by the same libraries on
the same machine; a deployment checks its revision all the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

from fairlead import atomic, manifest
from fairlead.errors import Failed, FairleadError, NextStep, Transient
from fairlead.records import Candidate, Digest, Revision, Route
from fairlead.rollout.background import BackgroundCalls, CallOutcome
from fairlead.rollout.smoke_test import golden_rows
from fairlead.serving.check import check
from fairlead.serving.engine.drift import edges_of
from fairlead.serving.plan import Facts, Held
from fairlead.serving.proof import Golden
from fairlead.stores import Stores
from fairlead.version import VERSION

_MAX_PARALLEL = 2  # each is a process that keeps a core busy
_RETRY_AFTER = 5.0  # seconds
_CHECKED_FILES = ("model.onnx", "golden.json")


@dataclass(frozen=True, kw_only=True)
class VerifiedRevision:
    """A revision that was loaded in a child process, and predicted there what it has to.

    Args:
        held: What is sent of it to a serving process; its edges are those of its own holdout.
        golden: Its golden rows.
    """

    held: Held
    golden: Golden


def verify(
    stores: Stores, cache: CheckCache, revision: Revision, *, recheck: bool
) -> VerifiedRevision:
    """Verify a revision; takes about a second, and at most the limit of a check.

    Args:
        stores: Of its version and files.
        cache: What earlier checks found; what this one finds is stored there.
        revision: To be verified.
        recheck: Check it even where the cache has it.

    Raises:
        Transient: The ledger or the artefact store did not answer.
        Failed: It is damaged, or does not predict what it did when it was made.
    """
    version = stores.ledger.versions.get(revision.model, revision.version)
    candidate = manifest.load(stores.artifacts.get(version.manifest))
    facts = None if recheck else cache.find(candidate)
    if facts is None:
        name = f"revision {revision.name!r} of model {revision.model!r}"
        facts = check(candidate, stores.artifacts, name=name)
        cache.store(candidate, facts)
    held = Held(
        model=revision.model,
        revision=revision.name,
        version=revision.version,
        file=candidate.files["model.onnx"].digest,
        signature=candidate.signature,
        facts=facts,
        allowance=revision.allowance,
        edges=edges_of(candidate, stores.artifacts),
    )
    return VerifiedRevision(held=held, golden=golden_rows(candidate, stores.artifacts))


class Verifications:
    """Verifies revisions in the background and keeps the results.

    Args:
        stores: Of the versions of revisions and their files.
        cache: What earlier checks found.
        on_finished: Called when a verification has ended.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        stores: Stores,
        cache: CheckCache,
        *,
        on_finished: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verify = partial(verify, stores, cache)
        self._clock = clock
        self._calls: BackgroundCalls[VerifiedRevision] = BackgroundCalls(
            max_parallel=_MAX_PARALLEL, on_finished=on_finished
        )
        self._verified: dict[str, dict[str, VerifiedRevision]] = {}
        self._failed: dict[str, dict[str, tuple[float, Exception]]] = {}

    def verified(self, model: str) -> Mapping[str, VerifiedRevision]:
        """The verified revisions of the model, by name."""
        return self._verified.get(model, {})

    def failures(self, model: str) -> Mapping[str, Exception]:
        """Why revisions of the model could not be verified at the last try, by name."""
        failed = [*self._failed.get(model, {}).items()]  # another thread may be adding to it
        return {name: error for name, (_, error) in failed}

    def recheck(self, revision: Revision) -> CallOutcome[VerifiedRevision] | None:
        """Verify it, whatever is cached of it; None until that has ended."""
        return self._poll((revision.model, revision.name, revision.changed), revision, recheck=True)

    def ensure(self, revision: Revision) -> Exception | None:
        """Have it verified, and say why that failed; it is tried again after a pause."""
        name = revision.name
        if name in self.verified(revision.model):
            return None
        failed = self._failed.setdefault(revision.model, {})
        pauses = name in failed and self._clock() < failed[name][0]
        outcome = None if pauses else self._poll((revision.model, name), revision, recheck=False)
        if outcome is not None and outcome.error is not None:
            failed[name] = (self._clock() + _RETRY_AFTER, outcome.error)
        return failed[name][1] if name in failed else None

    def _poll(
        self, key: Hashable, revision: Revision, *, recheck: bool
    ) -> CallOutcome[VerifiedRevision] | None:
        outcome = self._calls.poll(key, partial(self._verify, revision, recheck=recheck))
        if outcome is None:
            return None
        self._calls.forget(key)
        if outcome.result is not None:
            self._verified.setdefault(revision.model, {})[revision.name] = outcome.result
            self._failed.get(revision.model, {}).pop(revision.name, None)
        return outcome


def is_retryable(error: Exception) -> bool:
    """Whether another try may go better: the fault was not the revision's."""
    return isinstance(error, Transient | OSError)


@dataclass(frozen=True)
class CheckCache:
    """What checks found, a file for each model that was checked.

    Args:
        folder: Made when something is first stored; None to store nothing.
    """

    folder: Path | None = None

    def find(self, candidate: Candidate) -> Facts | None:
        """What a check of these files found; None where there was none."""
        file = self._file(candidate)
        return None if file is None else _read(file)

    def artifacts(self) -> set[Digest]:
        """The artefacts that checks have made, and that the cache names."""
        files = self.folder.glob("*.json") if self.folder is not None else ()
        found = filter(None, map(_read, files))
        return {facts.compact for facts in found if facts.compact is not None}

    def store(self, candidate: Candidate, facts: Facts) -> None:
        """Store what a check found; where that fails, it is checked again the next time."""
        file = self._file(candidate)
        if file is not None:
            with contextlib.suppress(OSError):
                atomic.write(file, msgspec.json.encode(facts))

    def _file(self, candidate: Candidate) -> Path | None:
        if self.folder is None or not candidate.files.keys() >= {*_CHECKED_FILES}:
            return None
        return self.folder / f"{_key(candidate)}.json"


def _key(candidate: Candidate) -> str:
    """A digest of all that the result of a check depends on."""
    digests = [candidate.files[name].digest for name in _CHECKED_FILES]
    signature = msgspec.json.encode(candidate.signature).decode()
    runtime = metadata.version("onnxruntime")
    machine = [platform.node(), platform.machine()]
    text = json.dumps([*digests, signature, VERSION, runtime, *machine])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(file: Path) -> Facts | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=Facts)
    return None


# ---- preflight --------------------------------------------------------------------------------
#
# Checks before a route that a person asks for is written: can its revisions be served?
#
# Only revisions that the route would bring into service are verified; those that are live were
# verified before and are being served. Where a check of the same files is cached, reading and
# hashing these is all that it costs.


def verify_route(stores: Stores, cache: CheckCache, present: Route, wanted: Route) -> None:
    """Verify each revision that the route would bring into service.

    Args:
        stores: Of the revisions and their files.
        cache: What earlier checks have found.
        present: The route in force.
        wanted: The one that is to follow it.

    Raises:
        Failed: A revision is damaged, or does not predict what it did when it was made.
    """
    revisions = {each.name: each for each in stores.ledger.routes.revisions(wanted.model)}
    for name in added_revisions(present, wanted):
        _verify(stores, cache, revisions[name])


def added_revisions(present: Route, wanted: Route) -> list[str]:
    """The revisions that have traffic by `wanted` and none by `present`."""
    return sorted(wanted.traffic.keys() - present.traffic.keys())


def _verify(stores: Stores, cache: CheckCache, revision: Revision) -> None:
    try:
        verified = verify(stores, cache, revision, recheck=False)
        stores.artifacts.path(verified.held.file)  # a cached check does not say that it is there
    except FairleadError as error:
        others = NextStep(
            "route", {"model": revision.model, "everything": True}, "lists other revisions"
        )
        raise Failed(
            f"routing {revision.model!r} to {revision.name}: {error}; nothing was written: restore "
            "its files, or choose another revision",
            next_steps=(others,),
        ) from error
