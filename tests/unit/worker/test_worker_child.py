"""What a child says of what its task raised."""

from __future__ import annotations

import pytest

from fairlead.errors import Corrupt, Diverged, Failed, InvalidData, InvalidSpec, Unreachable
from fairlead.families.user_code import Reference, within
from fairlead.worker.child import _answered
from fairlead.worker.messages import Answer, Raised


def answered(error: BaseException) -> Raised:
    def handle() -> Answer:
        raise error

    answer = _answered(handle, token=7)
    assert isinstance(answer, Raised)
    return answer


@pytest.mark.parametrize("kind", [Diverged, InvalidData, InvalidSpec])
def test_what_the_spec_the_data_and_the_seed_decide_is_not_tried_again(kind: type) -> None:
    assert answered(kind("no")) == Raised(token=7, reason="no", final=True)


@pytest.mark.parametrize("error", [Corrupt("no"), Failed("no"), Unreachable("no"), ValueError()])
def test_what_a_machine_may_be_the_cause_of_is_tried_again(error: Exception) -> None:
    assert not answered(error).final


@pytest.mark.parametrize(
    ("source", "final"),
    [("1 / 0", True), ("import no_such_module", False), ("open('no such file')", False)],
)
def test_the_users_code_is_run_again_where_another_machine_may_have_what_it_lacks(
    source: str, *, final: bool
) -> None:
    with pytest.raises(InvalidSpec) as caught:
        Reference(name="./own.py:build", source=source.encode()).target()
    assert answered(caught.value).final == final


def test_code_that_takes_too_long_is_run_again() -> None:
    with pytest.raises(
        InvalidSpec, match=r"^\./own\.py:4: .*has not ended within 0\.1 s$"
    ) as caught:
        waits()
    assert not answered(caught.value).final


def waits() -> None:
    source = b"import time\n\ndef build():\n    time.sleep(60)\n"
    user = Reference(name="./own.py:build", source=source)
    build = user.target()
    with user.guarded("waits"), within(0.1):
        build()
