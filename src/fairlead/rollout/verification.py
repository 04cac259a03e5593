"""Revisions that were proved: what a serving process needs of them, and their golden rows.

Belongs here: from a revision of the ledger to its files and facts, and keeping these. Does not: the
proof itself (serving/check.py), and the states of revisions (server/executor.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError, Transient
from fairlead.ledger.interface import Ledger
from fairlead.records import Revision
from fairlead.rollout.background import Ended, Jobs
from fairlead.rollout.checked import Checked
from fairlead.rollout.smoke_test import expected
from fairlead.serving.check import check
from fairlead.serving.engine.drift import edges_of
from fairlead.serving.plan import Held
from fairlead.serving.proof import Golden

_AT_ONCE = 2  # proofs: each is a process that keeps a core busy
_PAUSE = 5.0  # seconds before a proof that failed is tried again


@dataclass(frozen=True, kw_only=True)
class Proved:
    """A revision that was loaded in a child process, and predicted there what it has to.

    Args:
        held: What a process is told of it; its edges are those of its own holdout.
        golden: Its golden rows.
    """

    held: Held
    golden: Golden


def prove(
    ledger: Ledger, artifacts: Artifacts, checked: Checked, revision: Revision, *, anew: bool
) -> Proved:
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
        checked.keep(candidate, facts)
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
    return Proved(held=held, golden=expected(candidate, artifacts))


class Proofs:
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
        checked: Checked,
        *,
        ended: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._artifacts, self._checked = ledger, artifacts, checked
        self._clock = clock
        self._jobs: Jobs[Proved] = Jobs(at_once=_AT_ONCE, ended=ended)
        self._known: dict[str, dict[str, Proved]] = {}
        self._failed: dict[str, dict[str, tuple[float, Exception]]] = {}

    def of(self, model: str) -> Mapping[str, Proved]:
        """The revisions of the model that were proved, by name."""
        return self._known.get(model, {})

    def faults(self, model: str) -> Mapping[str, Exception]:
        """Why revisions of the model could not be proved when that was tried last, by name."""
        failed = [*self._failed.get(model, {}).items()]  # another thread may be adding to it
        return {name: error for name, (_, error) in failed}

    def anew(self, revision: Revision) -> Ended[Proved] | None:
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

    def _done(self, key: Hashable, revision: Revision, *, anew: bool) -> Ended[Proved] | None:
        work = partial(prove, self._ledger, self._artifacts, self._checked, revision, anew=anew)
        ended = self._jobs.done(key, work)
        if ended is None:
            return None
        self._jobs.forget(key)
        if ended.result is not None:
            self._known.setdefault(revision.model, {})[revision.name] = ended.result
            self._failed.get(revision.model, {}).pop(revision.name, None)
        return ended


def passes(error: Exception) -> bool:
    """Whether another try may go better: the fault was not the revision's."""
    return isinstance(error, Transient | OSError)


def in_words(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FairleadError) else f"{type(error).__name__}: {text}"
