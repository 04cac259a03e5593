"""A fit that real ranks compute, and the same by one process.

The model is that of softmax.py, as a user's file of a real study.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from fairlead.artifacts import Artifacts
from fairlead.data import store
from fairlead.engines.engine import ADDRESS, PROGRAM, RANK, GangRequest
from fairlead.engines.engine import SECRET as SECRET_VARIABLE
from fairlead.gang.assignment import Patience
from fairlead.gang.hub import Hub
from fairlead.gang.network import StepResult
from fairlead.gang.steps import Alone, take_steps
from fairlead.gang.work import FitJob, Gang
from fairlead.machine import library_environment
from fairlead.records import Trial
from fairlead.settings import Settings
from fairlead.spec.document import canonical
from fairlead.spec.load import load
from fairlead.study import plan as plans
from fairlead.training.computation import FitOpener
from tests.support import softmax

FAMILY = "./softmax.py:Softmax"
SECRET = "a secret of this gang"
SPEC = f"""
name: shared
data: {{source: digits}}
search:
  method: random
  folds: 2
  trials: 1
  over: [{{family: "{FAMILY}", params: {{learning_rate: 0.002}}}}]
train: {{workers: 2, microbatches: 6}}
promote: {{when: never}}
"""
HASTY = Patience(quiet=1.5, silent=6.0, first=20.0, least=1.0, hung=20.0, greeting=3.0)
"""For tests of what a driver does when something takes too long."""


def heed_nothing(_: StepResult) -> None:
    """What happens meanwhile does not matter."""


@dataclass(frozen=True, kw_only=True)
class SharedStudy:
    """A study whose fits ranks can open.

    Args:
        job: The fit of its trial on fold 0, with the defaults of the model.
        artifacts: Where its table and source are.
    """

    job: FitJob
    artifacts: Artifacts

    def fit(self, *, fold: int | None = 0, **params: float | str) -> FitJob:
        """The fit with these parameters."""
        trial = replace(self.job.trial, params=params)
        return FitJob(**{**vars(self.job), "trial": trial, "fold": fold})

    def train(
        self, job: FitJob, gang: Gang | None, listen: Callable[[StepResult], None] = heed_nothing
    ) -> str:
        """Take all steps of the fit; the digest of what came of it."""
        network = FitOpener(self.artifacts)(job)
        take_steps(network, gang or Alone(computation=network), listen)
        return digest(network)

    def request(self, hub: Hub, *, ranks: int = 2, key: str = "shared", **more: Any) -> GangRequest:
        """Ranks that compute for this hub."""
        return GangRequest(
            key=key,
            ranks=ranks,
            address=hub.address,
            secret=SECRET,
            artifacts=self.artifacts.root,
            **more,
        )


def digest(network: Any) -> str:
    """Digest of the weights and of the state of the optimizer, to the bit."""
    arrays = network.checkpoint()
    content = b"".join(arrays[name].tobytes() for name in sorted(arrays))
    return hashlib.sha256(content).hexdigest()


def shared_study(folder: Path, spec: str = SPEC) -> SharedStudy:
    """A study in this folder, of one family."""
    shutil.copy(softmax.__file__, folder / "softmax.py")
    (folder / "shared.yaml").write_text(spec)
    loaded = load(folder / "shared.yaml", sets=())
    settings = Settings(home=folder / "home")
    plan = plans.make(loaded.spec, base=loaded.base, settings=settings)
    artifacts = Artifacts(settings.artifacts_url)
    job = FitJob(
        study="shared",
        spec=canonical(plan.spec),
        table=store.save(plan.table, artifacts),
        sources={name: artifacts.put(source).digest for name, source in plan.sources.items()},
        trial=Trial(number=0, family=plan.spec.search.over[0].family, params={}),
        fold=0,
    )
    return SharedStudy(job=job, artifacts=artifacts)


@contextmanager
def rank_process(
    study: SharedStudy, address: str, number: int, *, secret: str = SECRET
) -> Iterator[subprocess.Popen[str]]:
    """The program of a rank, started by hand."""
    variables = {
        ADDRESS: address,
        SECRET_VARIABLE: secret,
        RANK: str(number),
        "FAIRLEAD_ARTIFACTS": study.artifacts.root,
    }
    process = subprocess.Popen(
        [sys.executable, *PROGRAM],
        env={**os.environ, **library_environment(1), **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def process_of(gang: GangRequest, rank: int) -> psutil.Process:
    """The process of a rank of a local engine in this process."""
    wanted = {ADDRESS: gang.address, RANK: str(rank)}
    for process in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended
            if wanted.items() <= process.environ().items():
                return process
    raise AssertionError(f"no process is rank {rank}")
