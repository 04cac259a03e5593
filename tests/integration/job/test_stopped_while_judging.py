"""A run that is asked to stop, or cancelled, while its candidate is judged."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fairlead.ledger.store import open_ledger
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.job.conftest import Place

# Some seconds of judging: this metric is computed anew on each resample of 2,000 rows.
SPEC = """
name: judged
data: {source: ./rows.csv, target: y, holdout: {share: 0.5}}
search:
  method: random
  metric: roc_auc
  folds: 2
  trials: 1
  over: [{family: linear}]
"""
AT_ONCE = 10.0  # seconds: it takes less than one, but not on a machine full of other tests


def rows() -> str:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    names = (x[:, 0] > rng.normal(size=4000)).astype(int) + (x[:, 1] > 0)
    lines = [f"{a:.6f},{b:.6f},{c:.6f},k{name}" for (a, b, c), name in zip(x, names, strict=True)]
    return "\n".join(["a,b,c,y", *lines])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_a_stop_while_judging_is_heeded_at_once_and_the_same_command_judges(
    place: Place, number: signal.Signals
) -> None:
    place.write("rows.csv", rows())
    place.write("spec.yaml", SPEC)
    run = place.start("run", "spec.yaml", "--workers", "1")
    log = place.folder / "output.log"
    wait_until(lambda: "judging" in log.read_text())
    run.send_signal(number)
    assert run.wait(AT_ONCE) == 130
    last = log.read_text().splitlines()[-1]
    assert last == "stopped: 1 of 1 trials kept; run the same command to go on"
    with open_ledger(place.home / "ledger.db") as ledger:
        assert [version.number for version in ledger.versions.all("judged")] == [1]
        assert ledger.versions.judgements("judged") == []
        assert ledger.versions.champion("judged") is None
    again = place.json("run", "spec.yaml")
    assert (again["version"], again["promoted"]) == (1, True)


def test_a_run_that_is_cancelled_while_it_is_judged_promotes_nothing(place: Place) -> None:
    place.write("rows.csv", rows())
    place.write("spec.yaml", SPEC)
    run = place.start("run", "spec.yaml", "--workers", "1")
    log = place.folder / "output.log"
    wait_until(lambda: "judging" in log.read_text())
    cancelled = place.run("cancel", "judged", "--why", "wrong data")
    assert cancelled.returncode == 0, cancelled.stderr
    assert run.wait(60) == 1
    assert "was cancelled: wrong data" in log.read_text()
    with open_ledger(place.home / "ledger.db") as ledger:
        assert ledger.versions.judgements("judged") == []
        assert ledger.versions.champion("judged") is None
