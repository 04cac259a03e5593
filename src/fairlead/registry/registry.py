"""The registry: versions, the champion among them, promotion and rollback by hand.

Registering never changes a champion; the gate (judging.py) or a person does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.data.precision import advice
from fairlead.errors import (
    Conflict,
    Failed,
    FairleadError,
    Invalid,
    NextStep,
    NotFound,
    Unexportable,
)
from fairlead.inference import Exported
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Promotion, RunHolder, Version

_ATTEMPTS = 100  # each one that fails is another process's success


@dataclass(frozen=True, kw_only=True)
class Known:
    """What whoever asks for a change of the champion believes it to be.

    Args:
        champion: Number of the version; None for none.
    """

    champion: int | None


@dataclass(frozen=True)
class Registry:
    """The models of one home folder.

    Args:
        ledger: Says what is true.
        artifacts: Holds the files that it names.
        carrier: Who carries the run for which versions are registered and judged. What is written
            for a run that has ended meanwhile, or is another's, raises Lost.
    """

    ledger: Ledger
    artifacts: Artifacts
    carrier: RunHolder | None = None

    def register(self, candidate: Candidate, *, model: str, size: int) -> Version:
        """Give the candidate the model's next version; what was registered before keeps its number.

        Args:
            candidate: Its files are in the artefact store already.
            model: Name of the model.
            size: Trials of the study by now.

        Returns:
            The version; that of its first registration where `known` finds one.
        """
        kept = self.artifacts.put(manifest.dump(candidate))
        version = Version(
            model=model,
            number=0,  # the ledger gives it
            study=candidate.study,
            trial=candidate.trial,
            size=size,
            manifest=kept.digest,
        )
        for _ in range(_ATTEMPTS):
            versions = self.ledger.versions.all(model)
            if known := self._among(versions, candidate):
                return known
            try:
                return self.ledger.versions.register(
                    version, seen=len(versions), carrier=self.carrier
                )
            except Conflict:
                continue  # what was registered meanwhile may be this very model
        raise Conflict(f"registering a version of {model!r}: others keep coming; run it again")

    def known(self, candidate: Candidate, *, model: str) -> Version | None:
        """The model's version that is the same as the candidate, the oldest; None if it is new.

        The same predictor, trained on the same rows, is the same version, whichever study found
        it: registered once more, it would be judged against itself.
        """
        return self._among(self.ledger.versions.all(model), candidate)

    def _among(self, versions: Sequence[Version], candidate: Candidate) -> Version | None:
        for version in versions:
            try:
                registered = self.candidate(version)
            except FairleadError:  # damaged: nobody can say what it is
                continue
            if same(candidate, registered):
                return version
        return None

    def version(self, model: str, number: int | None = None) -> Version:
        """The version of this number, or the champion.

        Raises:
            NotFound: There is no such model or version, or it has no champion.
        """
        if number is not None:
            return self.ledger.versions.get(model, number)
        champion = self.ledger.versions.champion(model)
        if champion is None:
            self.ledger.versions.history(model)  # refuses a model that is not there
            raise NotFound(
                f"model {model!r} has no champion yet: name a version",
                code="no_champion",
                next_steps=(_promote(model, "makes one the champion"),),
            )
        return champion

    def candidate(self, version: Version) -> Candidate:
        """What the version is made of.

        Raises:
            Corrupt: Its manifest is not what was written.
        """
        return manifest.load(self.artifacts.get(version.manifest))

    def exported(self, version: Version) -> Exported:
        """The version, ready to predict.

        Raises:
            Unexportable: It has no ONNX form.
            Corrupt: Its file is not what was written.
        """
        candidate = self.candidate(version)
        file = candidate.files.get("model.onnx")
        if file is None:
            raise Unexportable(f"{_named(version)} has no ONNX form: {candidate.unexportable}")
        return Exported(self.artifacts.path(file.digest), candidate.signature)

    def promote(
        self, model: str, number: int, *, why: str, known: Known | None = None
    ) -> Promotion | None:
        """Make a version the champion because a person says so.

        Args:
            model: Name of the model.
            number: Of the version.
            why: Goes into the history.
            known: The champion that the person has in mind; any if None.

        Returns:
            The entry of the history; None where the version is the champion already.

        Raises:
            NotFound: There is no such version.
            Unexportable: It has no ONNX form.
            Failed: Its exported form predicts something else than what was trained.
            Corrupt: Its file is not what was written.
            Conflict: The champion is another than the known one, or keeps changing.
        """
        require_reason(why)
        version = self.ledger.versions.get(model, number)
        self.refuse_unfit(version, doing="promoting")
        for _ in range(_ATTEMPTS):
            champion = self.ledger.versions.champion(model)
            if champion and champion.number == number:
                return None
            previous = champion.number if champion else None
            _refuse_other(model, previous, known)
            try:
                return self.ledger.versions.promote(
                    Promotion(
                        model=model,
                        number=0,  # the ledger gives it
                        version=number,
                        previous=previous,
                        kind="promote",
                        why=why,
                    )
                )
            except Conflict:
                continue  # by `known` the person says whether it matters who the champion is
        raise Conflict(f"promoting {_named(version)}: the champion keeps changing; try again")

    def rollback(self, model: str, *, why: str, known: Known | None = None) -> Promotion:
        """Make the previous champion the champion again; another rollback goes further back.

        Raises:
            NotFound: There is no such model.
            Invalid: There is no previous champion.
            Conflict: The champion changed meanwhile: what was to be undone is undone no more.
            Corrupt: The previous champion's file is not what was written.
        """
        require_reason(why)
        reachable = pile(self.ledger.versions.history(model))
        _refuse_other(model, reachable[-1] if reachable else None, known)
        if len(reachable) < 2:  # noqa: PLR2004 - the champion and the one before
            raise _nothing_before(model, reachable)
        former = self.ledger.versions.get(model, reachable[-2])
        self.refuse_unfit(former, doing="promoting")
        return self.ledger.versions.promote(
            Promotion(
                model=model,
                number=0,  # the ledger gives it
                version=reachable[-2],
                previous=reachable[-1],
                kind="rollback",
                why=why,
            )
        )

    def refuse_unfit(self, version: Version, *, doing: str) -> None:
        """Refuse a version that is not fit to be live.

        Args:
            version: The version.
            doing: What is being done with it, for the message.

        Raises:
            Unexportable: It has no ONNX form.
            Failed: Its exported form predicts something else than what was trained.
            Corrupt: Its file is not what was written.
        """
        candidate = self.candidate(version)
        if candidate.unexportable is not None or "model.onnx" not in candidate.files:
            raise Unexportable(
                f"{doing} {_named(version)}: it has no ONNX form ({candidate.unexportable}), "
                "so it cannot be live"
            )
        if not parity_passed(candidate):
            raise Failed(f"{doing} {_named(version)}: {disparity(candidate)}")
        self.artifacts.path(candidate.files["model.onnx"].digest)  # whole, before it is live


def same(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates are one model.

    What is exported and the rows it was trained on tell; where nothing is exported, the trial of
    the study does, since a family's own format may differ from one writing to the next.
    """
    return _identity(one) == _identity(other)


