"""A Helm chart of the objects that `fairlead install` applies.

The objects are made with marks where a value of the chart belongs, and written as YAML; then each
mark is replaced. What there is under a condition alone is wrapped in it. The Secrets are a template
of its own, written by hand: what was made up once must be looked up.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kustomization import documents, named
from yaml_files import HEAD, dumped

from fairlead.kube.install.installation import (
    Claim,
    Installation,
    OwnServer,
    Resources,
    own_postgresql,
    own_rabbitmq,
)
from fairlead.kube.pods import ARTIFACTS
from fairlead.version import VERSION

_CLASS = "mark-class"
_POSTGRESQL, _RABBITMQ = "postgresql.enabled", "rabbitmq.enabled"
_BUCKET = "artifacts.url"
_TRAINING = "training.enabled"


def _marked(own: OwnServer, name: str, size: str) -> OwnServer:
    return replace(own, image=f"mark/{name}:1", claim=Claim(size=size, storage_class=_CLASS))


OWN = Installation(
    namespace="mark-namespace",
    image="mark/fairlead:1",
    claim=Claim(size="1111Gi", storage_class=_CLASS),
    postgresql=_marked(own_postgresql(), "postgresql", "2222Gi"),
    rabbitmq=_marked(own_rabbitmq(), "rabbitmq", "3333Gi"),
    training=True,
)
ELSEWHERE = replace(
    OWN,
    postgresql=None,
    rabbitmq=None,
    ledger="postgresql://db:44444/x",
    queue="amqps://mq:55555/x",
    artifacts="s3://bucket",
)
_VALUES = {
    "mark-namespace": "{{ .Release.Namespace }}",
    "mark/fairlead:1": "{{ .Values.image | quote }}",
    "mark/postgresql:1": "{{ .Values.postgresql.image | quote }}",
    "mark/rabbitmq:1": "{{ .Values.rabbitmq.image | quote }}",
    "1111Gi": "{{ .Values.artifacts.size }}",
    "2222Gi": "{{ .Values.postgresql.size }}",
    "3333Gi": "{{ .Values.rabbitmq.size }}",
    "44444": "{{ .Values.ledger.port }}",
    "55555": "{{ .Values.queue.port }}",
    "mark-fingerprint": (
        "{{ toJson (list .Values.ledger .Values.queue .Values.artifacts) | sha256sum | trunc 16 | "
        "quote }}"
    ),
    "mark-artifacts": f'{{{{ .Values.artifacts.url | default "{ARTIFACTS}" | quote }}}}',
    "mark-access": "{{ .Values.artifacts.access }}",
}


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A document of a template, with the condition under which there is one."""

    document: Mapping[str, Any]
    condition: str = ""


def files() -> Mapping[str, str]:
    """Every file of the chart, by its path in it."""
    kinds = [one for one in documents(OWN) if one["kind"] == "CustomResourceDefinition"]
    others: dict[str, str] = {}
    for part in _parts():
        name = _file_of(part.document)
        others[name] = others.get(name, "") + _template(part)
    return {
        "Chart.yaml": HEAD + _CHART,
        "values.yaml": HEAD + _values(),
        "crds/kinds.yaml": dumped(*kinds),
        **{f"templates/{name}.yaml": text for name, text in others.items()},
    }


def _parts() -> list[_Part]:
    own = {named(one): one for one in documents(OWN)}
    elsewhere = {named(one): one for one in documents(ELSEWHERE)}
    found = []
    for key, one in own.items():
        if key[0] in {"Namespace", "CustomResourceDefinition"}:
            continue
        found.append(_Part(document=one, condition=_condition(key)))
    policy = "NetworkPolicy"
    found.append(
        _Part(document=elsewhere[policy, "fairlead-ledger"], condition=f"not .Values.{_POSTGRESQL}")
    )
    found.append(
        _Part(
            document=elsewhere[policy, "fairlead-queue"],
            condition=f"and .Values.queue.url (not .Values.{_RABBITMQ})",
        )
    )
    return found


def _condition(key: tuple[str, str]) -> str:
    kind, name = key
    if name in {"fairlead-trainer", "fairlead-training"}:
        return f".Values.{_TRAINING}"
    if "postgresql" in name or (kind, name) == ("NetworkPolicy", "fairlead-ledger"):
        return f".Values.{_POSTGRESQL}"
    if "rabbitmq" in name or (kind, name) == ("NetworkPolicy", "fairlead-queue"):
        return f".Values.{_RABBITMQ}"
    return f"not .Values.{_BUCKET}" if kind == "PersistentVolumeClaim" else ""


def _file_of(one: Mapping[str, Any]) -> str:
    kind, name = named(one)
    if kind in {"Deployment", "StatefulSet", "Service"}:
        return name.removeprefix("fairlead-")
    return {"NetworkPolicy": "network", "PersistentVolumeClaim": "artifacts"}.get(kind) or (
        "settings" if kind == "ConfigMap" else "rights"
    )


