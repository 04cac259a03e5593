"""`fairlead families`: the kinds of models that can be trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.output import json_option, note, print_json, print_table
from fairlead.errors import InvalidSpec

if TYPE_CHECKING:
    from fairlead.families.family import Family
    from fairlead.spec.space import Space, Values

_EPILOG = """\b
Examples:
  fairlead families
  fairlead families --json
"""


@dataclass(frozen=True, kw_only=True)
class Described:
    """A family as it is shown.

    Args:
        family: Its name.
        installed: Whether it can be trained here.
        versions: Of the packages that it uses.
        install: The command that installs it, where it is not.
        shares: The parameter along which one fit serves several trials.
        spaces: What is searched where a spec names no parameters, by task.
    """

    family: str
    installed: bool
    versions: dict[str, str]
    install: str | None
    shares: str | None
    spaces: dict[str, dict[str, Any]]


@click.command(epilog=_EPILOG)
@json_option
def command(*, as_json: bool) -> None:
    """List the kinds of models that can be trained, and what is searched by default.

    Beside these, a spec can name any estimator that keeps scikit-learn's interface, as
    package.module:Name or ./file.py:Name.
    """
    from fairlead.families.catalog import NAMES

    described = [_described(name) for name in NAMES]
    if as_json:
        print_json(described)
        return
    print_table(("family", "library", "one fit serves"), [_row(each) for each in described])
    for each in described:
        _print_spaces(each)
    note("any other: package.module:Name or ./file.py:Name")


def _described(name: str) -> Described:
    from fairlead.families.catalog import family

    try:
        found = family(name, base=Path())
    except InvalidSpec as error:
        advice = str(error).rpartition(": ")[2]
        return Described(
            family=name, installed=False, versions={}, install=advice, shares=None, spaces={}
        )
    spaces = {task: found.space(task) for task in ("regression", "classification")}
    return Described(
        family=name,
        installed=True,
        versions=dict(found.versions()),
        install=None,
        shares=_shares(found, spaces["regression"]),
        spaces={task: _written(space) for task, space in spaces.items()},
    )


def _shares(family: Family, space: Space) -> str | None:
    """The parameter along which the trials of the family's own space share fits."""
    return family.stage({name: _first(values) for name, values in space.items()})


def _first(values: Values) -> Any:
    from fairlead.spec.space import Range

    if isinstance(values, Range):
        return values.low
    return values[0] if isinstance(values, tuple) else values


def _written(space: Space) -> dict[str, Any]:
    """The space as a spec would write it."""
    from fairlead.spec.space import Range

    return {
        name: values.model_dump(exclude_defaults=True) if isinstance(values, Range) else values
        for name, values in space.items()
    }


def _row(described: Described) -> tuple[object, ...]:
    library = ", ".join(f"{name} {version}" for name, version in described.versions.items())
    if not described.installed:
        return described.family, f"no: {described.install}", None
    shares = f"every {described.shares}" if described.shares else "one trial"
    return described.family, library, shares


def _print_spaces(described: Described) -> None:
    by_space: dict[str, list[str]] = {}
    for task, space in described.spaces.items():
        by_space.setdefault(_yaml(space), []).append(task)
    for written, tasks in by_space.items():
        task = f" ({tasks[0]})" if len(by_space) > 1 else ""
        click.echo(f"\n{described.family}{task}\n{written}")


def _yaml(space: dict[str, Any]) -> str:
    return "\n".join(f"  {name}: {_value(value)}" for name, value in space.items())


def _value(value: Any) -> str:
    from fairlead.spec.wording import shown

    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, tuple) else shown(value)
