"""What is collected while a run is at work is nothing that the run needs."""

from __future__ import annotations

import os
import shutil
import time

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.data import store
from fairlead.ledger.store import open_ledger
from tests.integration.job import families, specs
from tests.integration.job.conftest import Place

TWO_HOURS = 7200.0


def collect(place: Place) -> list[str]:
    """Collect once; returns the digests that it took for garbage."""
    found = place.json("gc", "--delete", "--older-than", "0")
    return [each["digest"] for each in found["artefacts"]]


def run_while_collecting(place: Place) -> set[str]:
    """Run to the end, collecting again and again; returns what was garbage meanwhile."""
    run = place.start("run", "slow.yaml", "--workers", "2")
    garbage: set[str] = set()
    times = 0
    while run.poll() is None:
        if (place.home / "ledger.db").exists():
            garbage.update(collect(place))
            times += 1
    assert run.returncode == 0, (place.folder / "output.log").read_text()
    assert times >= 2
    return garbage


def everything_named_is_there(place: Place) -> None:
    artifacts = Artifacts(place.home / "artifacts")
    with open_ledger(place.home / "ledger.db") as ledger:
        tables = [study.table for study in ledger.studies.all()]
        manifests = [version.manifest for version in ledger.versions.all()]
        digests = set(ledger.roots.digests())
    assert tables
    assert manifests
    digests.update(part for table in tables for part in store.parts(table, artifacts))
    for each in manifests:
        files = manifest.load(artifacts.get(each)).files.values()
        digests.update(file.digest for file in files)
    for digest in digests:
        artifacts.get(digest)


def test_a_run_keeps_all_that_it_stores(place: Place) -> None:
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow())
    assert run_while_collecting(place) == set()
    everything_named_is_there(place)


def test_a_run_keeps_what_it_stores_again_though_it_was_garbage_before(place: Place) -> None:
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow(trials=4))
    first = place.json("run", "slow.yaml", "--workers", "2")
    shutil.move(place.home, place.folder / "before")
    with open_ledger(place.home / "ledger.db"):
        pass  # an empty one; what follows in the store is garbage to it
    shutil.copytree(place.folder / "before" / "artifacts", place.home / "artifacts")
    then = time.time() - TWO_HOURS
    for file in (place.home / "artifacts").glob("??/*"):
        os.utime(file, (then, then))
    run_while_collecting(place)
    everything_named_is_there(place)
    again = place.json("run", "slow.yaml")
    assert again["best"] == first["best"]
