"""Options that say where workers run, and what each is given there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import Command, FiniteRange

if TYPE_CHECKING:
    from fairlead.control.autoscaling import Place, PodPlace, Taint, WorkerNeeds
    from fairlead.settings import Settings

_GB = 1e9
_TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^:]*))?(:(?P<effect>\w+))?")

_OPTIONS = [
    click.option(
        "--runner",
        type=click.Choice(["local", "ray", "kubernetes"]),
        default="local",
        help="Where workers run: processes here, actors of a Ray cluster, or pods [local].",
    ),
    click.option(
        "--cores",
        type=FiniteRange(0, 1024, min_open=True),
        metavar="N",
        help="Cores of a cluster that a worker takes [1].",
    ),
    click.option(
        "--memory",
        type=FiniteRange(0, 1e6, min_open=True),
        metavar="GB",
        help="Memory of a cluster that a worker takes [not counted].",
    ),
    click.option(
        "--env",
        "variables",
        multiple=True,
        metavar="NAME",
        help="Variable of the environment that workers of a cluster get, too; may be repeated.",
    ),
    click.option("--address", help="Ray: auto, HOST:PORT or ray://HOST:PORT [auto]."),
    click.option("--image", help="Kubernetes: the image of Fairlead [$FAIRLEAD_IMAGE]."),
    click.option("--namespace", help="Kubernetes: where the pods are [the context's]."),
    click.option("--context", help="Kubernetes: of the kubeconfig [its current one]."),
    click.option(
        "--claim",
        metavar="NAME",
        help="Kubernetes: volume claim of the artefact store, at /var/lib/fairlead-artifacts.",
    ),
    click.option(
        "--node-selector",
        multiple=True,
        metavar="KEY=VALUE",
        help="Kubernetes: label that a node must have; may be repeated.",
    ),
    click.option(
        "--toleration",
        "tolerations",
        multiple=True,
        metavar="KEY[=VALUE][:EFFECT]",
        help="Kubernetes: taint that a node may have; may be repeated.",
    ),
    click.option("--priority-class", metavar="NAME", help="Kubernetes: the pods' priority."),
    click.option(
        "--service-account", metavar="NAME", help="Kubernetes: the pods' account, without a token."
    ),
    click.option(
        "--trainer-account",
        "trainer",
        metavar="NAME",
        help="Kubernetes: the account of workers whose fits start pods, with its token.",
    ),
    click.option(
        "--pull-policy",
        type=click.Choice(["Always", "IfNotPresent", "Never"]),
        help="Kubernetes: when nodes fetch the image [IfNotPresent].",
    ),
    click.option(
        "--pull-secret",
        "pull_secrets",
        multiple=True,
        metavar="NAME",
        help="Kubernetes: Secret of the image's registry; may be repeated.",
    ),
    click.option(
        "--kueue-queue", metavar="NAME", help="Kubernetes: Kueue's queue that admits each worker."
    ),
]
_POD_OPTIONS = (
    "image",
    "claim",
    "node_selector",
    "tolerations",
    "priority_class",
    "service_account",
    "pull_policy",
    "pull_secrets",
)
_RUNNERS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("cores", "memory", "variables"), ("ray", "kubernetes")),
    **dict.fromkeys(
        (*_POD_OPTIONS, "namespace", "context", "kueue_queue", "trainer"), ("kubernetes",)
    ),
    "address": ("ray",),
}
"""The runners that each option is of."""
_NAMES = {
    "variables": "env",
    "tolerations": "toleration",
    "pull_secrets": "pull-secret",
    "trainer": "trainer-account",
}
"""Of the options whose values have other names."""


def place_options(command: Command) -> Command:
    """The command with these options; their values are the arguments of `chosen_place`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_place(settings: Settings, *, runner: str, **given: Any) -> tuple[Place, WorkerNeeds]:
    """Where workers run by these options, and what each is given.

    Args:
        settings: Name the image where no option does.
        runner: The one that is chosen.
        given: The other options.

    Raises:
        click.UsageError: An option is of another runner, or has no such value.
    """
    from fairlead.control.autoscaling import WorkerNeeds

    given = {name: value for name, value in given.items() if value}
    for name in given:
        if runner not in _RUNNERS[name]:
            runners = " or ".join(f"--runner {one}" for one in _RUNNERS[name])
            raise click.UsageError(f"--{_shown(name)} goes with {runners} only.")
    needs = {name: given.pop(name) for name in ("cores", "variables") if name in given}
    memory = int(given.pop("memory", 0) * _GB)
    return _place(settings, runner, given), WorkerNeeds(memory=memory, **needs)


def _place(settings: Settings, runner: str, given: dict[str, Any]) -> Place:
    from fairlead.control.autoscaling import KubernetesPlace, LocalPlace, RayPlace

    if runner == "kubernetes":
        pods = {name: given.pop(name) for name in _POD_OPTIONS if name in given}
        return KubernetesPlace(pods=_pods({"image": settings.image, **pods}), **given)
    return RayPlace(**given) if runner == "ray" else LocalPlace()


def _pods(given: dict[str, Any]) -> PodPlace:
    from fairlead.control.autoscaling import PodPlace

    if not given["image"]:
        raise click.UsageError("Which image are the pods to run? Give --image or $FAIRLEAD_IMAGE.")
    return PodPlace(
        **{
            **given,
            "node_selector": dict(map(_label, given.get("node_selector", ()))),
            "tolerations": [*map(_taint, given.get("tolerations", ()))],
        }
    )


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"--node-selector {text!r} is not KEY=VALUE.")
    return key, value


def _taint(text: str) -> Taint:
    from fairlead.control.autoscaling import Taint

    found = _TAINT.fullmatch(text)
    if found is None or found["effect"] not in {None, *Taint.EFFECTS}:
        effects = ", ".join(Taint.EFFECTS)
        raise click.UsageError(
            f"--toleration {text!r} is not KEY[=VALUE][:EFFECT], with an effect of {effects}."
        )
    return Taint(key=found["key"], value=found["value"], effect=found["effect"])


def _shown(name: str) -> str:
    return _NAMES.get(name, name).replace("_", "-")
