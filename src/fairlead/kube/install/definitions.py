"""The kinds Study and Endpoint: what a Study may say is what `fairlead schema` prints, and more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightkube.models.apiextensions_v1 import (
    CustomResourceColumnDefinition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion,
    CustomResourceSubresources,
    CustomResourceValidation,
    JSONSchemaProps,
    ValidationRule,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition

from fairlead.kube.install.labels import installed
from fairlead.kube.install.structural import structural
from fairlead.kube.kinds import ENDPOINTS, GROUP, STUDIES, VERSION, Kind
from fairlead.spec.document import json_schema

_MOST_WORKERS = 1024
_MOST_FILES = 64
_HOST = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_SERVED = "^[a-z]([-a-z0-9]{0,52}[a-z0-9])?$"
"""Models that an Endpoint can serve: a Service is MODEL-replicas."""
_ONE_A_MODEL = ValidationRule(
    rule="self.metadata.name == self.spec.model",
    message="an Endpoint has the name of its model: metadata.name must be spec.model",
)
"""A model has one route in the ledger: two Endpoints would each begin a deployment of their own."""
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]|[KMGTPE]i)?$"


def definitions() -> tuple[CustomResourceDefinition, ...]:
    """Both kinds. They are the cluster's, whatever namespaces have installations."""
    return (
        _definition(STUDIES, _study_spec(), _study_status(), _study_columns()),
        _definition(
            ENDPOINTS, _endpoint_spec(), _endpoint_status(), _endpoint_columns(), [_ONE_A_MODEL]
        ),
    )


def _definition(
    kind: Kind,
    spec: dict[str, Any],
    status: dict[str, Any],
    columns: list[CustomResourceColumnDefinition],
    rules: Sequence[ValidationRule] = (),
) -> CustomResourceDefinition:
    schema = JSONSchemaProps(
        type="object",
        properties={"spec": spec, "status": status},
        required=["spec"],
        x_kubernetes_validations=[*rules] or None,
    )
    version = CustomResourceDefinitionVersion(
        name=VERSION,
        served=True,
        storage=True,
        schema=CustomResourceValidation(openAPIV3Schema=schema),
        subresources=CustomResourceSubresources(status={}),
        additionalPrinterColumns=[*columns, _column("Age", ".metadata.creationTimestamp", "date")],
    )
    names = CustomResourceDefinitionNames(
        kind=kind.name,
        listKind=f"{kind.name}List",
        plural=kind.plural,
        singular=kind.singular,
        shortNames=list(kind.short),
        categories=["fairlead"],
    )
    return CustomResourceDefinition(
        metadata=ObjectMeta(name=f"{kind.plural}.{GROUP}", labels=installed("kinds")),
        spec=CustomResourceDefinitionSpec(
            group=GROUP, names=names, scope="Namespaced", versions=[version]
        ),
    )


def _column(name: str, path: str, kind: str = "string") -> CustomResourceColumnDefinition:
    return CustomResourceColumnDefinition(name=name, jsonPath=path, type=kind)


# ---- Study ----------------------------------------------------------------------------------


def _study_spec() -> dict[str, Any]:
    """The document of `fairlead run`, with what a cluster needs to know beside it."""
    document = structural(json_schema())
    document["required"] = [key for key in document["required"] if key != "name"]
    document["properties"]["name"]["description"] += "; that of the object if not given"
    document["properties"] |= {
        "workers": _workers(),
        "resources": _resources("what each worker asks for, and may take"),
        "files": _files(),
        "floats": {
            "type": "array",
            "description": "JSON pointers to the numbers of this spec that are meant as 1.0, not 1",
            "items": {"type": "string"},
        },
        "deploy": {
            "type": "boolean",
            "description": "whether the version is deployed if it becomes champion",
        },
    }
    return document


def _workers() -> dict[str, Any]:
    number = {"type": "integer", "maximum": _MOST_WORKERS}
    return {
        "type": "object",
        "description": "how many workers there may be",
        "properties": {
            "min": {**number, "minimum": 0, "description": "while there are tasks"},
            "max": {**number, "minimum": 1, "description": "at most; 8, or min if that is more"},
        },
        "x-kubernetes-validations": [
            {
                "rule": "!has(self.min) || !has(self.max) || self.min <= self.max",
                "message": "workers.min must be at most workers.max",
            }
        ],
    }


def _files() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "texts by the names that the document has for them: code, small data",
        "maxProperties": _MOST_FILES,
        "additionalProperties": {"type": "string"},
    }


