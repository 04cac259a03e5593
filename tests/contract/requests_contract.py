"""What every ledger does for requests that are asked again. Inherited by each ledger's test."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

import fairlead.ledger.requests as module
from fairlead.errors import Conflict, FairleadError, Lost
from fairlead.ledger.interface import Ledger
from fairlead.records import Answer, Claim, Request
from tests.contract.ledger_contract import LEASE, STUDY, done, task

REQUEST = Request(caller="ann", key="k1", digest="d1")
SAID = Answer(body=b'{"id": 1}', status=201, location="/api/v1/runs/1")


def claimed(value: object) -> Answer | None:
    """The answer of a claim; that there is no task answers nothing that must be kept."""
    if not isinstance(value, Claim):
        return None
    return Answer(body=json.dumps({"task": value.task, "token": value.token}).encode())


def claim(ledger: Ledger, request: Request) -> tuple[Claim | None, bool]:
    with ledger.requests.once(request) as opened:
        opened.answer_with(claimed)
        return ledger.tasks.claim("w", lease=LEASE), opened.is_kept


class RequestsContract:
    def test_an_answer_is_kept_under_its_key(self, ledger: Ledger) -> None:
        assert ledger.requests.find(REQUEST) is None
        ledger.requests.keep(REQUEST, SAID)
        assert ledger.requests.find(REQUEST) == SAID
        ledger.requests.keep(REQUEST, Answer(body=b"another"))
        assert ledger.requests.find(REQUEST) == SAID
        assert ledger.requests.find(replace(REQUEST, caller="bob", digest="d2")) is None
        with pytest.raises(Conflict) as refused:
            ledger.requests.find(replace(REQUEST, digest="d2"))
        assert refused.value.code == "idempotency_key_reused"

    def test_the_answer_is_written_with_what_it_answers(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        first, kept = claim(ledger, REQUEST)
        assert kept
        assert ledger.requests.find(REQUEST) == claimed(first)
        counts = ledger.studies.counts(STUDY.id)
        assert (counts.ready, counts.running) == (1, 1)

    def test_what_was_answered_meanwhile_is_taken_back(self, ledger: Ledger) -> None:
        """Two processes looked for an answer, found none, and both begin."""
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        first, _ = claim(ledger, REQUEST)
        with ledger.requests.once(REQUEST) as opened:
            opened.answer_with(claimed)
            for _ in range(2):  # nor does any later write of it come about
                with pytest.raises(FairleadError):
                    ledger.tasks.claim("w", lease=LEASE)
            with pytest.raises(FairleadError):
                ledger.studies.pause(STUDY.id)
            assert opened.is_answered_elsewhere
            assert not opened.is_kept
        counts = ledger.studies.counts(STUDY.id)
        assert (counts.ready, counts.running) == (1, 1)
        assert not ledger.studies.get(STUDY.id).paused
        assert ledger.requests.find(REQUEST) == claimed(first)

    def test_what_fails_keeps_nothing(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        had = ledger.tasks.claim("w", lease=LEASE)
        assert had is not None
        with ledger.requests.once(REQUEST) as opened:
            opened.answer_with(lambda _: SAID)
            with pytest.raises(Lost):
                ledger.tasks.commit(replace(had, token=had.token + 1), [done(0)])
            assert not opened.is_kept
        assert ledger.requests.find(REQUEST) is None
        with ledger.requests.once(REQUEST) as opened:
            opened.answer_with(lambda _: SAID)
            ledger.tasks.commit(had, [done(0)])
        assert ledger.requests.find(REQUEST) == SAID

    def test_the_write_that_answers_is_the_one_that_is_kept_with(self, ledger: Ledger) -> None:
        """A request may write more than once: a claim that finds nothing answers nothing."""
        ledger.studies.open(STUDY)
        none, kept = claim(ledger, REQUEST)
        assert (none, kept) == (None, False)
        assert ledger.requests.find(REQUEST) is None
        with ledger.requests.once(REQUEST) as opened:
            opened.answer_with(claimed)
            ledger.tasks.add(STUDY.id, [task(0), task(1)])
            assert not opened.is_kept
            assert ledger.tasks.claim("w", lease=LEASE)
            assert opened.is_kept
            assert ledger.tasks.claim("w", lease=LEASE)  # a further write is an ordinary one
        assert ledger.studies.counts(STUDY.id).running == 2

    def test_a_request_is_of_its_own_context(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        with ledger.requests.once(REQUEST) as opened:
            opened.answer_with(claimed)
            other = threading.Thread(target=ledger.tasks.claim, args=("w",), kwargs={"lease": 60})
            other.start()
            other.join()
            assert not opened.is_kept
        assert ledger.tasks.claim("w", lease=LEASE)
        assert ledger.requests.find(REQUEST) is None

    def test_a_key_is_known_for_its_time_and_is_a_new_one_then(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        with ledger.requests.once(REQUEST) as opened:
            opened.answer_with(lambda _: SAID, seconds=-1.0)
            ledger.studies.pause(STUDY.id)
            assert opened.is_kept
        again = replace(REQUEST, digest="d2")
        assert ledger.requests.find(again) is None
        with ledger.requests.once(again) as opened:
            opened.answer_with(lambda _: SAID)
            ledger.studies.resume(STUDY.id)
        assert ledger.requests.find(again) == SAID

    def test_old_answers_are_deleted(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_EVERY", 1)
        monkeypatch.setattr(module, "KEPT_REQUESTS", 3)
        keys = [replace(REQUEST, key=f"k{number}") for number in range(6)]
        other = replace(REQUEST, caller="bob")
        ledger.requests.keep(other, SAID)
        for request in keys:
            ledger.requests.keep(request, SAID)
        found = [ledger.requests.find(request) for request in keys]
        assert found == [None] * 3 + [SAID] * 3
        assert ledger.requests.find(other) == SAID
