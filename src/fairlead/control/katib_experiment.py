"""A spec's search as an Experiment of Katib, whose trials are Jobs of `fairlead score`.

Katib chooses the parameters and keeps the scores; data, folds, seed and fixed parameters are the
spec's. What Katib cannot say is refused. What it does between is its own: a search of Katib's is
not the study that Fairlead would make of the spec.

Katib puts the values of a trial into the text of the Job, and runs its command by `sh -c` with
the words as they are; so what a shell reads otherwise is refused, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from lightkube.models.batch_v1 import JobSpec
from lightkube.models.core_v1 import PodTemplateSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap

from fairlead.control.rendering import ClusterRequest, packed
from fairlead.errors import InvalidSpec
from fairlead.kube import pods, spec_files
from fairlead.kube.install.objects import manifest
from fairlead.kube.place import PodPlace
from fairlead.metrics import METRICS, Metric
from fairlead.search.catalog import most_trials
from fairlead.spec.document import Search, Spec
from fairlead.spec.load import Loaded
from fairlead.spec.space import Range, Values, written

_PLAIN = re.compile(r"[A-Za-z0-9_.:/,=@%+-]+")
"""What a shell takes as it is."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PARALLEL = 3
"""Trials at once, as Katib has it where nothing is said."""
_CONTAINER = "trial"
_UNKNOWN = {
    "time": "Katib has no limit on the time of a search; leave it out",
    "prune": "Katib stops trials by scores that they print on their way, and these print one at "
    "their end; leave it out",
}


def experiment(loaded: Loaded, request: ClusterRequest, image: str) -> Sequence[Mapping[str, Any]]:
    """The Experiment, and before it the ConfigMap of the spec that its trials read.

    Args:
        loaded: The spec.
        request: How many trials run at once, and what each is given.
        image: Of Fairlead.

    Raises:
        InvalidSpec: The spec says what Katib cannot, or names a file that cannot be read.
        InvalidData: Its files are no text, or too large for an object.
    """
    with loaded.located():
        name, metric = _refuse(loaded.spec)
    document, files = packed(loaded)
    spec = ConfigMap(
        metadata=ObjectMeta(name=_config_map(name), labels=_labels(name)),
        data=spec_files.content(document, files),
        immutable=True,
    )
    job = _job(name, loaded.spec, request, image)
    pod = job.spec.template.spec
    spec_files.place(files, _config_map(name), pod=pod, container=pod.containers[0])
    return [
        manifest(spec),
        {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Experiment",
            "metadata": {"name": name, "labels": _labels(name)},
            "spec": _spec(loaded.spec, request, metric, job),
        },
    ]


def _spec(spec: Spec, request: ClusterRequest, metric: Metric, job: Job) -> Mapping[str, Any]:
    search, searched = spec.search, _searched(spec.search)
    most = most_trials(search)
    goal = {} if search.until is None else {"goal": search.until}
    return {
        "objective": {
            "type": "maximize" if metric.greater_is_better else "minimize",
            **goal,
            "objectiveMetricName": metric.name,
        },
        "algorithm": {
            "algorithmName": search.method,
            "algorithmSettings": [{"name": "random_state", "value": str(spec.seed)}],
        },
        "parallelTrialCount": min(request.workers or _PARALLEL, most),
        "maxTrialCount": most,
        "maxFailedTrialCount": most,  # a trial that fails is one that counts, as in a study
        "parameters": [_parameter(name, values) for name, values in searched.items()],
        "metricsCollectorSpec": {"collector": {"kind": "StdOut"}},
        "trialTemplate": {
            "primaryContainerName": _CONTAINER,
            "trialParameters": [
                {"name": name, "description": f"{name} of the model", "reference": name}
                for name in searched
            ],
            "trialSpec": _without_empty(manifest(job)),
        },
    }


