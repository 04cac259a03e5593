"""A version is brought before the gate, and what the gate decides is carried out.

Belongs here: which rows judge, both sides' predictions, the entry in the list of verdicts, the
change of champion. Does not: the decision (gate.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fairlead.data.fingerprint import row_hashes
from fairlead.data.table import Features
from fairlead.errors import Conflict, Failed
from fairlead.metrics import METRICS
from fairlead.records import (
    Candidate,
    Digest,
    Judgement,
    Promotion,
    Verdict,
    Version,
)
from fairlead.registry import gate
from fairlead.registry.registry import Registry, disparity, parity_passed
from fairlead.registry.standing import taken_down
from fairlead.registry.wording import BASELINE, unlike
from fairlead.spec.document import Promote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ATTEMPTS = 20  # each one that fails is another process's promotion
_NO_ROWS = hashlib.sha256().hexdigest()


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The rows that judge.

    Args:
        features: Those of the holdout rows.
        true: Their target: float64 [rows], or int64 class indexes.
        training: Target of the training rows, which the baseline is made of.
        seed: Of the gate's resampling.
    """

    features: Features
    true: NDArray[Any]
    training: NDArray[Any]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it; `promotion` is the history's entry where the champion changed."""

    verdict: Verdict
    promotion: Promotion | None = None


def consider(registry: Registry, version: Version, *, holdout: Holdout, terms: Promote) -> Outcome:
    """Judge a version against the champion of this moment, and promote it where it wins.

    Where another process changes the champion meanwhile, nothing is written and the version is
    judged again, against the new one.

    Args:
        registry: Where it is registered.
        version: The one to judge.
        holdout: The rows to judge on.
        terms: The spec's `promote`.

    Raises:
        Failed: It would be promoted, but its exported form predicts something else than what was
            trained. The version and the verdict are kept.
    """
    for _ in range(_ATTEMPTS):
        champion = registry.ledger.versions.champion(version.model)
        hearing = _Hearing(registry, version, champion, holdout, terms)
        if champion and champion.number == version.number:
            return Outcome(verdict=hearing.undisputed())
        judgement, fault = hearing.judgement()
        if judgement.verdict.decision == "promote":
            try:
                return Outcome(verdict=judgement.verdict, promotion=_promote(registry, judgement))
            except Conflict:
                continue
        _append(registry, judgement)
        if fault:
            raise Failed(f"v{version.number} of model {version.model!r} is {fault}")
        return Outcome(verdict=judgement.verdict)
    raise Conflict(f"judging v{version.number} of {version.model!r}: the champion keeps changing")


def _append(registry: Registry, judgement: Judgement) -> None:
    """Append the judgement, unless it says again what the last one of this version said."""
    versions = registry.ledger.versions
    earlier = [
        replace(entry, at=0.0)
        for entry in versions.judgements(judgement.model)
        if entry.version == judgement.version
    ]
    if not earlier or earlier[-1] != judgement:
        versions.judge(judgement)


def _promote(registry: Registry, judgement: Judgement) -> Promotion:
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
    )