def _template(part: _Part) -> str:
    text = dumped(_with_marks(part.document)).removeprefix(HEAD)
    for mark, value in _VALUES.items():
        text = text.replace(f"'{mark}'", value).replace(mark, value)
    text = re.sub(r"^( +)resources: mark-resources-(\w+)\n", _resources, text, flags=re.MULTILINE)
    text = re.sub(r"^( *)storageClassName: mark-class\n", _storage_class, text, flags=re.MULTILINE)
    text = re.sub(_ARTIFACTS, _if_no_bucket, text, flags=re.MULTILINE)
    text = re.sub(_TRAINER, _if_training, text, flags=re.MULTILINE)
    if part.condition:
        text = f"{{{{- if {part.condition} }}}}\n{text}{{{{- end }}}}\n"
    return f"---\n{text}"


_ARTIFACTS = (
    r"^ *- mountPath: /var/lib/fairlead-artifacts\n *name: artifacts\n"
    r"|^ *- name: artifacts\n *persistentVolumeClaim:\n *claimName: .*\n"
)


_TRAINER = r"^ *- --trainer-account\n *- fairlead-trainer\n"


def _with_marks(one: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(dict(one))
    if made["kind"] in {"Deployment", "StatefulSet"}:
        template = made["spec"]["template"]
        for container in template["spec"]["containers"]:
            container["resources"] = f"mark-resources-{container['name']}"
        if made["kind"] == "Deployment":
            template["metadata"]["annotations"]["fairlead.dev/settings"] = "mark-fingerprint"
    if made["kind"] == "ConfigMap":
        made["data"]["FAIRLEAD_ARTIFACTS"] = "mark-artifacts"
    if made["kind"] == "PersistentVolumeClaim":
        made["spec"]["accessModes"] = ["mark-access"]
        made["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    return made


def _resources(found: re.Match[str]) -> str:
    indent, name = found.groups()
    value = f"{{{{- toYaml .Values.{name}.resources | nindent {len(indent) + 2} }}}}"
    return f"{indent}resources:\n{indent}  {value}\n"


def _storage_class(found: re.Match[str]) -> str:
    indent = found[1]
    line = f"{indent}storageClassName: {{{{ . | quote }}}}\n"
    return f"{indent}{{{{- with .Values.storageClass }}}}\n{line}{indent}{{{{- end }}}}\n"


def _if_training(found: re.Match[str]) -> str:
    return f"{{{{- if .Values.{_TRAINING} }}}}\n{found[0]}{{{{- end }}}}\n"


def _if_no_bucket(found: re.Match[str]) -> str:
    return f"{{{{- if not .Values.{_BUCKET} }}}}\n{found[0]}{{{{- end }}}}\n"


def _given(resources: Resources) -> str:
    return (
        f"    requests: {{cpu: {resources.cpu}, memory: {resources.memory}}}\n"
        f'    limits: {{cpu: "{resources.cpu_limit}", memory: {resources.memory_limit}}}\n'
    )


def _values() -> str:
    plain = Installation(postgresql=own_postgresql(), rabbitmq=own_rabbitmq())
    assert plain.postgresql is not None
    assert plain.rabbitmq is not None
    return f"""\
image: {plain.image}
# Of all volumes; the cluster's default one if empty.
storageClass: ""

# The PostgreSQL of the ledger, unless it is part of the installation.
ledger:
  url: ""  # postgresql://USER:PASSWORD@HOST/DATABASE
  port: 5432

# A RabbitMQ that tells workers of tasks; the ledger does if there is none.
queue:
  url: ""  # amqps://USER:PASSWORD@HOST/VHOST
  port: 5671

artifacts:
  url: ""  # such as s3://BUCKET/PREFIX; a volume of the cluster if empty
  size: {plain.claim.size}
  access: {plain.claim.access}

# Whether fits may start pods (train.engine): their workers get the right to.
training:
  enabled: false

postgresql:
  enabled: true
  image: {plain.postgresql.image}
  size: {plain.postgresql.claim.size}
  resources:
{_given(plain.postgresql.resources)}
rabbitmq:
  enabled: false
  image: {plain.rabbitmq.image}
  size: {plain.rabbitmq.claim.size}
  resources:
{_given(plain.rabbitmq.resources)}
server:
  resources:
{_given(plain.server)}
operator:
  resources:
{_given(plain.operator)}"""


_CHART = f"""\
apiVersion: v2
name: fairlead
description: One YAML file takes a model from data to a served endpoint.
type: application
version: {VERSION}
appVersion: {VERSION}
kubeVersion: ">=1.30.0-0"
"""
