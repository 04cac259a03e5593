"""Judging a version: both models predict the shared rows, gate.py decides, the ledger is written.

The verdict, and the promotion where the candidate wins, are one transaction; where another process
judged or promoted meanwhile, nothing is written and the version is judged again.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fairlead import inference
from fairlead.data.features import Rows
from fairlead.data.fingerprint import row_hashes
from fairlead.errors import Conflict, Failed
from fairlead.metrics import METRICS
from fairlead.records import (
    Basis,
    Candidate,
    Judgement,
    Promotion,
    Verdict,
    Version,
)
from fairlead.registry import gate, holdout_reuse
from fairlead.registry.gate import BASELINE, comparable, unlike
from fairlead.registry.registry import Registry, disparity, parity_passed, taken_down
from fairlead.spec.document import Promote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ATTEMPTS = 100  # each one that fails is another process's verdict


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The rows that judge.

    Args:
        features: Those of the holdout rows.
        true: Their target: float64 [rows], or int64 class indexes.
        training: Target of the training rows, which the baseline is made of.
        seed: Of the gate's resampling.
        hashes: What the rows are known by, where that was found out before.
    """

    features: Rows
    true: NDArray[Any]
    training: NDArray[Any]
    seed: int
    hashes: NDArray[np.uint64] | None = None

    def row_hashes(self) -> NDArray[np.uint64]:
        """What the rows are known by."""
        return row_hashes(self.features) if self.hashes is None else self.hashes


@dataclass(frozen=True, kw_only=True)
class GateOutcome:
    """What came of it.

    Args:
        verdict: On the version.
        promotion: The history's entry, where the champion changed.
        note: What is to be said before the verdict, if anything.
    """

    verdict: Verdict
    promotion: Promotion | None = None
    note: str | None = None


def preload() -> None:
    """Import what judging needs: half a second that may pass beside something else."""
    importlib.import_module("scipy.special")
    inference.preload()


def consider(
    registry: Registry, version: Version, *, holdout: Holdout, terms: Promote
) -> GateOutcome:
    """Judge a version against the champion of this moment, and promote it where it wins.

    Where another process judges a version of this model meanwhile, nothing is written and this one
    is judged again: against the champion of that moment, and as a later candidate. So each of
    several at once has a count of its own.

    Args:
        registry: Where it is registered.
        version: The one to judge.
        holdout: The rows to judge on.
        terms: The spec's `promote`.

    Raises:
        Failed: Its exported form predicts something else than what was trained, and the terms are
            not `never`. The version and the verdict are kept.
        Lost: The run that it is judged for has ended, or another carries it; nothing was written.
    """
    for _ in range(_ATTEMPTS):
        # The verdicts before the champion: a promotion by the gate adds one, and so is noticed.
        earlier = registry.ledger.versions.judgements(version.model)
        champion = registry.ledger.versions.champion(version.model)
        if champion and champion.number == version.number:
            return _standing(registry, version)
        hearing = _Hearing(
            registry, version, champion, holdout=holdout, terms=terms, earlier=earlier
        )
        judgement, fault = hearing.judgement()
        try:
            promotion = _enter(registry, judgement, earlier, hearing.basis)
        except Conflict:
            continue
        if fault:
            raise Failed(f"v{version.number} of model {version.model!r} is {fault}")
        return GateOutcome(verdict=judgement.verdict, promotion=promotion)
    raise Conflict(
        f"judging v{version.number} of {version.model!r}: other versions keep being judged; "
        "run it again when they are done"
    )


def undisputed(registry: Registry, version: Version) -> GateOutcome | None:
    """What there is to say of a version that is the champion; None where it is not.

    Args:
        registry: Where it is registered.
        version: The one to judge.
    """
    champion = registry.ledger.versions.champion(version.model)
    if champion is None or champion.number != version.number:
        return None
    return _standing(registry, version)


def _standing(registry: Registry, champion: Version) -> GateOutcome:
    """The verdict that made the version champion; a person's promotion has none."""
    said = f"v{champion.number} is the champion already"
    latest = registry.ledger.versions.history(champion.model)[-1]
    if latest.verdict is not None:
        return GateOutcome(verdict=latest.verdict, note=f"{said}; its verdict was:")
    metric = registry.candidate(champion).metric
    text = (
        f"champion already: a person made v{champion.number} the champion "
        f"({latest.kind}: {latest.why})"
    )
    return GateOutcome(verdict=_without_rows(text, f"champion v{champion.number}", metric))


def _enter(
    registry: Registry, judgement: Judgement, earlier: Sequence[Judgement], basis: Basis
) -> Promotion | None:
    """Write the judgement down, unless it says again what the last one of this version said."""
    if judgement.verdict.decision == "promote":
        return _promote(registry, judgement, basis)
    mine = [entry for entry in earlier if entry.version == judgement.version]
    if not mine or replace(mine[-1], at=0.0) != judgement:
        registry.ledger.versions.judge(judgement, basis, carrier=registry.carrier)
    return None


