"""A document as a tree whose nodes know their line and column, bounded in size and depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fairlead.errors import InvalidSpec
from fairlead.formatting import count
from fairlead.records import Scalar

MAX_NODES = 20_000  # after aliases are expanded; a spec of 500 columns has about 1,000
MAX_DEPTH = 20

Key: TypeAlias = str | int
KeyPath: TypeAlias = tuple[Key, ...]


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """Where something stands: a position in a file, or an override of the command line."""

    line: int = 0  # from 1; 0 is not in a file
    column: int = 0
    source: str = ""

    def __str__(self) -> str:
        """As an editor understands it: file:line:column."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, kw_only=True)
class Node:
    """A value with its place; entries of a mapping keep the place of their key, too."""

    place: Place
    value: Scalar | tuple[Node, ...] | Mapping[str, tuple[Place, Node]]
    size: int = 1  # nodes, aliases expanded
    depth: int = 1

    def child(self, key: Key) -> Node | None:
        """The entry of a mapping or the item of a list, if it is there."""
        if isinstance(self.value, Mapping):
            entry = self.value.get(str(key))
            return entry[1] if entry else None
        if isinstance(self.value, tuple) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None

    def find(self, path: KeyPath) -> Node | None:
        """The node at the end of the path, if it is there."""
        node: Node | None = self
        for key in path:
            node = node.child(key) if node else None
        return node

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value

    def replaced(self, path: KeyPath, new: Node) -> Node:
        """This tree with another node at the path; mappings that are missing are made.

        Raises:
            InvalidSpec: The path leads through something that has no such place.
        """
        if not path:
            return new
        key, rest = path[0], path[1:]
        inner = (self.child(key) or mapping(new.place, {})).replaced(rest, new)
        if isinstance(key, int):
            return listing(self.place, _with_item(self, key, inner))
        return mapping(self.place, _with_entry(self, key, inner))


def mapping(place: Place, entries: Mapping[str, tuple[Place, Node]]) -> Node:
    """A mapping, counted."""
    return _counted(place, dict(entries), [node for _, node in entries.values()])


def listing(place: Place, items: Sequence[Node]) -> Node:
    """A list, counted."""
    return _counted(place, tuple(items), items)


def _with_item(node: Node, index: int, item: Node) -> list[Node]:
    if not isinstance(node.value, tuple) or index >= len(node.value):
        there = count(len(node.value), "item") if isinstance(node.value, tuple) else "no list"
        raise InvalidSpec(f"[{index}] is not there: {there}")
    return [*node.value[:index], item, *node.value[index + 1 :]]


def _with_entry(node: Node, key: str, item: Node) -> dict[str, tuple[Place, Node]]:
    if node.value is not None and not isinstance(node.value, Mapping):
        raise InvalidSpec(f"{key!r} is not there: what it would be in has no keys")
    return {**(node.value or {}), key: (item.place, item)}


def _counted(place: Place, value: Any, inner: Sequence[Node]) -> Node:
    size = 1 + sum(node.size for node in inner)
    depth = 1 + max((node.depth for node in inner), default=0)
    bounded(place, size)
    if depth > MAX_DEPTH:
        raise too_deep(place)
    return Node(place=place, value=value, size=size, depth=depth)


def bounded(place: Place, size: int) -> None:
    """Refuse what is larger than any spec. Raises InvalidSpec."""
    if size > MAX_NODES:
        raise InvalidSpec(
            f"{place}: more than {MAX_NODES:,} values (aliases expanded); no spec needs as many"
        )


def too_deep(place: Place) -> InvalidSpec:
    """What is nested deeper than any spec."""
    return InvalidSpec(f"{place}: nested more than {MAX_DEPTH} deep; no spec needs as much")
