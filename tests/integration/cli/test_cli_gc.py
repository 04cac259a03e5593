"""Artefacts that nothing names are listed, and removed only when that is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.artifacts import Artifacts
from fairlead.artifacts.garbage import collect
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import (
    Candidate,
    Column,
    File,
    Revision,
    Route,
    Signature,
    Study,
    Version,
)
from fairlead.rollout.verification import CheckCache
from fairlead.serving.plan import Facts
from fairlead.settings import Settings

HOUR = 3600.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with open_ledger(settings.ledger_url) as opened:
        yield opened


@pytest.fixture
def artifacts(settings: Settings) -> Artifacts:
    return Artifacts(settings.artifacts_url)


def put(artifacts: Artifacts, content: bytes, *, hours: float = 2.0) -> str:
    """An artefact that was stored so long ago."""
    digest = artifacts.put(content).digest
    then = time.time() - hours * HOUR
    os.utime(artifacts.path(digest), (then, then))
    return digest


def gc(settings: Settings, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(settings.home), "gc", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def gc_json(settings: Settings, *args: str) -> Any:
    done = gc(settings, "--json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(found: Any) -> set[str]:
    return {each["digest"] for each in found["artefacts"]}


def test_what_rows_name_and_what_those_name_is_kept(
    settings: Settings, ledger: Ledger, artifacts: Artifacts
) -> None:
    array, file = put(artifacts, b"an array"), put(artifacts, b"a model")
    table = put(artifacts, json.dumps({"arrays": {"numbers": array}}).encode())
    manifest = put(artifacts, json.dumps({"files": {"m": {"digest": file}}}, indent=1).encode())
    ledger.studies.open(Study(id="s", name="s", spec="{}", table=table, size=1))
    ledger.versions.register(
        Version(model="m", number=0, study="s", trial=0, size=1, manifest=manifest)
    )
    garbage = put(artifacts, b"nothing names this")
    found = gc_json(settings, "--delete")
    assert listed(found) == {garbage}
    assert found["bytes"] == len(b"nothing names this")
    assert {each.digest for each in artifacts.all()} == {array, file, table, manifest}


def test_what_was_ever_routed_is_kept_with_its_details(
    settings: Settings, ledger: Ledger, artifacts: Artifacts
) -> None:
    kept = set()
    for number in (1, 2):
        file = put(artifacts, f"model {number}".encode())
        manifest = put(artifacts, json.dumps({"m": {"digest": file}}).encode())
        ledger.versions.register(
            Version(model="m", number=0, study="s", trial=0, size=1, manifest=manifest)
        )
        revision = ledger.routes.revise(Revision(model="m", name="", version=number))
        details = put(artifacts, json.dumps({"revision": revision.name}).encode())
        route = Route(
            model="m",
            number=0,
            traffic={revision.name: 100},
            kind="deploy",
            why="",
            details=details,
        )
        ledger.routes.change(route, previous=number - 1 or None)
        kept |= {file, manifest, details}
    assert ledger.routes.mark("m", "v1", "retired", "", was="serving")
    garbage = put(artifacts, b"details of a change that another overtook")
    assert listed(gc_json(settings, "--delete")) == {garbage}
    assert {each.digest for each in artifacts.all()} == kept


def test_nothing_goes_unasked(settings: Settings, ledger: Ledger, artifacts: Artifacts) -> None:
    garbage = put(artifacts, b"x" * 2_000_000)
    done = gc(settings)
    assert garbage in done.stdout
    assert "2.000" in done.stdout
    gc_here = f"fairlead --home {settings.home} gc --delete"
    assert done.stderr == f"1 files, 2.000 MB; `{gc_here}` removes them\n"
    assert artifacts.exists(garbage)


def test_what_is_young_is_kept(settings: Settings, ledger: Ledger, artifacts: Artifacts) -> None:
    young, old = put(artifacts, b"young", hours=0.5), put(artifacts, b"old", hours=1.5)
    assert listed(gc_json(settings)) == {old}
    assert listed(gc_json(settings, "--older-than", "0.25")) == {young, old}


def test_storing_something_again_keeps_it(
    settings: Settings, ledger: Ledger, artifacts: Artifacts
) -> None:
    put(artifacts, b"again")
    artifacts.put(b"again")
    assert listed(gc_json(settings)) == set()


def test_stale_temporaries_go_too(settings: Settings, ledger: Ledger, artifacts: Artifacts) -> None:
    folder = artifacts.path(put(artifacts, b"a")).parent
    old, young = folder / ".tmp-old", folder / ".tmp-young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    found = gc_json(settings, "--delete")
    assert [each["path"] for each in found["temporaries"]] == [str(old)]
    assert not old.exists()
    assert young.exists()


def test_a_named_artefact_that_cannot_be_read_stops_it(
    settings: Settings, ledger: Ledger, artifacts: Artifacts
) -> None:
    table = put(artifacts, b'{"arrays": {}}')
    ledger.studies.open(Study(id="s", name="s", spec="{}", table=table, size=1))
    garbage = put(artifacts, b"garbage")
    path = artifacts.path(table)
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    done = gc(settings, "--delete")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert artifacts.exists(garbage)


def test_there_is_nothing_to_say_about_a_clean_store(settings: Settings, ledger: Ledger) -> None:
    done = gc(settings, "--delete")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing to remove\n")


def test_collecting_alone_removes_nothing(ledger: Ledger, artifacts: Artifacts) -> None:
    digest = put(artifacts, b"x")
    garbage = collect(ledger.roots, artifacts, older_than=HOUR)
    assert [each.digest for each in garbage.artefacts] == [digest]
    assert garbage.size == 1
    assert artifacts.exists(digest)


def test_what_a_check_made_of_a_model_is_kept_with_its_finding(
    settings: Settings, ledger: Ledger, artifacts: Artifacts
) -> None:
    compact = put(artifacts, b"a compact form")
    facts = Facts(steady=True, missing=False, seconds=1e-5, size=14, compact=compact)
    file = File(digest=compact, size=14)
    candidate = Candidate(
        study="s",
        trial=0,
        family="linear",
        params={},
        seed=0,
        metric="mse",
        holdout_score=1.0,
        training_rows=3,
        holdout_rows=1,
        signature=Signature(columns=(Column(name="a", kind="number"),), target="t"),
        files={"model.onnx": file, "golden.json": file},
        parity=None,
    )
    CheckCache(settings.checked).store(candidate, facts)
    put(artifacts, b"nobody names this")
    assert len(gc_json(settings, "--delete")["artefacts"]) == 1
    assert artifacts.get(compact) == b"a compact form"
    artifacts.delete(compact)
    assert gc(settings).returncode == 0
