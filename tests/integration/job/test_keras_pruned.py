"""Networks of Keras are pruned by epoch, and the best of those that are not is registered."""

from __future__ import annotations

import pytest

from tests.integration.job.conftest import Place

pytestmark = pytest.mark.distributed

SPEC = """
name: progression
data: {source: diabetes}
search:
  method: grid
  folds: 2
  lag: 0
  prune: median
  over:
    - family: keras
      params:
        units: 4
        layers: 1
        epochs: 3
        batch: 10
        learning_rate: [0.02, 0.021, 0.022, 0.023, 0.024, 0.025, 0.026, 0.027, 0.028, 0.029, 1.0e-6]
promote: {when: always}
"""


def test_a_trial_that_learns_nothing_stops_within_its_first_fold(place: Place) -> None:
    place.write("progression.yaml", SPEC)
    outcome = place.json("run", "progression.yaml", "--workers", "1")
    *whole, slow = outcome["trials"]
    assert {trial["state"] for trial in whole} == {"done"}
    assert all(len(trial["curve"]) == 3 for trial in whole)
    assert all(trial["curve"][-1] == trial["scores"][0] for trial in whole)
    assert (slow["state"], slow["scores"], len(slow["curve"])) == ("pruned", [], 2)
    last = f"fold 0: its score after epoch 2, {slow['curve'][-1]:.6g}, is worse than the median, "
    assert slow["reason"].startswith(last)
    assert outcome["best"]["number"] != slow["number"]
    assert outcome["version"]