def _refuse(spec: Spec) -> tuple[str, Metric]:
    """The Experiment's name and the metric; raises where Katib cannot have the search."""
    search, name = spec.search, spec.name.rstrip("-")
    if not _NAME.fullmatch(name):
        raise InvalidSpec(
            f"name: Katib takes 1 to 40 characters, the first a letter, and not {name!r}"
        )
    if search.metric is None or search.metric not in METRICS:
        raise InvalidSpec(
            "search.metric: it has to be written for Katib, which is told whether more is better: "
            f"one of {', '.join(METRICS)}"
        )
    for key, why in _UNKNOWN.items():
        if getattr(search, key) is not None:
            raise InvalidSpec(f"search.{key}: {why}")
    if len(search.over) > 1:
        raise InvalidSpec(
            "search.over: Katib has no parameters that depend on another, as those of "
            f"{len(search.over)} families do: render one family at a time"
        )
    if search.over[0].params is None:
        raise InvalidSpec(
            "search.over[0].params: the family's own ranges are not known before the data is "
            "read; write them out for Katib"
        )
    _searched(search)
    return name, METRICS[search.metric]


def _searched(search: Search) -> Mapping[str, Values]:
    """The parameters with more than one value, which Katib is to choose."""
    params = search.over[0].params or {}
    found = {
        name: values
        for name, values in params.items()
        if isinstance(values, Range) or (isinstance(values, tuple) and len(values) > 1)
    }
    if not found:
        raise InvalidSpec(
            "search.over[0].params: each has one value, so there is nothing for Katib to choose"
        )
    for name, values in found.items():
        _refuse_values(name, values)
    return found


def _refuse_values(name: str, values: Values) -> None:
    key = f"search.over[0].params.{name}"
    texts = [] if isinstance(values, Range) else _texts(values)
    for text in (name, *texts):
        if not _PLAIN.fullmatch(text):
            raise InvalidSpec(
                f"{key}: Katib runs a trial by a shell, which does not read {text!r} as it is"
            )
    for text in texts:
        if texts.count(text) > 1:
            raise InvalidSpec(
                f"{key}: Katib has texts alone, and {text} would stand for two values"
            )


def _parameter(name: str, values: Values) -> Mapping[str, Any]:
    """A range stays one; all else is a list, also what has steps, which Katib rounds to."""
    if not isinstance(values, Range) or values.step is not None:
        space: Mapping[str, Any] = {"list": _texts(values)}
        return {"name": name, "parameterType": "categorical", "feasibleSpace": space}
    scale = {"distribution": "logUniform"} if values.log else {}
    return {
        "name": name,
        "parameterType": "int" if values.whole else "double",
        "feasibleSpace": {"min": written(values.low), "max": written(values.high), **scale},
    }


def _texts(values: Values) -> list[str]:
    if isinstance(values, Range):
        return [written(value) for value in values.values()]
    return [written(value) for value in values] if isinstance(values, tuple) else [written(values)]


def _without_empty(document: Any) -> Any:
    """Without lists of nothing: Katib refuses a Job that has other fields than it reads of it."""
    if isinstance(document, list):
        return [_without_empty(one) for one in document]
    if not isinstance(document, dict):
        return document
    kept = {key: value for key, value in document.items() if value != []}
    kept = {key: value for key, value in kept.items() if (key, value) != ("nodeSelector", {})}
    return {key: _without_empty(value) for key, value in kept.items()}


def _job(name: str, spec: Spec, request: ClusterRequest, image: str) -> Any:
    """The Job of a trial."""
    words = (("--param", f"{each}=${{trialParameters.{each}}}") for each in _searched(spec.search))
    limits = {"memory": _memory(spec, request)}
    one = pods.container(
        PodPlace(image=image),
        name=_CONTAINER,
        arguments=["score", spec_files.PATH, *chain.from_iterable(words)],
        requests={"cpu": request.cpu or str(spec.search.threads), **limits},
        limits=limits,
    )
    template = pods.pod(PodPlace(image=image), one, grace=10, restarts="Never")
    security = template.securityContext
    assert security is not None
    security.runAsUser = pods.GROUP  # the image of Katib's collector, beside it, has root's
    seconds = spec.search.task_time
    return Job(
        spec=JobSpec(
            activeDeadlineSeconds=None if seconds is None else max(1, round(seconds)),
            backoffLimit=0,
            template=PodTemplateSpec(metadata=ObjectMeta(labels=_labels(name)), spec=template),
        )
    )


def _memory(spec: Spec, request: ClusterRequest) -> str:
    asked = spec.search.task_memory
    return request.memory or ("1Gi" if asked is None else str(asked))


def _config_map(name: str) -> str:
    return f"{name}-spec"


def _labels(name: str) -> dict[str, str]:
    return pods.foreign_labels(name=name, component="trial")