def _identity(candidate: Candidate) -> tuple[object, ...]:
    digests = [
        file.digest
        for name in ("model.onnx", "training_rows.npy")
        if (file := candidate.files.get(name))
    ]
    exported = "model.onnx" in candidate.files
    found_by = None if exported else (candidate.study, candidate.trial)
    # The metric judges it, parity lets it stand, and the columns' names are not in the file.
    return (*digests, found_by, candidate.signature, candidate.metric, parity_passed(candidate))


def parity_passed(candidate: Candidate) -> bool:
    """Whether the exported model was shown to predict what the trained one does."""
    return candidate.parity is not None and candidate.parity.passed


def disparity(candidate: Candidate) -> str:
    """How the exported model differs from the trained one."""
    parity = candidate.parity
    if parity is None:
        return "its exported form was never compared with what was trained"
    unit = "standard deviations of the target" if candidate.signature.classes is None else "of 1"
    return (
        f"its exported form does not predict what was trained: {parity.beyond} of {parity.rows} "
        f"holdout rows are further apart than {parity.tolerance:g}, the worst {parity.worst:.3g} "
        f"({unit}){f'; {advice(parity.rounded)}' if parity.rounded else ''}"
    )


def _refuse_other(model: str, champion: int | None, known: Known | None) -> None:
    """Refuse a change of the champion that was asked for with another one in mind.

    The ledger compares the champion that is found here once more, when it writes.
    """
    if known is not None and champion != known.champion:
        raise Conflict(
            f"previous: the champion of {model!r} is {_number(champion)}, not "
            f"{_number(known.champion)}; look at the model again",
            next_steps=[NextStep("history", {"model": model}, "shows what changed")],
        )


def _number(version: int | None) -> str:
    return "none" if version is None else f"v{version}"


def _named(version: Version) -> str:
    return f"v{version.number} of model {version.model!r}"


def require_reason(why: str) -> None:
    """Refuse a change without a reason.

    Raises:
        Invalid: There is none.
    """
    if not why.strip():
        raise Invalid(
            "the reason (why) is empty: it is all that the history will tell", code="no_reason"
        )


def _nothing_before(model: str, reachable: tuple[int, ...]) -> Invalid:
    if not reachable:
        text = f"model {model!r} has no champion, so there is nothing to roll back"
        return Invalid(text, code="no_champion")
    return Invalid(
        f"rolling back {model!r}: v{reachable[-1]} is its first champion, and there is nothing "
        "before it to go back to",
        code="no_previous_champion",
        next_steps=(_promote(model, "makes another version the champion"),),
    )


def _promote(model: str, effect: str) -> NextStep:
    arguments = {"model": model, "version": None, "why": None}
    return NextStep(action="promote", arguments=arguments, effect=effect)


# ---- rules over the history -------------------------------------------------------------------
#
# Rules over a model's history of promotions and judgements.
#
# A history is only appended to, so undoing is an entry too: a rollback takes the champion off a
# stack of champions, and the one below is champion again. Another rollback takes that one off as
# well; a promotion after it goes on top of what is left.


def pile(history: Sequence[Promotion]) -> tuple[int, ...]:
    """Versions that a rollback can still reach, the champion last.

    Args:
        history: The oldest first.
    """
    standing: list[int] = []
    for promotion in history:
        if promotion.kind == "rollback":
            standing.pop()
        else:
            standing.append(promotion.version)
    return tuple(standing)


def taken_down(history: Sequence[Promotion], version: int) -> Promotion | None:
    """How a person ended the version's last time as champion; None where no person did.

    Such a version comes back only by a person: running its spec again must not undo a rollback.
    """
    ends = [entry for entry in history if entry.previous == version]
    return ends[-1] if ends and ends[-1].kind != "gate" else None
