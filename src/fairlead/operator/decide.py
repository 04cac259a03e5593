"""What a Study needs next: rules over records, without clocks, clusters or ledgers.

A Study is submitted by a Job, once for each thing that it asks for (`StudyObject.digest`). What
came of that is in its status before the Job is deleted: whoever goes on submits nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A Job that submits, or did.

    Args:
        digest: What it submits.
        state: How it is: it waits where no pod of it is at work; it is lost where it ended, and
            nothing follows from that but to submit again.
        text: Once it has succeeded, the run's id; where it was refused, why; else why it waits.
    """

    digest: str
    state: Literal["waiting", "running", "succeeded", "refused", "lost"]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What the status of a Study says of its last submission.

    Args:
        digest: What was submitted.
        run: The run's id; None where it was refused.
    """

    digest: str
    run: str | None


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Start the Job that submits it."""


@dataclass(frozen=True, kw_only=True)
class AwaitSubmission:
    """The Job is at work, or waits for something."""

    why: str


@dataclass(frozen=True, kw_only=True)
class SubmitAgain:
    """The Job came to nothing by what may pass: a store that was away, a pod that is gone."""

    why: str


@dataclass(frozen=True, kw_only=True)
class NoteRun:
    """It was submitted as this run."""

    run: str


@dataclass(frozen=True, kw_only=True)
class NoteRefusal:
    """It cannot be submitted."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class FollowRun:
    """Its run is in the ledger."""

    run: str


@dataclass(frozen=True, kw_only=True)
class Rest:
    """It was refused; another attempt is another spec."""


Step: TypeAlias = Submit | AwaitSubmission | SubmitAgain | NoteRun | NoteRefusal | FollowRun | Rest


def next_step(digest: str, noted: Noted | None, submission: Submission | None) -> Step:
    """What is to be done for a Study.

    Args:
        digest: Of what it asks for now.
        noted: What its status says.
        submission: The newest Job that submits it, if there is one.
    """
    if noted is not None and noted.digest == digest:
        return Rest() if noted.run is None else FollowRun(run=noted.run)
    if submission is None or submission.digest != digest:
        return Submit()
    match submission.state:
        case "succeeded":
            return NoteRun(run=submission.text)
        case "refused":
            return NoteRefusal(reason=submission.text)
        case "lost":
            return SubmitAgain(why=submission.text)
        case "waiting" | "running":
            return AwaitSubmission(why=submission.text)
