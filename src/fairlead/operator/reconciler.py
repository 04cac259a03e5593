"""The loop of a Study: look, decide, carry out, and say how it is.

What is done here may be done twice, and by two operators at once: a submission is named by what it
submits, the ledger gives the same run to the same spec, and autoscalers hold a lease.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Pod

from fairlead.autoscale.decide import Policy
from fairlead.control.halts import halts
from fairlead.control.submitted import cancel
from fairlead.errors import Conflict, NotFound
from fairlead.kube.client import Cluster
from fairlead.kube.place import PodPlace
from fairlead.kube.pod_status import refusal_of
from fairlead.kube.quantities import amount
from fairlead.ledger.interface import Ledger
from fairlead.operator.conditions import Condition, Report
from fairlead.operator.decide import (
    AwaitSubmission,
    FollowRun,
    Noted,
    NoteRefusal,
    NoteRun,
    Rest,
    Step,
    Submission,
    Submit,
    SubmitAgain,
    next_step,
)
from fairlead.operator.scaling import StudyScalers
from fairlead.operator.status import RunView, of_refusal, of_run, of_submission
from fairlead.operator.study_object import StudyObject
from fairlead.operator.submission import (
    STUDY_UID_LABEL,
    is_outdated,
    refuse_other,
    study_files,
    submission_job,
    submission_name,
    submission_state,
)
from fairlead.records import Run
from fairlead.runners.kubernetes import KubernetesRunner
from fairlead.runners.runner import WorkerGroup
from fairlead.study.outcome import metric_of

_WITHIN, _COOLDOWN = 30.0, 30.0
"""Seconds in which waiting tasks are to be done, and before idle workers leave."""
_CHANGED, _DELETED = "the Study was changed", "the Study was deleted"
_LEAVING = "the workers of before leave"
_HALTS = {
    "no_controller": "no controller carries it: see that the Deployment fairlead-server runs",
    "no_worker": "no worker is there yet",
}


@dataclass(kw_only=True)
class StudyReconciler:
    """Takes Studies to where they are asked to be.

    Args:
        cluster: Where they are.
        ledger: Where their runs are.
        scalers: Of their workers.
        runner: Makes the runner of their workers.
        place: As what the pods that submit them run.
        settings: Name of the ConfigMap and of the Secret that say where the stores are.
        group: The group of workers without what a Study says of them.
    """

    cluster: Cluster
    ledger: Ledger
    scalers: StudyScalers
    runner: Callable[[], KubernetesRunner]
    place: PodPlace
    settings: str
    group: WorkerGroup
    _forgotten: dict[str, str] = field(default_factory=dict)  # digests by the Studies' uids

    def reconcile(self, study: StudyObject, noted: Noted | None) -> Report:
        """Do what is next, and say how the Study is then."""
        step = next_step(study.digest, noted, self._submission(study, noted))
        report = self._carried_out(step, study, noted)
        return replace(report, over=report.over and self._is_forgotten(study))

    def remove(self, study: StudyObject, noted: Noted | None) -> bool:
        """Cancel its run and end its workers; True once they have ended. Versions are kept."""
        self._forgotten.pop(study.uid, None)
        self._forget(study, keep=None, reason=_DELETED)
        is_ended = self._is_ended(study, noted, reason=_DELETED)
        return is_ended and self._forgotten.pop(study.uid, None) is not None

    # ---- steps --------------------------------------------------------------------------------

    def _carried_out(self, step: Step, study: StudyObject, noted: Noted | None) -> Report:
        match step:
            case NoteRun(run=run):
                return self._noted(study, noted, run)
            case NoteRefusal(reason=reason):
                return self._refused(study, noted, reason)
            case FollowRun(run=run):
                self._forget(study, keep=run, reason=_CHANGED)
                return self._followed(study, self.ledger.runs.get(run))
            case Rest():
                self._forget(study, keep=None, reason=_CHANGED)
                return Report(fields={}, conditions=[], over=True)
            case Submit():
                self._submit(study)
                why = ""
            case SubmitAgain(why=why):
                self.cluster.delete(Job, submission_name(study))
            case AwaitSubmission(why=why):
                pass
        return _submitting(why)

    def _submission(self, study: StudyObject, noted: Noted | None) -> Submission | None:
        """The Job that submits what is asked for; not looked for where that is noted."""
        if noted is not None and noted.digest == study.digest:
            return None
        name = submission_name(study)
        try:
            job = self.cluster.get(Job, name)
        except NotFound:
            return None
        found = self._state(job)
        if found.state == "waiting" and is_outdated(job, study, self.place):
            self.cluster.delete(Job, name)  # it may wait for ever for what nobody asks for now
            return None
        return found

    def _state(self, job: Job) -> Submission:
        assert job.metadata is not None
        own = {"batch.kubernetes.io/controller-uid": job.metadata.uid}  # one of before had its name
        pods = self.cluster.list(Pod, labels=own)
        refusal = "" if pods else refusal_of(self.cluster, str(job.metadata.uid))
        return submission_state(job, pods, refusal=refusal)

    def _submit(self, study: StudyObject) -> None:
        self._forgotten.pop(study.uid, None)
        self.cluster.apply(study_files(study))
        try:
            self.cluster.create(submission_job(study, self.place, self.settings))
        except Conflict:  # another operator was faster, or it is somebody else's
            refuse_other(self.cluster.get(Job, submission_name(study)), study)

    def _forget(self, study: StudyObject, *, keep: str | None, reason: str) -> None:
        """Delete what submitted it, once that has ended, and cancel what came of it but one run.

        What is at work is left to end: it may have put a run into the ledger that it has not told.
        """
        if self._is_forgotten(study):
            return
        jobs = self.cluster.list(Job, labels={STUDY_UID_LABEL: study.uid})
        for job in jobs:
            found = self._state(job)
            if found.state == "succeeded" and found.text != keep:
                self._cancel(found.text, reason)
            if found.state != "running":
                self.cluster.delete(ConfigMap, _name(job))  # the Job last: by it both are found
                self.cluster.delete(Job, _name(job))
        if not jobs:
            self._forgotten[study.uid] = study.digest

    def _is_forgotten(self, study: StudyObject) -> bool:
        return self._forgotten.get(study.uid) == study.digest

    def _noted(self, study: StudyObject, before: Noted | None, run: str) -> Report:
        """The run is known and goes on from now on, and the one that it replaces ends."""
        following = self.ledger.runs.get(run)
        if before is not None and before.run not in {None, run}:
            replaced = self._cancel(str(before.run), f"the Study was changed: run {run} goes on")
            others = replaced is not None and replaced.study != following.study
            if replaced and others and not self._have_left(study, replaced):
                return _submitting(_LEAVING)
        report = self._followed(study, following)
        # It is not over before another look has deleted what submitted it.
        return replace(report, noted=Noted(digest=study.digest, run=run), over=False)

    def _refused(self, study: StudyObject, before: Noted | None, reason: str) -> Report:
        """What it asks for cannot be submitted; what it asked for before ends first."""
        if not self._is_ended(study, before, reason=_CHANGED):
            return _submitting(_LEAVING)
        return Report(**_told(of_refusal(reason)), noted=Noted(digest=study.digest, run=None))

    def _is_ended(self, study: StudyObject, noted: Noted | None, *, reason: str) -> bool:
        """Have its run be cancelled and its workers leave; whether they have."""
        run = None if noted is None or noted.run is None else self._cancel(noted.run, reason)
        return self.scalers.end(study.uid) if run is None else self._have_left(study, run)

    def _have_left(self, study: StudyObject, run: Run) -> bool:
        """Have the workers of this run leave, also those that no scaler knows; whether they have.

        The operator that has started them may have ended since, and the run while none was there.
        """
        if not self.scalers.end(study.uid):
            return False
        with self.runner() as runner:
            runner.remove(self._group(study, run).key)
        return True

    def _followed(self, study: StudyObject, run: Run) -> Report:
        if run.state != "running":
            return Report(**_told(of_run(self._view(run))), over=self._have_left(study, run))
        scaling = self.scalers.ensure(study.uid, self._group(study, run), _policy(study))
        view = self._view(run, starting=scaling.reason)
        fields, conditions = of_run(replace(view, waits=scaling.trouble or view.waits))
        if not scaling.is_ours:
            del fields["message"]  # the operator that decides says it
        return Report(fields=fields, conditions=conditions)

    # ---- the ledger ---------------------------------------------------------------------------

    def _view(self, run: Run, *, starting: str = "") -> RunView:
        """How it is.

        Args:
            run: The run.
            starting: What is done where it has no worker.
        """
        studies = self.ledger.studies
        study, counts = studies.get(run.study), studies.counts(run.study)
        metric = metric_of(study)
        best = studies.leading(study.id, highest=metric.greater_is_better)
        workers = [one for one in self.ledger.workers.alive() if one.study == study.id]
        lacking = halts(self.ledger, run, study, counts)
        return RunView(
            run=run,
            study=study,
            counts=counts,
            metric=metric.name,
            best=None if best is None else best.score,
            workers=len(workers),
            fits=self.ledger.fits.running(study.id),
            waits="; ".join(
                starting if starting and halt == "no_worker" else _HALTS[halt] for halt in lacking
            ),
        )

    def _cancel(self, name: str, reason: str) -> Run | None:
        """End this run, unless it has ended; None where the ledger is another one by now."""
        try:
            run = self.ledger.runs.get(name)
        except NotFound:
            return None
        if run.state == "running":
            with suppress(Conflict):  # it has just ended
                cancel(self.ledger, run, reason)
        return run

    def _group(self, study: StudyObject, run: Run) -> WorkerGroup:
        """Its workers; another run of another study has others."""
        own = hashlib.sha256(f"{study.uid}\n{run.study}".encode()).hexdigest()[:8]
        name = study.name.replace(".", "-")[:24].rstrip("-")
        return replace(
            self.group,
            key=f"{name}-{own}",
            study=run.study,
            cores=float(amount(study.workers.cpu)),
            memory=int(amount(study.workers.memory)),
            starts_pods=study.starts_pods,
        )


def _policy(study: StudyObject) -> Policy:
    workers = study.workers
    return Policy(least=workers.least, most=workers.most, within=_WITHIN, cooldown=_COOLDOWN)


def _submitting(message: str) -> Report:
    return Report(**_told(of_submission("Submitting", message)))


def _name(job: Job) -> str:
    assert job.metadata is not None
    return str(job.metadata.name)


def _told(status: tuple[dict[str, Any], Sequence[Condition]]) -> dict[str, Any]:
    fields, conditions = status
    return {"fields": fields, "conditions": conditions}
