"""A workshop that makes real versions: small models, exported, in a real ledger."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead.artifacts import Artifacts
from fairlead.data.features import Features
from fairlead.data.fingerprint import row_hashes
from fairlead.families.catalog import family
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Candidate, Column, Params, Parity, Signature, Study, Version
from fairlead.registry.judging import GateOutcome, Holdout, consider
from fairlead.registry.registry import Registry
from fairlead.settings import Settings
from fairlead.spec.document import Data, FamilySpace, Promote, Search, Spec, canonical
from fairlead.training.export import export
from fairlead.training.prepare import Preparation

MODEL = "prices"
STUDY = "s" * 64
SPEC = Spec(
    name=MODEL,
    data=Data(source="rows.csv", target="price"),
    search=Search(over=(FamilySpace(family="linear"),)),
)
COLUMNS = tuple(Column(name=name, kind="number") for name in "abcd")
PASSED = Parity(rows=100, beyond=0, worst=1e-6, tolerance=1e-4, passed=True)


@dataclass
class Workshop:
    """A home with 300 rows, of which 200 train and 100 judge."""

    settings: Settings
    ledger: Ledger
    registry: Registry
    columns: tuple[Column, ...] = COLUMNS
    target: str = "price"

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(300, len(self.columns)))
        self.y = self.x @ np.arange(1.0, 5.0) + rng.normal(size=300)

    def features(self, rows: Any) -> Features:
        numbers = self.x[rows]
        return Features(numbers=numbers, text=np.empty((len(numbers), 0), np.int32))

    def candidate(
        self, error: float, *, rows: slice = slice(0, 200), alpha: float = 1e-6, **changes: Any
    ) -> Candidate:
        """A linear model trained on these rows, whose targets are this much further off."""
        signature = Signature(columns=self.columns, target=self.target)
        features = self.features(rows)
        preparation = Preparation.fit(features, Data(source="boston"))
        linear = family("linear", base=Path())
        params: Params = {"alpha": alpha}
        noise = np.random.default_rng(1).normal(size=len(features)) + 1
        built = linear.build(params, "regression", seed=0, threads=1)
        target = self.y[rows] + error * noise
        fitted = linear.fit(built, preparation.transform(features), target, classes=None)
        files = {
            "model.onnx": self.registry.artifacts.put(
                export(preparation, linear, fitted, signature)
            ),
            "training_rows.npy": self.registry.artifacts.put(_npy(np.sort(row_hashes(features)))),
        }
        made = Candidate(
            study=STUDY,
            trial=int(error * 1000),
            family="linear",
            params=params,
            seed=0,
            metric="mse",
            holdout_score=1.0,
            training_rows=len(features),
            holdout_rows=100,
            signature=signature,
            files=files,
            parity=PASSED,
        )
        return replace(made, **changes)

    def register(self, candidate: Candidate) -> Version:
        return self.registry.register(candidate, model=MODEL, size=10)

    def version(self, error: float, **changes: Any) -> Version:
        return self.register(self.candidate(error, **changes))

    def holdout(self, rows: slice = slice(200, 300)) -> Holdout:
        return Holdout(
            features=self.features(rows), true=self.y[rows], training=self.y[:200], seed=0
        )

    def consider(
        self, version: Version, rows: slice = slice(200, 300), **terms: Any
    ) -> GateOutcome:
        return consider(self.registry, version, holdout=self.holdout(rows), terms=Promote(**terms))

    def champion(self) -> int | None:
        found = self.ledger.versions.champion(MODEL)
        return found.number if found else None


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    settings = Settings(home=tmp_path / "home")
    with open_ledger(settings.ledger_url) as ledger:
        registry = Registry(ledger, Artifacts(settings.artifacts_url))
        ledger.studies.open(
            Study(id=STUDY, name=MODEL, spec=canonical(SPEC), table="t" * 64, size=10)
        )
        yield Workshop(settings=settings, ledger=ledger, registry=registry)
