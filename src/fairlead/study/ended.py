"""What came of a run, read from the stores: by who carried it, and by whoever looks afterwards."""

from __future__ import annotations

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import Failed, NextStep
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Run, Study
from fairlead.spec.document import parse_canonical
from fairlead.study import decide
from fairlead.study.outcome import Best, RunOutcome, Trials, best_of, metric_of


def refuse_unfinished(run: Run) -> None:
    """Refuse a run that ended without a version.

    Raises:
        Failed: It failed, or was cancelled; says why.
    """
    if run.state == "failed":
        raise Failed(run.reason)
    if run.state == "cancelled":
        why = f": {run.reason}" if run.reason else ""
        raise Failed(f"run {run.id!r} was cancelled{why}", code="run_cancelled")


def outcome_of(run: Run, ledger: Ledger, artifacts: Artifacts) -> RunOutcome:
    """What came of a run that is done, or is judged and waits for its deployment.

    Args:
        run: As the ledger has it.
        ledger: Where its study and version are.
        artifacts: Where its candidate is.
    """
    spec = parse_canonical(run.spec)
    kept = ledger.studies.get(run.study)
    study = kept if spec.search.trials is None else as_asked(kept, spec.search.trials, ledger)
    trials, best = trials_and_best(study, ledger)
    assert run.version is not None
    assert run.verdict is not None
    version = ledger.versions.get(spec.name, run.version)  # a study may serve specs of other names
    champion = ledger.versions.champion(version.model)
    return RunOutcome(
        study=study,
        best=best,
        trials=trials,
        candidate=candidate_of(best, run, ledger, artifacts),
        version=version,
        promoted=champion is not None and champion.number == version.number,
        verdict=run.verdict,
    )


def as_asked(kept: Study, size: int, ledger: Ledger) -> Study:
    """The study of so many trials, where the ledger has a larger one."""
    if size >= kept.size:
        return kept
    return decide.as_asked(kept, ledger.studies.trials(kept.id), size, metric_of(kept))


def trials_and_best(study: Study, ledger: Ledger) -> tuple[Trials, Best]:
    """The trials of a finished study, and the best of them.

    Raises:
        Failed: No trial succeeded.
    """
    trials = Trials(ledger.studies.trials(study.id)[: study.size])
    best = best_of(study, trials)
    if best is None:
        raise Failed(
            f"study {study.id}: no trial succeeded; {_reasons(trials)}",
            next_steps=[
                NextStep(action="trials", arguments={"study": study.id}, effect="shows each"),
                NextStep(
                    action="run",
                    arguments={"spec": None, "fresh": True},
                    effect="searches again, once what they failed for is mended outside the spec",
                ),
            ],
        )
    return trials, best


def candidate_of(best: Best, run: Run, ledger: Ledger, artifacts: Artifacts) -> Candidate:
    """What the refit of the best trial made, of a run that is beyond that stage."""
    digest, _ = ledger.tasks.refit(run.study, best.number)
    assert digest is not None
    return manifest.load(artifacts.get(digest))


def _reasons(trials: Trials) -> str:
    """Why trials failed, the most frequent reason first."""
    reasons = [row.result.reason for row in trials if row.result and row.result.reason]
    if not reasons:
        return "none was finished in time"
    most = max(set(reasons), key=reasons.count)
    return f"{reasons.count(most)} of {len(trials)} failed with: {most}"
