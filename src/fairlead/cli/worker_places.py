"""Options that say where workers run, and what each is given there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.options import Command, FiniteRange

if TYPE_CHECKING:
    from fairlead.control.autoscaling import Place, WorkerNeeds


_GB = 1e9


_OPTIONS = [
    click.option(
        "--runner",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Where workers run: processes here, or actors of a Ray cluster [local].",
    ),
    click.option(
        "--address", help="Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT [auto]."
    ),
    click.option(
        "--cores",
        type=FiniteRange(0, 1024, min_open=True),
        metavar="N",
        help="Cores of the cluster that a worker takes [1].",
    ),
    click.option(
        "--memory",
        type=FiniteRange(0, 1e6, min_open=True),
        metavar="GB",
        help="Memory of the cluster that a worker takes [not counted].",
    ),
    click.option(
        "--env",
        "variables",
        multiple=True,
        metavar="NAME",
        help="Variable of the environment that workers of the cluster get, too; may be repeated.",
    ),
]
_CLUSTERS = ("ray",)
_RUNNERS: Mapping[str, Sequence[str]] = {
    "address": ("ray",),
    "cores": _CLUSTERS,
    "memory": _CLUSTERS,
    "variables": _CLUSTERS,
}
"""The runners that each option is of."""
_NAMES = {"variables": "env"}
"""Of the options whose values have other names."""


def place_options(command: Command) -> Command:
    """The command with these options; their values are the arguments of `chosen_place`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_place(*, runner: str, **given: Any) -> tuple[Place, WorkerNeeds]:
    """Where workers run by these options, and what each is given.

    Raises:
        click.UsageError: An option is of another runner.
    """
    from fairlead.control.autoscaling import LocalPlace, RayPlace, WorkerNeeds

    given = {name: value for name, value in given.items() if value}
    for name in given:
        if runner not in _RUNNERS[name]:
            runners = " or ".join(f"--runner {one}" for one in _RUNNERS[name])
            raise click.UsageError(f"--{_NAMES.get(name, name)} goes with {runners} only.")
    needs = {name: given.pop(name) for name in ("cores", "variables") if name in given}
    memory = int(given.pop("memory", 0) * _GB)
    place = RayPlace(**given) if runner == "ray" else LocalPlace()
    return place, WorkerNeeds(memory=memory, **needs)
