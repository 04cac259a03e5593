"""What becomes of revisions that nothing wants any more."""

from __future__ import annotations

import pytest

from fairlead.records import Revision, RevisionState
from fairlead.server.reconciler import next_state


@pytest.mark.parametrize(
    ("state", "age", "followed", "draining", "becomes"),
    [
        ("serving", 0, False, False, "draining"),
        ("draining", 99, False, False, None),
        ("draining", 0, True, True, None),
        ("draining", 0, True, False, "retired"),
        ("ready", 1, True, False, None),
        ("ready", 6, True, False, "retired"),
        ("loading", 6, False, False, "retired"),
        ("failed", 99, True, False, None),
        ("retired", 99, True, False, None),
    ],
)
def test_an_unwanted_revision_answers_what_is_in_hand_and_retires(
    state: RevisionState,
    age: float,
    *,
    followed: bool,
    draining: bool,
    becomes: RevisionState | None,
) -> None:
    revision = Revision(model="m", name="v1", version=1, state=state, changed=100.0)
    found = next_state(
        revision, now=100.0 + age, followed=followed, draining=draining, elsewhere=False
    )
    assert found == becomes


@pytest.mark.parametrize("state", ["loading", "ready", "serving", "draining"])
def test_a_server_leaves_revisions_to_the_one_that_carries_out_a_deployment(
    state: RevisionState,
) -> None:
    revision = Revision(model="m", name="v1", version=1, state=state, changed=100.0)
    assert next_state(revision, now=200.0, followed=True, draining=False, elsewhere=True) is None
