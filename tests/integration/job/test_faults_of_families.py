"""A family that misbehaves costs its own trials, and the reason stands on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.job import families, specs
from tests.integration.job.conftest import Place


@pytest.mark.parametrize(
    ("how", "limits", "reason"),
    [
        ("segfault", "", "killed by SIGSEGV"),
        ("exit", "", "ended its process with status 7"),
        ("raise", "", "RuntimeError: no luck today"),
        ("nan", "", "not finite"),
        ("close", "", "closed the connection"),
        ("hang", "task_time: 5s", "over its time limit of 5 s"),
        ("eat", "task_memory: 700MiB", "over its memory limit of 700 MiB"),
    ],
)
def test_trouble_costs_its_own_trials_and_the_others_go_on(
    place: Place, how: str, limits: str, reason: str
) -> None:
    place.write("bad.py", families.BAD)
    place.write("bad.yaml", specs.bad(how, limits=limits))
    outcome = place.json("run", "bad.yaml", "--workers", "2")
    by_state = {
        state: [t for t in outcome["trials"] if t["state"] == state] for state in ("done", "failed")
    }
    assert [t["params"]["how"] for t in by_state["done"]] == ["well", "well"]
    assert [t["params"]["how"] for t in by_state["failed"]] == [how, how]
    assert all(reason in t["reason"] for t in by_state["failed"]), by_state["failed"]
    attempts = 1 if how == "nan" else 3  # what is scored as not finite is a result, and no fault
    assert all(t["attempts"] == attempts for t in by_state["failed"])
    assert all(
        t["reason"].endswith("(after 3 attempts)") == (attempts > 1) for t in by_state["failed"]
    )
    assert outcome["best"]["params"]["how"] == "well"


@pytest.mark.parametrize("how", ["scribble", "fork"])
def test_a_fit_that_meddles_with_its_process_changes_no_other_trial(place: Place, how: str) -> None:
    place.write("bad.py", families.BAD)
    place.write("bad.yaml", specs.bad(how))
    outcome = place.json("run", "bad.yaml", "--workers", "1")
    scores = {(t["params"]["alpha"], t["params"]["how"]): t["scores"] for t in outcome["trials"]}
    for alpha in (0.1, 1.0):
        assert scores[alpha, how] == scores[alpha, "well"]


def test_a_shared_fit_that_takes_too_long_costs_only_the_trial_that_does(place: Place) -> None:
    place.write("shared.yaml", specs.SHARED)
    outcome = place.json("run", "shared.yaml", "--workers", "2")
    assert [t["state"] for t in outcome["trials"]] == ["done", "done", "failed"]
    assert "over its time limit" in outcome["trials"][2]["reason"]


def test_megabytes_of_chatter_neither_stop_a_fit_nor_fill_the_logs(place: Place) -> None:
    place.write("bad.py", families.BAD)
    place.write("bad.yaml", specs.bad("chatter"))
    outcome = place.json("run", "bad.yaml", "--workers", "1")
    assert [t["state"] for t in outcome["trials"]] == ["done"] * 4
    assert sum(file.stat().st_size for file in (place.home / "logs").iterdir()) < 1_000_000


def test_a_study_without_a_good_trial_fails_and_says_why(place: Place) -> None:
    place.write("bad.py", families.BAD)
    place.write("bad.yaml", specs.bad("raise").replace("[well, raise]", "[raise]"))
    done = place.run("run", "bad.yaml")
    assert done.returncode == 1
    [study] = place.json("studies")
    assert done.stderr.splitlines()[-1] == (
        f"study {study['study']}: no trial succeeded; 2 of 2 failed with: RuntimeError: no luck "
        f"today (bad.py:34) (after 3 attempts); `{place.program} trials {study['study']}` "
        f"shows each, or `{place.program} run SPEC --fresh` searches again, once what they failed "
        "for is mended outside the spec"
    )
    again = place.run("run", "bad.yaml")
    assert (again.returncode, again.stderr.splitlines()[-1]) == (1, done.stderr.splitlines()[-1])
    page = Path(place.run("report", "bad").stdout.strip()).read_text()
    assert "Nothing was predicted. No trial succeeded, so there is no model." in page
    assert f"<code>fairlead trials {study['study']}</code>" in page
    assert "Trial 0 is the first that failed: RuntimeError: no luck today" in page
