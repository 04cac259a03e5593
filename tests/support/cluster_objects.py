"""All objects of a cluster, counted, so that a test can tell that nothing is left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lightkube.config.client_adapter import Client, ConnectionParams

from fairlead.kube.client import Cluster

_PASSING = frozenset({"events", "leases", "endpoints", "endpointslices", "componentstatuses"})
"""What comes and goes by itself."""


def counted(cluster: Cluster) -> Counter[str]:
    """How many objects of each kind there are, those of the cluster itself included."""
    with Client(cluster._client.config, ConnectionParams()) as asking:
        return Counter({kind: len(_items(asking, path)) for kind, path in _kinds(asking)})


def in_namespace(cluster: Cluster, name: str) -> list[str]:
    """The objects of a namespace, as kind/name."""
    with Client(cluster._client.config, ConnectionParams()) as asking:
        return sorted(
            f"{kind}/{one['metadata']['name']}"
            for kind, path in _kinds(asking)
            for one in _items(asking, path)
            if one["metadata"].get("namespace") == name
        )


def naming(cluster: Cluster, text: str) -> list[str]:
    """The objects in which this occurs, wherever they are, as kind/name."""
    with Client(cluster._client.config, ConnectionParams()) as asking:
        return sorted(
            f"{kind}/{one['metadata']['name']}"
            for kind, path in _kinds(asking)
            for one in _items(asking, path)
            if text in json.dumps(one)
        )


def _kinds(asking: Any) -> Iterator[tuple[str, str]]:
    """Each kind that can be listed, with the path that lists all of it."""
    groups = asking.get("/apis").raise_for_status().json()["groups"]
    paths = ["/api/v1", *(f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups)]
    for path in paths:
        answer = asking.get(path)
        for one in answer.json().get("resources", ()) if answer.is_success else ():
            name, verbs = one["name"], one["verbs"]
            if "/" not in name and {"list", "delete"} <= {*verbs} and name not in _PASSING:
                yield f"{name}.{path}", f"{path}/{name}"


def _items(asking: Any, path: str) -> list[dict[str, Any]]:
    answer = asking.get(path)
    return list(answer.json()["items"] or ()) if answer.is_success else []
