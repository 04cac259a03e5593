"""The kinds that Fairlead adds to a cluster, by name, and as lightkube's classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightkube.generic_resource import GenericNamespacedResource

GROUP = "fairlead.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind, and how it is called in the API's paths and on the command line of kubectl."""

    name: str
    singular: str
    plural: str
    short: tuple[str, ...] = ()

    @property
    def resource(self) -> type[GenericNamespacedResource]:
        """Its class, the same one each time."""
        from lightkube.generic_resource import create_namespaced_resource

        return create_namespaced_resource(GROUP, VERSION, self.name, self.plural)


STUDIES = Kind(name="Study", singular="study", plural="studies", short=("st",))
ENDPOINTS = Kind(name="Endpoint", singular="endpoint", plural="endpoints")
KINDS = (STUDIES, ENDPOINTS)
