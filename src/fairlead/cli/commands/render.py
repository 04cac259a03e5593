"""`fairlead render`: a spec as YAML for other systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fairlead.cli.context import settings
from fairlead.cli.kubernetes import kubernetes_needed, print_yaml, refuse_resources
from fairlead.cli.options import VersionNumber, sets_option
from fairlead.cli.output import note

if TYPE_CHECKING:
    from fairlead.control.rendering import ClusterRequest
    from fairlead.control.serving_platforms import PlatformRequest
    from fairlead.spec.load import Loaded

_ANNOTATED = 250_000
"""Bytes past which `kubectl apply` does not find room for its copy in an annotation."""
_SEARCH = ("workers", "cpu", "memory")
_SERVE = ("image", "version", "canary", "least", "most", "cpu", "memory")
_TAKES = {
    "kubernetes": (*_SEARCH, "deploy"),
    "katib": (*_SEARCH, "image"),
    "kserve": _SERVE,
    "knative": (*_SERVE, "beside"),
}
"""The options that each kind of objects has a place for."""
_MOST = 1024
_EPILOG = """\b
Examples:
  fairlead render boston.yaml --for kubernetes --workers 8 > study.yaml
  fairlead render boston.yaml --for katib --workers 4 | kubectl apply -f -
  fairlead render boston.yaml --for knative --version 3 --min 0 --max 5
"""


@click.command(epilog=_EPILOG)
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "target",
    type=click.Choice([*_TAKES]),
    required=True,
    help="Whose objects.",
)
@sets_option
@click.option("--workers", type=click.IntRange(1, _MOST), help="Workers, or trials at once.")
@click.option("--cpu", metavar="QUANTITY", help="Of each pod, such as 500m.")
@click.option("--memory", metavar="QUANTITY", help="Of each pod, such as 1Gi.")
@click.option("--deploy", is_flag=True, help="kubernetes: deploy it if it becomes champion.")
@click.option("--image", help="Of Fairlead [$FAIRLEAD_IMAGE, else fairlead:VERSION].")
@click.option(
    "--version", type=VersionNumber(), metavar="VERSION", help="kserve, knative: that is served."
)
@click.option(
    "--canary",
    type=click.IntRange(0, 100),
    metavar="PERCENT",
    help="kserve, knative: of the traffic [first step of serve.canary].",
)
@click.option("--beside", metavar="REVISION", help="knative: that has the rest of the traffic.")
@click.option(
    "--min",
    "least",
    type=click.IntRange(0, _MOST),
    default=1,
    metavar="N",
    help="kserve, knative: replicas at least [1].",
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, _MOST),
    metavar="N",
    help="kserve, knative: at most [--min].",
)
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    spec: Path,
    target: str,
    sets: tuple[str, ...],
    workers: int | None,
    cpu: str | None,
    memory: str | None,
    deploy: bool,
    image: str | None,
    version: int | None,
    canary: int | None,
    beside: str | None,
    least: int,
    most: int | None,
) -> None:
    """Print SPEC as plain YAML for a cluster. Nothing is run, and no cluster is asked.

    For kubernetes it is a Study of Fairlead's operator; for katib an Experiment, whose trials are
    `fairlead score` in Jobs; for kserve an InferenceService and for knative a Service, which serve
    the registered version --version of the spec's model.

    The code of ./file.py families and data in text files are put in, up to 900 kB together; larger
    data is refused, and so is what the other system cannot say.
    """
    with kubernetes_needed("an object of Kubernetes"):
        from fairlead.control.rendering import ClusterRequest
        from fairlead.control.serving_platforms import PlatformRequest
        from fairlead.kube.install.installation import IMAGE, refuse_image
    from fairlead.spec.load import load

    _refuse_others(ctx, target)
    refuse_resources(cpu, memory)
    chosen = image or settings(ctx).image or IMAGE
    refuse_image(chosen)
    loaded = load(spec, sets=sets)
    if version is None:
        asked = ClusterRequest(workers=workers, cpu=cpu, memory=memory, deploy=deploy)
        print_yaml(_searched(target, loaded, asked, chosen))
        return
    request = PlatformRequest(
        version=version,
        image=chosen,
        percent=canary,
        beside=beside,
        least=least,
        most=most,
        cpu=cpu or PlatformRequest.cpu,
        memory=memory or PlatformRequest.memory,
    )
    print_yaml([_served(target, loaded, request)])


def _refuse_others(ctx: click.Context, target: str) -> None:
    """Refuse options that the target's objects have no place for, and a version that is missing."""
    known = {name for names in _TAKES.values() for name in names}
    for option in ctx.command.params:
        name = str(option.name)
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name in known and name not in _TAKES[target]:
            raise click.UsageError(f"{option.opts[0]} has no place in what is made for {target}.")
    if "version" in _TAKES[target] and ctx.params["version"] is None:
        raise click.UsageError(f"{target} serves a registered version: name it with --version.")


def _searched(
    target: str, loaded: Loaded, asked: ClusterRequest, image: str
) -> Sequence[Mapping[str, Any]]:
    from fairlead.control.katib_experiment import experiment
    from fairlead.control.rendering import study_object

    if target == "katib":
        return experiment(loaded, asked, image)
    made = study_object(loaded, asked)
    if sum(map(len, made["spec"].get("files", {}).values())) > _ANNOTATED:
        note("it is large: `kubectl apply` takes it with --server-side alone")
    return [made]


def _served(target: str, loaded: Loaded, request: PlatformRequest) -> Mapping[str, Any]:
    from fairlead.control.serving_platforms import inference_service, knative_service

    make = {"kserve": inference_service, "knative": knative_service}[target]
    return make(loaded, request)
