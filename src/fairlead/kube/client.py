"""The API server of a cluster: lightkube's typed objects in and out, each error in one line.

A line says what was asked for (verb, resource, namespace) and what the server answered. Requests
have a bound in time; nothing is tried again here: whoever asks knows what may be asked twice.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Self, TypeVar

import httpx2
import msgspec
import yaml
from lightkube import ApiError, Client
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import DEFAULT_KUBECONFIG, KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import Resource, api_info
from lightkube.models.meta_v1 import Status
from lightkube.types import CascadeType, PatchType

from fairlead.errors import (
    Conflict,
    Failed,
    FairleadError,
    Forbidden,
    Invalid,
    NotFound,
    Unreachable,
)
from fairlead.formatting import in_a_line

MANAGER = "fairlead"
"""The field manager of all that Fairlead applies."""

_SECONDS = 10.0
"""In which a connection must be there, and each part of an answer."""
_TIMEOUT = httpx2.Timeout(_SECONDS)
_UNUSABLE = (
    AssertionError,  # lightkube's of a context without a user
    AttributeError,
    ConfigError,
    LookupError,
    msgspec.MsgspecError,
    OSError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)
"""What lightkube raises of a kubeconfig that is missing or wrong."""

_KINDS: Mapping[int, Callable[[str], FairleadError]] = {
    401: partial(Failed, code="kubernetes_unauthorized"),
    403: partial(Forbidden, code="kubernetes_forbidden"),
    404: NotFound,
    408: Unreachable,
    409: Conflict,
    410: Unreachable,
    429: Unreachable,
}
_OTHER = partial(Invalid, code="kubernetes_refused")
_UNDECLARED = "field not declared in schema"
_ADVICE = {401: "; the server does not accept the credentials of the kubeconfig: log in again"}

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, kw_only=True)
class ServerVersion:
    """What an API server says of itself.

    Args:
        text: Such as v1.34.4.
        number: Major and minor.
        ahead: Seconds by which its clock is ahead of this machine's, to half a second.
    """

    text: str
    number: tuple[int, int]
    ahead: float


class Cluster:
    """An API server, and the namespace that is worked in. A context manager that disconnects.

    Args:
        context: Of the kubeconfig ($KUBECONFIG, ~/.kube/config, or that of a pod); None for its
            current one.
        namespace: None for that of the context.

    Raises:
        Invalid: There is no kubeconfig that can be used.
    """

    def __init__(self, *, context: str | None = None, namespace: str | None = None) -> None:
        config, client = _connected(context, namespace)
        self.server: str = config.cluster.server
        # Its overloads part resources of a namespace from those of none; callers here do not.
        self._client: Any = client
        self.namespace: str = client.namespace

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, kind: type[R], name: str) -> R:
        """The object of this name.

        Raises:
            NotFound: There is none.
        """
        with self._asking("get", kind, name):
            found: R = self._client.get(kind, name)
        return found

    def list(
        self,
        kind: type[R],
        *,
        labels: Mapping[str, Any] | None = None,
        fields: Mapping[str, str] | None = None,
        everywhere: bool = False,
    ) -> list[R]:
        """The objects that have these labels and fields.

        Args:
            kind: Of what.
            labels: Each with its value, or one of lightkube's operators.
            fields: Each with its value.
            everywhere: In all namespaces.
        """
        namespace = "*" if everywhere else None
        with self._asking("list", kind):
            return [*self._client.list(kind, labels=labels, fields=fields, namespace=namespace)]

    def create(self, one: R) -> R:
        """Create the object.

        Raises:
            Conflict: There is one of its name.
        """
        with self._asking("create", type(one), _name(one)):
            made: R = self._client.create(one)
        return made

    def apply(self, one: R) -> R:
        """Have the object be as it is given, whoever wrote its fields before."""
        with self._asking("apply", type(one), _name(one)):
            applied: R = self._client.apply(one, force=True)
        return applied

    def delete(self, kind: type[Resource], name: str, *, grace: int | None = None) -> None:
        """Delete the object, and all that it owns after it; nothing where there is none.

        Args:
            kind: Of what.
            name: Of which.
            grace: Seconds that a pod has; None for its own.
        """
        try:
            with self._asking("delete", kind, name):
                self._client.delete(kind, name, grace_period=grace, cascade=CascadeType.BACKGROUND)
        except NotFound:
            return

    def merge(self, kind: type[Resource], name: str, change: Mapping[str, Any]) -> None:
        """Change fields of the object: a JSON merge patch.

        Raises:
            NotFound: There is none.
        """
        with self._asking("patch", kind, name):
            self._client.patch(kind, name, change, patch_type=PatchType.MERGE)

    def log(self, pod: str, *, lines: int) -> str:
        """The last lines that the pod printed; empty where it has not started, or is gone."""
        from lightkube.resources.core_v1 import PodLog

        try:
            with self._asking("get", PodLog, pod):
                return "".join(self._client.log(pod, tail_lines=lines))
        except Invalid:  # there is none, or its container is not there yet
            return ""

    def version(self) -> ServerVersion:
        """The server's version, and its clock."""
        config, parameters = self._client.config, client_adapter.ConnectionParams(timeout=_TIMEOUT)
        with (
            self._asking("get", None, "/version"),
            client_adapter.Client(config, parameters) as asking,
        ):
            before = time.time()
            answer = asking.get("/version")
            answer.raise_for_status()
            there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
            here = (before + time.time()) / 2
            found = answer.json()
        return ServerVersion(
            text=str(found["gitVersion"]),
            number=(_digits(found["major"]), _digits(found["minor"])),
            ahead=there + 0.5 - here,  # what the header says is cut to whole seconds
        )

    @contextmanager
    def _asking(self, verb: str, kind: type[Resource] | None, name: str = "") -> Iterator[None]:
        """Have errors of a request be Fairlead's."""
        words = (verb, _resource(kind) if kind else "", name)
        what = f"Kubernetes: {' '.join(filter(None, words))}"
        try:
            yield
        except ApiError as error:
            raise refusal(f"{what} in namespace {self.namespace!r}", error.status) from error
        except httpx2.HTTPStatusError as error:  # in no form of an API server's own
            if error.response.status_code == HTTPStatus.NOT_FOUND:
                raise NotFound(
                    f"{what}: the cluster has no such kind; fairlead install makes ours"
                ) from error
            answer = f"{self.server} answered with status {error.response.status_code}"
            raise Unreachable(f"{what}: {answer}") from error
        except httpx2.HTTPError as error:
            why = in_a_line(str(error)) or type(error).__name__
            raise Unreachable(f"{what}: the API server {self.server} is away: {why}") from error
        except ConfigError as error:  # by the program that gives the credentials
            raise _unusable(error) from error