def _among(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each is one of the others; `np.isin` takes several times their memory."""
    import numpy as np

    known = np.sort(others)
    places = np.searchsorted(known, hashes)
    found: NDArray[np.bool_] = known[np.minimum(places, len(known) - 1)] == hashes
    return found


def _without_rows(text: str, against: str, metric: str) -> Verdict:
    return Verdict(
        decision="keep",
        text=text,
        against=against,
        metric=metric,
        rows=0,
        judged=0,
    )


def _promote(registry: Registry, judgement: Judgement, basis: Basis) -> Promotion:
    return registry.ledger.versions.promote(
        Promotion(
            model=judgement.model,
            number=0,  # the ledger gives it
            version=judgement.version,
            previous=judgement.champion,
            kind="gate",
            why=judgement.verdict.text,
            verdict=judgement.verdict,
        ),
        judgement,
        basis,
        carrier=registry.carrier,
    )


class _Hearing:
    """One version against one champion (or the baseline) on rows that neither was trained on."""

    def __init__(  # noqa: PLR0913 - who, against whom, on what, and what was said before
        self,
        registry: Registry,
        version: Version,
        champion: Version | None,
        *,
        holdout: Holdout,
        terms: Promote,
        earlier: Sequence[Judgement],
    ) -> None:
        self._registry = registry
        self._version = version
        self._champion = champion
        self._holdout = holdout
        self._terms = terms
        self._candidate = registry.candidate(version)
        self._rival = registry.candidate(champion) if champion else None
        self._against = f"champion v{champion.number}" if champion else BASELINE
        self._earlier = earlier
        self._refused = self._refusal()
        self._rows, self._question = self._shared_rows()

    @property
    def basis(self) -> Basis:
        """What the judgement rests on."""
        return Basis(judgements=len(self._earlier), sample=self._question.sample)

    def judgement(self) -> tuple[Judgement, str | None]:
        """The judgement, and what is wrong with an export that was to be judged.

        Whatever its score, an exported form that predicts something else says nothing of the model
        that was trained; so that is said first, and is a fault unless nobody wanted it promoted.
        """
        verdict = self._verdict()
        fault = None
        if not self._refused and not parity_passed(self._candidate):
            text = (
                f"kept, not promoted: {disparity(self._candidate)}; by its score it would be "
                f"{verdict.text}"
            )
            verdict = replace(verdict, decision="keep", text=text)
            fault = None if self._terms.when == "never" else text
        judgement = Judgement(
            model=self._version.model,
            version=self._version.number,
            champion=self._question.champion,
            rows=self._question.rows,
            verdict=verdict,
        )
        return judgement, fault

    def _verdict(self) -> Verdict:
        metric = self._candidate.metric
        if self._refused:
            text = f"kept, not promoted: {self._refused}"
            return _without_rows(text, self._against, metric)
        return gate.judge(self._case(), metric=METRICS[metric], terms=self._terms)

    def _refusal(self) -> str | None:
        """Why the version is not judged at all."""
        if "model.onnx" not in self._candidate.files:
            return f"it has no ONNX form: {self._candidate.unexportable}"
        history = self._registry.ledger.versions.history(self._version.model)
        if entry := taken_down(history, self._version.number):
            return (
                f"a person replaced it by v{entry.version} ({entry.kind}: {entry.why}), so only "
                f"a person can promote it again"
            )
        return None

    def _shared_rows(self) -> tuple[NDArray[np.intp], holdout_reuse.Question]:
        """Indexes of the rows that neither side was trained on, and what is asked of them."""
        import numpy as np

        hashes = self._holdout.row_hashes()
        fresh = np.full(len(hashes), self._refused is None)
        for side in (self._candidate, self._rival):
            if side is not None:
                fresh &= ~_among(hashes, self._trained_on(side))
        judging = hashes[fresh]
        digest = hashlib.sha256(np.sort(judging).astype("<u8").tobytes()).hexdigest()
        question = holdout_reuse.Question(
            version=self._version.number,
            champion=self._champion.number if self._champion else None,
            rows=digest,
            sample=holdout_reuse.sample(judging),
        )
        return np.flatnonzero(fresh), question

    def _trained_on(self, side: Candidate) -> NDArray[np.uint64]:
        import numpy as np

        path = self._registry.artifacts.path(side.files["training_rows.npy"].digest)
        hashes: NDArray[np.uint64] = np.load(path, allow_pickle=False)
        return hashes

    def _case(self) -> gate.Case:
        features = self._holdout.features.take(self._rows)
        other, why_not = self._other(features)
        return gate.Case(
            true=self._holdout.true[self._rows],
            candidate=self._registry.exported(self._version).predict(features),
            other=other,
            incomparable=why_not,
            against=self._against,
            judged=self._judged(),
            seed=self._holdout.seed,
            classes=self._candidate.signature.classes,
        )

    def _judged(self) -> int:
        samples = self._registry.ledger.versions.samples(self._version.model)
        return holdout_reuse.tally(self._question, self._earlier, samples)

    def _other(self, features: Rows) -> tuple[NDArray[np.float64] | None, str | None]:
        """Predictions of what the version is judged against, or why there are none."""
        mine = self._candidate.signature
        if self._champion is None or self._rival is None:
            classes = None if mine.classes is None else len(mine.classes)
            return gate.baseline(self._holdout.training, classes, len(features)), None
        theirs = self._rival.signature
        if not comparable(mine, theirs, features):
            return None, unlike(mine, theirs, self._against)
        return self._registry.exported(self._champion).predict(features), None