def _resources(what: str) -> dict[str, Any]:
    quantity = {"x-kubernetes-int-or-string": True, "pattern": _QUANTITY}
    return {
        "type": "object",
        "description": what,
        "properties": {"cpu": quantity, "memory": quantity},
    }


def _study_status() -> dict[str, Any]:
    return _status(
        {
            "phase": {"type": "string"},
            "run": {"type": "string", "description": "id of the run"},
            "trials": {"type": "string", "description": "how many are done, of how many"},
            "best": {"type": "number", "description": "best score, in the study's metric"},
            "verdict": {"type": "string"},
            "version": {"type": "integer", "description": "number in the registry"},
            "workers": {"type": "integer", "description": "that are alive"},
        }
    )


def _study_columns() -> list[CustomResourceColumnDefinition]:
    return [
        _column("Phase", ".status.phase"),
        _column("Trials", ".status.trials"),
        _column("Best", ".status.best", "number"),
        _column("Verdict", ".status.verdict"),
        _column("Version", ".status.version", "integer"),
        _column("Workers", ".status.workers", "integer"),
    ]


# ---- Endpoint -------------------------------------------------------------------------------


def _endpoint_spec() -> dict[str, Any]:
    canary = structural(json_schema())["properties"]["serve"]["properties"]["canary"]
    replicas = {"type": "integer", "maximum": _MOST_WORKERS}
    return {
        "type": "object",
        "required": ["model"],
        "properties": {
            "model": {
                "type": "string",
                "pattern": _SERVED,
                "maxLength": 54,
                "description": "name of the model, and of the Endpoint",
            },
            "version": {
                "type": "integer",
                "minimum": 1,
                "description": "of the model; its champion if not given",
            },
            "canary": canary,
            "min": {**replicas, "minimum": 0, "description": "least replicas; 0: down to none"},
            "max": {**replicas, "minimum": 1, "description": "most replicas"},
            "sleepAfterSeconds": {
                "type": "integer",
                "minimum": 5,
                "maximum": 86_400,
                "description": "without a request, until there is no replica, where min is 0",
            },
            "resources": _resources("what each replica asks for, and may take"),
            "service": _service(),
            "ingress": _ingress(),
        },
        "x-kubernetes-validations": [
            {
                "rule": "!has(self.min) || !has(self.max) || self.min <= self.max",
                "message": "min must be at most max",
            }
        ],
    }


def _service() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "how the Endpoint is reached by an address",
        "properties": {
            "type": {
                "type": "string",
                "enum": ["ClusterIP", "NodePort"],
                "description": "ClusterIP: inside the cluster alone; NodePort: at each node, too",
            },
            "nodePort": {
                "type": "integer",
                "minimum": 1,
                "maximum": 65_535,
                "description": "of the nodes; one that is free if not given",
            },
        },
        "x-kubernetes-validations": [
            {
                "rule": "!has(self.nodePort) || (has(self.type) && self.type == 'NodePort')",
                "message": "nodePort goes with type: NodePort",
            }
        ],
    }


def _ingress() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "how the Endpoint is reached by a name, where the cluster has a controller",
        "required": ["host"],
        "properties": {
            "host": {"type": "string", "pattern": _HOST, "description": "that clients ask for"},
            "className": {
                "type": "string",
                "description": "of the controller; the cluster's default one if not given",
            },
            "tlsSecret": {
                "type": "string",
                "description": "Secret of the host's certificate; plain HTTP if not given",
            },
        },
    }


def _endpoint_status() -> dict[str, Any]:
    return _status(
        {
            "version": {"type": "integer", "description": "that has the traffic"},
            "traffic": {"type": "string", "description": "how it is split over versions"},
            "ready": {"type": "string", "description": "replicas that are ready, of how many"},
            "replicas": {"type": "integer"},
            "url": {"type": "string", "description": "where predictions are asked for"},
            "nodePort": {"type": "integer", "description": "at which nodes answer"},
        }
    )


def _endpoint_columns() -> list[CustomResourceColumnDefinition]:
    return [
        _column("Model", ".spec.model"),
        _column("Version", ".status.version", "integer"),
        _column("Traffic", ".status.traffic"),
        _column("Ready", ".status.ready"),
        _column("Replicas", ".status.replicas", "integer"),
        _column("URL", ".status.url"),
    ]


# ---- both -----------------------------------------------------------------------------------


def _status(fields: dict[str, Any]) -> dict[str, Any]:
    """What both say: the operator's framework keeps its progress beside these fields."""
    text = {"type": "string"}
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            "type": text,
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": text,
            "message": text,
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "observedGeneration": {"type": "integer"},
        },
    }
    return {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            **fields,
            "observedGeneration": {"type": "integer"},
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    }
