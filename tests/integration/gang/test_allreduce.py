"""Mode allreduce: ranks find each other, and the end of one is that of all; with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.gangs import SECRET, SharedStudy, process_of, shared_study
from tests.support.waiting import wait_until

from fairlead.engines.engine import GangRequest
from fairlead.engines.gang import EngineGang
from fairlead.engines.local import LocalEngine
from fairlead.gang.hub import Hub
from fairlead.gang.network import StepResult
from fairlead.gang.steps import Alone, take_steps
from fairlead.gang.work import Gang
from fairlead.training.computation import FitOpener

pytestmark = pytest.mark.distributed

SPEC = """
name: together
data: {source: digits}
search:
  method: random
  folds: 2
  trials: 1
  over: [{family: keras, params: {epochs: 3}}]
train: {workers: 2, mode: allreduce, pull_every: 5}
promote: {when: never}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SharedStudy:
    return shared_study(tmp_path_factory.mktemp("study"), SPEC)


@contextmanager
def together(study: SharedStudy, folder: Path) -> Iterator[tuple[EngineGang, GangRequest]]:
    engine = LocalEngine(logs=folder / "logs")
    with Hub(secret=SECRET, collective=2) as hub:
        request = study.request(hub, collective=True)
        with EngineGang(engine, request, hub) as gang:
            gang.open(study.fit(epochs=4))
            yield gang, request


def losses(
    study: SharedStudy, gang: Gang | None, after: Callable[[StepResult], None] = lambda _: None
) -> list[float]:
    """The loss of each round."""
    seen: list[float] = []

    def listen(result: StepResult) -> None:
        seen.append(result.loss)
        after(result)

    network = FitOpener(study.artifacts)(study.fit(epochs=4))
    take_steps(network, gang or Alone(computation=network), listen)
    return seen


def test_ranks_that_add_their_gradients_train_what_one_process_trains(
    study: SharedStudy, tmp_path: Path
) -> None:
    alone = losses(study, None)
    with together(study, tmp_path) as (gang, _):
        assert losses(study, gang) == pytest.approx(alone, rel=1e-3)
    assert alone[-1] < 0.7 * alone[0]


def test_where_a_rank_is_lost_all_begin_anew_from_the_last_state(
    study: SharedStudy, tmp_path: Path
) -> None:
    pids: list[int] = []

    with together(study, tmp_path) as (gang, request):

        def kill_one(result: StepResult) -> None:
            if result.step == 1:
                wait_until(lambda: gang.alive() == 2)
                pids.extend(process_of(request, rank).pid for rank in (0, 1))
                process_of(request, 1).kill()

        seen = losses(study, gang, kill_one)
        after = [process_of(request, rank).pid for rank in (0, 1)]
    assert len({*pids, *after}) == 4
    assert seen == pytest.approx(losses(study, None), rel=1e-3)
