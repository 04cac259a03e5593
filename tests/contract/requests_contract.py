"""What every ledger does for requests that are asked again. Inherited by each ledger's test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

import fairlead.ledger.requests as module
from fairlead.errors import Conflict, FairleadError, Lost
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import requests_of
from fairlead.records import Answer, Claim, Request
from tests.contract.concurrent_contract import register
from tests.contract.ledger_contract import LEASE, STUDY, done, task
from tests.contract.racing import race

REQUEST = Request(caller="ann", key="k1", digest="d1")
SAID = Answer(body=b'{"id": 1}', status=201, location="/api/v1/runs/1")


def claimed(value: object) -> Answer | None:
    """The answer of a claim; that there is no task answers nothing that must be kept."""
    if not isinstance(value, Claim):
        return None
    return Answer(body=json.dumps({"task": value.task, "token": value.token}).encode())


def claim(ledger: Ledger, request: Request) -> tuple[Claim | None, bool]:
    with requests_of(ledger).once(request) as opened:
        opened.answer_with(claimed)
        return ledger.tasks.claim("w", lease=LEASE), opened.is_kept


class RequestsContract:
    def test_an_answer_is_kept_under_its_key(self, ledger: Ledger) -> None:
        assert requests_of(ledger).find(REQUEST) is None
        requests_of(ledger).keep(REQUEST, SAID)
        assert requests_of(ledger).find(REQUEST) == SAID
        requests_of(ledger).keep(REQUEST, Answer(body=b"another"))
        assert requests_of(ledger).find(REQUEST) == SAID
        assert requests_of(ledger).find(replace(REQUEST, caller="bob", digest="d2")) is None
        with pytest.raises(Conflict) as refused:
            requests_of(ledger).find(replace(REQUEST, digest="d2"))
        assert refused.value.code == "idempotency_key_reused"

    def test_the_answer_is_written_with_what_it_answers(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        first, kept = claim(ledger, REQUEST)
        assert kept
        assert requests_of(ledger).find(REQUEST) == claimed(first)
        counts = ledger.studies.counts(STUDY.id)
        assert (counts.ready, counts.running) == (1, 1)

    def test_what_was_answered_meanwhile_is_taken_back(self, ledger: Ledger) -> None:
        """Two processes looked for an answer, found none, and both begin."""
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        first, _ = claim(ledger, REQUEST)
        with requests_of(ledger).once(REQUEST) as opened:
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
        assert requests_of(ledger).find(REQUEST) == claimed(first)

    def test_what_fails_keeps_nothing(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        had = ledger.tasks.claim("w", lease=LEASE)
        assert had is not None
        with requests_of(ledger).once(REQUEST) as opened:
            opened.answer_with(lambda _: SAID)
            with pytest.raises(Lost):
                ledger.tasks.commit(replace(had, token=had.token + 1), [done(0)])
            assert not opened.is_kept
        assert requests_of(ledger).find(REQUEST) is None
        with requests_of(ledger).once(REQUEST) as opened:
            opened.answer_with(lambda _: SAID)
            ledger.tasks.commit(had, [done(0)])
        assert requests_of(ledger).find(REQUEST) == SAID

    def test_the_write_that_answers_is_the_one_that_is_kept_with(self, ledger: Ledger) -> None:
        """A request may write more than once: a claim that finds nothing answers nothing."""
        ledger.studies.open(STUDY)
        none, kept = claim(ledger, REQUEST)
        assert (none, kept) == (None, False)
        assert requests_of(ledger).find(REQUEST) is None
        with requests_of(ledger).once(REQUEST) as opened:
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
        with requests_of(ledger).once(REQUEST) as opened:
            opened.answer_with(claimed)
            other = threading.Thread(target=ledger.tasks.claim, args=("w",), kwargs={"lease": 60})
            other.start()
            other.join()
            assert not opened.is_kept
        assert ledger.tasks.claim("w", lease=LEASE)
        assert requests_of(ledger).find(REQUEST) is None

    def test_a_key_is_known_for_its_time_and_is_a_new_one_then(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        with requests_of(ledger).once(REQUEST) as opened:
            opened.answer_with(lambda _: SAID, seconds=-1.0)
            ledger.studies.pause(STUDY.id)
            assert opened.is_kept
        again = replace(REQUEST, digest="d2")
        assert requests_of(ledger).find(again) is None
        with requests_of(ledger).once(again) as opened:
            opened.answer_with(lambda _: SAID)
            ledger.studies.resume(STUDY.id)
        assert requests_of(ledger).find(again) == SAID

    def test_old_answers_are_deleted(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_EVERY", 1)
        monkeypatch.setattr(module, "KEPT_REQUESTS", 3)
        keys = [replace(REQUEST, key=f"k{number}") for number in range(6)]
        other = replace(REQUEST, caller="bob")
        requests_of(ledger).keep(other, SAID)
        for request in keys:
            requests_of(ledger).keep(request, SAID)
        found = [requests_of(ledger).find(request) for request in keys]
        assert found == [None] * 3 + [SAID] * 3
        assert requests_of(ledger).find(other) == SAID


DYING = """
import os, signal, sys
from fairlead.ledger.store import open_ledger, requests_of
from fairlead.records import Answer, Promotion, Request

promotion = Promotion(model="m", number=0, version=1, previous=None, kind="promote", why="")
request = Request(caller="ann", key="k", digest="d")
with open_ledger(sys.argv[1]) as ledger, requests_of(ledger).once(request) as opened:
    opened.answer_with(lambda promoted: Answer(body=str(promoted.number).encode()))
    ledger.versions.promote(promotion)
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""Dies once the write is committed, before it could answer anybody."""


class ConcurrentRequestsContract:
    """Needs the fixture `location`, the URL of a ledger that `ledger` has opened."""

    def test_what_several_ask_for_at_once_under_one_key_is_done_once(
        self, ledger: Ledger, location: str
    ) -> None:
        answers = race(location, "answer once")
        assert all(len(set(turn)) == 1 for turn in zip(*answers, strict=True))
        assert [str(each.trial) for each in ledger.versions.all("m")] == answers[0]

    def test_what_was_committed_is_answered_although_its_process_died(
        self, ledger: Ledger, location: str
    ) -> None:
        register(ledger)
        ended = subprocess.run([sys.executable, "-c", DYING, location], check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
        request = Request(caller="ann", key="k", digest="d")
        assert requests_of(ledger).find(request) == Answer(body=b"1")
        assert [each.version for each in ledger.versions.history("m")] == [1]