def refusal(what: str, status: Status) -> FairleadError:
    """The error for an answer of an API server.

    Args:
        what: Was asked for.
        status: What it answered.
    """
    code = status.code or 0
    said = in_a_line(status.message or status.reason or f"status {code}")
    if _UNDECLARED in said:
        return Invalid(
            f"{what}: {said}: the cluster's kinds are of another Fairlead; fairlead install brings "
            "those of this one"
        )
    is_faulty = code >= 500  # noqa: PLR2004 - the faults of a server
    kind = _KINDS.get(code) or (Unreachable if is_faulty else _OTHER)
    return kind(f"{what}: {said}{_ADVICE.get(code, '')}")


def _connected(context: str | None, namespace: str | None) -> tuple[SingleConfig, Client]:
    try:
        config = _config(context)
        client = Client(
            config,
            namespace=namespace,
            timeout=_TIMEOUT,
            field_manager=MANAGER,
        )
    except _UNUSABLE as error:
        raise _unusable(error) from error
    return config, client


def _config(context: str | None) -> SingleConfig:
    """That of the kubeconfig that is named, as kubectl takes it; else that of this pod."""
    named = os.environ.get("KUBECONFIG")
    if named or context:
        config = KubeConfig.from_file(named or DEFAULT_KUBECONFIG)
        if context is not None and context not in config.contexts:
            known = ", ".join(sorted(config.contexts)) or "none"
            raise ConfigError(f"it has no context {context!r}; contexts: {known}")
        found = config.get(context)
    else:
        found = KubeConfig.from_env().get()
    assert found is not None  # it raises where there is none
    return found


def _unusable(error: Exception) -> Invalid:
    where = os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    why = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return Invalid(
        f"the kubeconfig {where!r} cannot be used: {in_a_line(why)}; set $KUBECONFIG to one file "
        "with a cluster, a user and a context",
        code="kubernetes_config",
    )


def _digits(text: str) -> int:
    """The number that it begins with: some servers write 34+."""
    return int(re.sub(r"[^0-9].*", "", text) or 0)


def _name(one: Resource) -> str:
    metadata: Any = getattr(one, "metadata", None)
    return str(metadata.name) if metadata else ""


def _resource(kind: type[Resource]) -> str:
    """As rules of RBAC name it: pods, pods/log."""
    info = api_info(kind)
    return f"{info.plural}/{info.action}" if info.action else f"{info.plural}"
