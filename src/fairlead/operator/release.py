"""What an operator lets go of where its namespace is deleted.

A Study and an Endpoint are held by a finalizer until the operator has ended what goes on of them.
A namespace that is deleted ends its pods first: no operator would be left to remove it, and the
namespace would stay. So the operator removes it as it ends.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from lightkube.resources.core_v1 import Namespace

from fairlead.errors import FairleadError, NotFound
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import GROUP, KINDS

FINALIZER = f"{GROUP}/operator"
_LOG = logging.getLogger(__name__)


def release_where_all_goes(cluster: Cluster) -> None:
    """Remove the finalizer of everything in the namespace, if that is being deleted."""
    try:
        if is_being_deleted(cluster):
            for kind in KINDS:
                for one in cluster.list(kind.resource):
                    release(cluster, one)
    except FairleadError as error:  # it ends all the same
        _LOG.warning("the finalizers stay: %s", error)


def is_being_deleted(cluster: Cluster) -> bool:
    """Whether the namespace is on its way out."""
    found = cluster.get(Namespace, cluster.namespace)
    return bool(found.status and found.status.phase == "Terminating")


def release(cluster: Cluster, one: Any) -> None:
    """Remove the finalizer of this Study or Endpoint; those of others stay."""
    held = one.metadata.finalizers or ()
    if FINALIZER in held:
        others = [each for each in held if each != FINALIZER]
        with suppress(NotFound):
            cluster.merge(type(one), one.metadata.name, {"metadata": {"finalizers": others}})
