"""Revisions that were proved: what a serving process needs of them, and their golden rows.

Belongs here: from a revision of the ledger to its files and facts, and keeping these. Does not: the
proof itself (serving/check.py), and the states of revisions (server/executor.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError, Transient
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Digest, Revision
from fairlead.rollout.background import BackgroundCalls, CallOutcome
from fairlead.rollout.smoke_test import golden_rows
from fairlead.serving.check import check
from fairlead.serving.engine.drift import edges_of
from fairlead.serving.plan import Facts, Held
from fairlead.serving.proof import Golden
from fairlead.version import VERSION

_AT_ONCE = 2  # proofs: each is a process that keeps a core busy
_PAUSE = 5.0  # seconds before a proof that failed is tried again


@dataclass(frozen=True, kw_only=True)
class VerifiedRevision:
    """A revision that was loaded in a child process, and predicted there what it has to.

    Args:
        held: What a process is told of it; its edges are those of its own holdout.
        golden: Its golden rows.
    """

    held: Held
    golden: Golden


def verify(
    ledger: Ledger, artifacts: Artifacts, checked: CheckCache, revision: Revision, *, anew: bool
) -> VerifiedRevision:
    """Prove a revision; takes about a second, and at most the limit of a check.

    Args:
        ledger: Knows its version.
        artifacts: Holds its files.
        checked: What is known of them from before, and is known from now on.
        revision: To be proved.
        anew: Check it even where that is known.

    Raises:
        Transient: The ledger or the artefact store did not answer.
        Failed: It is damaged, or does not do what it did when it was made.
    """
    version = ledger.versions.get(revision.model, revision.version)
    candidate = manifest.load(artifacts.get(version.manifest))
    name = f"revision {revision.name!r} of model {revision.model!r}"
    facts = None if anew else checked.find(candidate)
    if facts is None:
        facts = check(candidate, artifacts, name=name)
        checked.store(candidate, facts)
    held = Held(
        model=revision.model,
        revision=revision.name,
        version=revision.version,
        file=candidate.files["model.onnx"].digest,
        signature=candidate.signature,
        facts=facts,
        allowance=revision.allowance,
        edges=edges_of(candidate, artifacts),
    )
    return VerifiedRevision(held=held, golden=golden_rows(candidate, artifacts))


class Verifications:
    """What was proved so far, and what is being proved.

    Args:
        ledger: Knows the versions of revisions.
        artifacts: Holds their files.
        checked: What is known of them from before.
        ended: Called when a proof has ended.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        ledger: Ledger,
        artifacts: Artifacts,
        checked: CheckCache,
        *,
        ended: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._artifacts, self._checked = ledger, artifacts, checked
        self._clock = clock
        self._jobs: BackgroundCalls[VerifiedRevision] = BackgroundCalls(
            at_once=_AT_ONCE, ended=ended
        )
        self._known: dict[str, dict[str, VerifiedRevision]] = {}
        self._failed: dict[str, dict[str, tuple[float, Exception]]] = {}

    def of(self, model: str) -> Mapping[str, VerifiedRevision]:
        """The revisions of the model that were proved, by name."""
        return self._known.get(model, {})

    def faults(self, model: str) -> Mapping[str, Exception]:
        """Why revisions of the model could not be proved when that was tried last, by name."""
        failed = [*self._failed.get(model, {}).items()]  # another thread may be adding to it
        return {name: error for name, (_, error) in failed}

    def anew(self, revision: Revision) -> CallOutcome[VerifiedRevision] | None:
        """Prove it, whatever was known of it; None until that has ended."""
        return self._done((revision.model, revision.name, revision.changed), revision, anew=True)

    def known(self, revision: Revision) -> Exception | None:
        """See that it is proved, and why that failed; it is tried again after a pause."""
        if revision.name in self.of(revision.model):
            return None
        failed = self._failed.setdefault(revision.model, {})
        name = revision.name
        pauses = name in failed and self._clock() < failed[name][0]
        ended = None if pauses else self._done((revision.model, name), revision, anew=False)
        if ended is not None and ended.error is not None:
            failed[name] = (self._clock() + _PAUSE, ended.error)
        return failed[name][1] if name in failed else None

    def _done(
        self, key: Hashable, revision: Revision, *, anew: bool
    ) -> CallOutcome[VerifiedRevision] | None:
        work = partial(verify, self._ledger, self._artifacts, self._checked, revision, anew=anew)
        ended = self._jobs.done(key, work)
        if ended is None:
            return None
        self._jobs.forget(key)
        if ended.result is not None:
            self._known.setdefault(revision.model, {})[revision.name] = ended.result
            self._failed.get(revision.model, {}).pop(revision.name, None)
        return ended


def is_retryable(error: Exception) -> bool:
    """Whether another try may go better: the fault was not the revision's."""
    return isinstance(error, Transient | OSError)


def one_line(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FairleadError) else f"{type(error).__name__}: {text}"


_FILES = ("model.onnx", "golden.json")


@dataclass(frozen=True)
class CheckCache:
    """A folder of findings.

    Args:
        folder: Made when something is first kept; None to keep nothing.
    """

    folder: Path | None = None

    def find(self, candidate: Candidate) -> Facts | None:
        """What a check of these files found; None where none is known."""
        file = self._file(candidate)
        return None if file is None else _read(file)

    def artifacts(self) -> set[Digest]:
        """The artefacts that checks have made, and that their findings name."""
        files = self.folder.glob("*.json") if self.folder is not None else ()
        findings = filter(None, map(_read, files))
        return {facts.compact for facts in findings if facts.compact is not None}

    def store(self, candidate: Candidate, facts: Facts) -> None:
        """Keep what a check found; where that cannot be, it is checked again."""
        file = self._file(candidate)
        if file is not None:
            with contextlib.suppress(OSError):
                _write(file, msgspec.json.encode(facts))

    def _file(self, candidate: Candidate) -> Path | None:
        if self.folder is None or not candidate.files.keys() >= {*_FILES}:
            return None
        return self.folder / f"{_key(candidate)}.json"


def _read(file: Path) -> Facts | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=Facts)
    return None


def _key(candidate: Candidate) -> str:
    """All that a finding depends on."""
    digests = [candidate.files[name].digest for name in _FILES]
    signature = msgspec.json.encode(candidate.signature).decode()
    runtime = metadata.version("onnxruntime")
    where = [platform.node(), platform.machine()]
    text = json.dumps([*digests, signature, VERSION, runtime, *where])
    return hashlib.sha256(text.encode()).hexdigest()


def _write(file: Path, content: bytes) -> None:
    """Whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=file.parent, prefix=".tmp-")
    with os.fdopen(number, "wb") as opened:
        opened.write(content)
    Path(temporary).replace(file)