class _Hearing:
    """One version against one champion (or the baseline) on rows that neither was trained on."""

    def __init__(
        self,
        registry: Registry,
        version: Version,
        champion: Version | None,
        holdout: Holdout,
        terms: Promote,
    ) -> None:
        self._registry = registry
        self._version = version
        self._champion = champion
        self._holdout = holdout
        self._terms = terms
        self._candidate = registry.candidate(version)
        self._rival = registry.candidate(champion) if champion else None
        self._against = f"champion v{champion.number}" if champion else BASELINE

    def undisputed(self) -> Verdict:
        """The verdict on a version that is the champion."""
        return self._without_rows(f"v{self._version.number} is the champion already")

    def judgement(self) -> tuple[Judgement, str | None]:
        """The judgement, and what is wrong with the export of a version that should have won."""
        rows, verdict = self._verdict()
        fault = None
        if verdict.decision == "promote" and not parity_passed(self._candidate):
            fault = f"kept, not promoted: {disparity(self._candidate)}; else: {verdict.text}"
            verdict = replace(verdict, decision="keep", text=fault)
        judgement = Judgement(
            model=self._version.model,
            version=self._version.number,
            champion=self._champion.number if self._champion else None,
            rows=rows,
            verdict=verdict,
        )
        return judgement, fault

    def _verdict(self) -> tuple[Digest, Verdict]:
        if refusal := self._refusal():
            return _NO_ROWS, self._without_rows(refusal)
        rows, digest = self._shared_rows()
        case = self._case(rows, digest)
        return digest, gate.judge(case, metric=METRICS[self._candidate.metric], terms=self._terms)

    def _refusal(self) -> str | None:
        """Why the version is not judged at all."""
        if "model.onnx" not in self._candidate.files:
            return f"it has no ONNX form: {self._candidate.unexportable}"
        history = self._registry.ledger.versions.history(self._version.model)
        if entry := taken_down(history, self._version.number):
            return (
                f"a person replaced it by v{entry.version} ({entry.kind}: {entry.why}), so only "
                f"a person brings it back: "
                f"`fairlead promote {self._version.model} {self._version.number} --why TEXT`"
            )
        return None

    def _without_rows(self, why: str) -> Verdict:
        return Verdict(
            decision="keep",
            text=f"kept, not promoted: {why}",
            against=self._against,
            metric=self._candidate.metric,
            rows=0,
            judged=0,
        )

    def _shared_rows(self) -> tuple[NDArray[np.intp], Digest]:
        """Indexes of the rows that neither side was trained on, and what they are known by."""
        import numpy as np

        hashes = row_hashes(self._holdout.features)
        trained = [self._trained_on(side) for side in (self._candidate, self._rival) if side]
        rows = np.flatnonzero(~np.isin(hashes, np.concatenate(trained)))
        return rows, hashlib.sha256(np.sort(hashes[rows]).astype("<u8").tobytes()).hexdigest()

    def _trained_on(self, side: Candidate) -> NDArray[np.uint64]:
        import numpy as np

        path = self._registry.artifacts.path(side.files["training_rows.npy"].digest)
        hashes: NDArray[np.uint64] = np.load(path, allow_pickle=False)
        return hashes

    def _case(self, rows: NDArray[np.intp], digest: Digest) -> gate.Case:
        features = self._holdout.features.take(rows)
        other, why_not = self._other(features)
        return gate.Case(
            true=self._holdout.true[rows],
            candidate=self._registry.exported(self._version).predict(features),
            other=other,
            incomparable=why_not,
            against=self._against,
            judged=self._turn(digest),
            seed=self._holdout.seed,
        )

    def _turn(self, rows: Digest) -> int:
        """How many candidates these rows have judged, this one included.

        A version that they judged against the same champion before keeps its turn: it is the same
        question, and candidates that came after it change nothing about the answer.
        """
        versions, mine = self._registry.ledger.versions, self._version
        champion = self._champion.number if self._champion else None
        earlier = [
            entry.verdict.judged
            for entry in versions.judgements(mine.model)
            if (entry.version, entry.champion, entry.rows) == (mine.number, champion, rows)
        ]
        return (
            earlier[-1]
            if earlier
            else 1 + versions.judged(mine.model, rows, other_than=mine.number)
        )

    def _other(self, features: Features) -> tuple[NDArray[np.float64] | None, str | None]:
        """Predictions of what the version is judged against, or why there are none."""
        mine = self._candidate.signature
        if self._champion is None or self._rival is None:
            classes = None if mine.classes is None else len(mine.classes)
            return gate.baseline(self._holdout.training, classes, len(features)), None
        if self._rival.signature != mine:
            return None, unlike(mine, self._rival.signature, self._against)
        return self._registry.exported(self._champion).predict(features), None
