"""A run that is paused: its tasks wait, whoever asks for them again, until it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.job.specs import RIDGE
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place


def test_a_paused_run_that_is_submitted_again_stays_paused_and_says_what_resumes_it(
    place: Place,
) -> None:
    place.write("ridge.yaml", RIDGE)
    run = place.run("submit", "ridge.yaml").stdout.strip()
    place.run("pause", run)
    again = place.run("submit", "ridge.yaml")
    assert again.stdout.strip() == run
    said = f"its study is paused, and stays so until `{place.program} resume {run}`"
    assert said in again.stderr.splitlines()
    assert said in place.run("submit", "ridge.yaml", "--json").stderr.splitlines()
    place.run("cancel", run)
    other = place.run("submit", "ridge.yaml")
    assert other.stdout.strip() != run
    assert f"`{place.program} resume {other.stdout.strip()}`" in other.stderr


def test_a_command_that_runs_a_paused_study_says_what_resumes_it(place: Place) -> None:
    place.write("ridge.yaml", RIDGE)
    run = place.run("submit", "ridge.yaml").stdout.strip()
    place.run("pause", run)
    running = place.start("run", "ridge.yaml", "--workers", "1")
    study = run.partition(".")[0]
    said = f"paused: `{place.program} resume {study}` goes on"
    wait_until(lambda: said in (place.folder / "output.log").read_text())
    assert place.run("resume", study).returncode == 0
    assert running.wait(60) == 0
