"""A Study as a cluster keeps it: what is asked for, and what was made of that so far.

Its `spec` is the document that `fairlead run` reads, with what only a cluster has beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fairlead.kube.floats import FLOATS, restored

OWN = ("workers", "resources", "files", "deploy", FLOATS)
"""The keys of a Study's spec that are not the document's."""
_ON_A_CLUSTER = ("kubernetes", "tfjob", "trainjob")
"""The engines of `train` that start pods."""
_MOST = 8
"""Workers at most, where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class StudyWorkers:
    """How many workers there are, and what each has.

    Args:
        least: At least so many, while there is anything to do.
        most: At most so many.
        cpu: Cores of each.
        memory: Memory of each, as Kubernetes writes it: 1Gi.
    """

    least: int = 0
    most: int = _MOST
    cpu: str = "1"
    memory: str = "1Gi"


@dataclass(frozen=True, kw_only=True)
class StudyObject:
    """What a Study asks for.

    Args:
        name: Of the object.
        namespace: Where it is.
        uid: Its own, for as long as it is there.
        document: What `fairlead run` reads.
        files: Content by name of the files that the document names as `./NAME`.
        deploy: Whether the version is to be deployed where it becomes the champion.
        workers: For its tasks.
    """

    name: str
    namespace: str
    uid: str
    document: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    deploy: bool = False
    workers: StudyWorkers = field(default_factory=StudyWorkers)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """The Study of an object, whose form the API server has checked."""
        metadata, spec = body["metadata"], body["spec"]
        workers, resources = spec.get("workers", {}), spec.get("resources", {})
        least = workers.get("min", 0)
        document = {"name": metadata["name"], **restored(spec)}
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            document={key: value for key, value in document.items() if key not in OWN},
            files=dict(spec.get("files", {})),
            deploy=bool(spec.get("deploy", False)),
            workers=StudyWorkers(
                least=least,
                most=workers.get("max", max(least, _MOST)),
                cpu=str(resources.get("cpu", StudyWorkers.cpu)),
                memory=str(resources.get("memory", StudyWorkers.memory)),
            ),
        )

    @property
    def starts_pods(self) -> bool:
        """Whether its fits start pods, as `train` says."""
        train = self.document.get("train") or {}
        on_spark = train.get("engine") == "spark" and str(train.get("master")).startswith("k8s:")
        return on_spark or train.get("engine") in _ON_A_CLUSTER

    @property
    def digest(self) -> str:
        """Names all that a run of it depends on; how many workers there are is no part of it."""
        asked = {"document": self.document, "files": self.files, "deploy": self.deploy}
        content = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:10]
