"""A spec and the files that it names, as a ConfigMap, and the volume that places them in a pod."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from lightkube.models.core_v1 import (
    ConfigMapVolumeSource,
    Container,
    KeyToPath,
    PodSpec,
    Volume,
    VolumeMount,
)
from ruamel.yaml import YAML

DOCUMENT = "spec.yaml"
"""What the document of a spec is called among its files."""
_FOLDER = "/study"
PATH = str(PurePosixPath(_FOLDER, DOCUMENT))
"""Where the document is in the pod; the files that it names are beside it."""


def content(document: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    """The entries of the ConfigMap.

    Args:
        document: The spec.
        files: Texts by the names that the document has for them.
    """
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(dict(document), text)
    return {DOCUMENT: text.getvalue(), **{key: files[name] for key, name in _keys(files)}}


def place(files: Iterable[str], config_map: str, *, pod: PodSpec, container: Container) -> None:
    """Give a container of a pod the document and the files, to be read only.

    Args:
        files: Names of the files.
        config_map: Name of the ConfigMap.
        pod: Gets a volume.
        container: Of the pod.
    """
    placed = [(DOCUMENT, DOCUMENT), *_keys(files)]
    items = [KeyToPath(key=key, path=path) for key, path in placed]
    source = ConfigMapVolumeSource(name=config_map, items=items)
    mount = VolumeMount(name="study", mountPath=_FOLDER, readOnly=True)
    container.volumeMounts = [*(container.volumeMounts or ()), mount]
    pod.volumes = [*(pod.volumes or ()), Volume(name="study", configMap=source)]


def _keys(files: Iterable[str]) -> list[tuple[str, str]]:
    """The key of each file in the ConfigMap: names may have slashes, keys not."""
    return [(f"file-{number}", name) for number, name in enumerate(sorted(files))]
