"""What commands about a Kubernetes cluster have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from fairlead.errors import Invalid

if TYPE_CHECKING:
    from fairlead.control.cluster_installation import Progress
    from fairlead.kube.client import Cluster

Command = TypeVar("Command", bound=Callable[..., Any])
_PACKAGES = frozenset({"kopf", "lightkube", "httpx2", "yaml"})


def namespace_option(command: Command) -> Command:
    """Give the command `--namespace`."""
    return click.option(
        "--namespace",
        default="fairlead",
        show_default=True,
        metavar="NAME",
        help="The installation's.",
    )(command)


def context_option(command: Command) -> Command:
    """Give the command `--context`."""
    return click.option("--context", metavar="NAME", help="Of the kubeconfig [its current one].")(
        command
    )


def on_option(command: Command) -> Command:
    """Give a command that works here or on a cluster `--on`, and where the cluster is."""
    for option in (
        cluster_option("--context", metavar="NAME", help="Kubernetes: of the kubeconfig."),
        cluster_option(
            "--namespace",
            default="fairlead",
            show_default=True,
            metavar="NAME",
            help="Kubernetes: the installation's.",
        ),
        click.option(
            "--on",
            type=click.Choice(["kubernetes"]),
            is_eager=True,  # before the options that need it
            callback=_without_server,
            help="Do it on a cluster.",
        ),
    ):
        command = option(command)
    return command


def cluster_option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that is refused without `--on kubernetes`, which it would be nothing without."""
    return click.option(*names, callback=_needs_a_cluster, **attributes)


def _needs_a_cluster(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    given = ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    if given and ctx.params.get("on") is None:
        raise click.UsageError(f"{option.opts[0]} needs --on kubernetes.")
    return value


def _without_server(ctx: click.Context, _: click.Parameter, value: Any) -> Any:
    if value is not None and ctx.find_root().params.get("server") is not None:
        raise click.UsageError(
            "--server and --on kubernetes are two ways to the same: leave one out."
        )
    return value


@contextmanager
def kubernetes_needed(what: str) -> Iterator[None]:
    """Say in a line which extra is missing, where it is.

    Raises:
        Invalid: It is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _PACKAGES:
            raise
        raise Invalid(
            f"{what} needs the package {error.name!r}; install fairlead[kubernetes]"
        ) from error


def refuse_resources(cpu: str | None, memory: str | None) -> None:
    """Refuse what is no quantity of Kubernetes, by the option that has it.

    Raises:
        Invalid: One is none.
    """
    from fairlead.kube.install.installation import refuse_quantity

    for option, quantity in (("--cpu", cpu), ("--memory", memory)):
        if quantity is not None:
            refuse_quantity(quantity, option)


@contextmanager
def connected(namespace: str, context: str | None) -> Iterator[Cluster]:
    """The cluster of the kubeconfig.

    Raises:
        Invalid: No namespace may have this name, or the kubeconfig cannot be used.
    """
    with kubernetes_needed("a Kubernetes cluster"):
        from fairlead.kube.client import Cluster
        from fairlead.kube.install.installation import refuse_namespace

    refuse_namespace(namespace)
    with Cluster(context=context, namespace=namespace) as cluster:
        yield cluster


def print_yaml(documents: Sequence[Mapping[str, Any]]) -> None:
    """Print documents of YAML, texts of several lines as such."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc] # it carries no types
        """Writes no aliases: kubectl knows them, people do not."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
            """Write it again."""
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    click.echo(
        yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100),
        nl=False,
    )


def say(progress: Progress) -> None:
    """Print how a part is."""
    from fairlead.cli.output import note

    note(f"{progress.part}: {progress.text}")
