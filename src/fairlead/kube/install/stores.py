"""Settings, secrets and the volume of the artefacts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from lightkube.models.core_v1 import PersistentVolumeClaimSpec, VolumeResourceRequirements
from lightkube.resources.core_v1 import ConfigMap, PersistentVolumeClaim, Secret

from fairlead.kube.install.installation import (
    POSTGRESQL,
    POSTGRESQL_PORT,
    RABBITMQ,
    RABBITMQ_PORT,
    Claim,
    Installation,
)
from fairlead.kube.install.labels import metadata
from fairlead.kube.pods import TOKENS, TOKENS_FILE

SETTINGS = "fairlead"
"""The ConfigMap of the settings, and the Secret of the addresses that may hold passwords."""
CLAIM = "fairlead-artifacts"
PASSWORD = "password"  # noqa: S105 - a key of a Secret
TOKEN = "token"  # noqa: S105 - a key of a Secret
ENDPOINT_TOKEN = "endpoint-token"  # noqa: S105 - a key of a Secret
RABBITMQ_CONF = "rabbitmq.conf"
KEDA = "fairlead-keda"
KEPT_SECRETS = (POSTGRESQL, RABBITMQ, TOKENS, KEDA)
"""The Secrets that are generated once: an installation that is there keeps its own."""
PLACEHOLDER = "generated-when-it-is-installed"


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What is made up when an installation is new, and kept from then on.

    Args:
        postgresql: Password of the PostgreSQL that is part of it.
        rabbitmq: Password of the RabbitMQ that is part of it.
        keda: Password by which KEDA reads how many tasks are open.
        token: Of an admin of the control API.
        endpoint_token: Of clients of the endpoints.
        tokens_file: The servers' file, which has the digests of both.
    """

    postgresql: str
    rabbitmq: str
    keda: str
    token: str
    endpoint_token: str
    tokens_file: str

    @property
    def passwords(self) -> Mapping[str, str]:
        """Those of the servers that are part of the installation, by name."""
        return {POSTGRESQL: self.postgresql, RABBITMQ: self.rabbitmq}


PLACEHOLDERS = Generated(
    postgresql=PLACEHOLDER,
    rabbitmq=PLACEHOLDER,
    keda=PLACEHOLDER,
    token=PLACEHOLDER,
    endpoint_token=PLACEHOLDER,
    tokens_file=PLACEHOLDER,
)


def settings_of(installation: Installation) -> ConfigMap:
    """The settings that every pod of Fairlead gets as environment variables."""
    return ConfigMap(
        metadata=metadata(installation, SETTINGS, "settings"), data=dict(installation.settings)
    )


def kept_secrets(installation: Installation, generated: Generated) -> tuple[Secret, ...]:
    """The Secrets that are made once."""
    tokens = {
        TOKEN: generated.token,
        ENDPOINT_TOKEN: generated.endpoint_token,
        TOKENS_FILE: generated.tokens_file,
    }
    found = [_secret(installation, TOKENS, "server", tokens)]
    if installation.postgresql:
        found.append(
            _secret(installation, POSTGRESQL, POSTGRESQL, {PASSWORD: generated.postgresql})
        )
    if installation.rabbitmq:
        content = {PASSWORD: generated.rabbitmq, RABBITMQ_CONF: _rabbitmq_conf(generated.rabbitmq)}
        found.append(_secret(installation, RABBITMQ, RABBITMQ, content))
    if installation.keda:
        found.append(_secret(installation, KEDA, "worker", {PASSWORD: generated.keda}))
    return tuple(found)


def addresses(installation: Installation, passwords: Mapping[str, str]) -> Secret:
    """Where ledger and queue are, as environment variables.

    Args:
        installation: That it is of.
        passwords: Of the servers that are part of it, by name.
    """
    ledger, queue = installation.ledger, installation.queue
    if installation.postgresql:
        host = f"{POSTGRESQL}.{installation.namespace}.svc:{POSTGRESQL_PORT}"
        ledger = f"postgresql://fairlead:{passwords[POSTGRESQL]}@{host}/fairlead"
    if installation.rabbitmq:
        host = f"{RABBITMQ}.{installation.namespace}.svc:{RABBITMQ_PORT}"
        queue = f"amqp://fairlead:{passwords[RABBITMQ]}@{host}/%2F"
    content = {"FAIRLEAD_LEDGER": ledger} | ({"FAIRLEAD_QUEUE": queue} if queue else {})
    return _secret(installation, SETTINGS, "settings", content)


def artifacts_claim(installation: Installation) -> PersistentVolumeClaim:
    """The volume of the artefacts."""
    return PersistentVolumeClaim(
        metadata=metadata(installation, CLAIM, "artifacts"), spec=claim_spec(installation.claim)
    )


def claim_spec(claim: Claim) -> PersistentVolumeClaimSpec:
    """A claim of such a volume."""
    return PersistentVolumeClaimSpec(
        accessModes=[claim.access],
        storageClassName=claim.storage_class or None,
        resources=VolumeResourceRequirements(requests={"storage": claim.size}),
    )


def content_of(secret: Secret) -> Mapping[str, str]:
    """What a Secret that was read holds, decoded."""
    return {key: base64.b64decode(each).decode() for key, each in (secret.data or {}).items()}


def without_content(secret: Secret) -> Secret:
    """The Secret as it may be shown: a placeholder stands for each value."""
    content = dict.fromkeys(secret.data or {}, PLACEHOLDER)
    return Secret(metadata=secret.metadata, type=secret.type, stringData=content)


def _rabbitmq_conf(password: str) -> str:
    """RabbitMQ's settings: the user that its first start makes, and its bound of memory.

    It does not see the limit of its container. Past the bound whoever publishes waits.
    """
    lines = (
        "default_user = fairlead",
        f"default_pass = {password}",
        "vm_memory_high_watermark.absolute = 400MiB",
    )
    return "\n".join((*lines, ""))


def _secret(
    installation: Installation, name: str, component: str, content: Mapping[str, str]
) -> Secret:
    """Its content in `data`: what is applied in `stringData` has no owner, and is never removed."""
    encoded = {key: base64.b64encode(each.encode()).decode() for key, each in content.items()}
    return Secret(metadata=metadata(installation, name, component), type="Opaque", data=encoded)
