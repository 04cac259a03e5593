"""YAML 1.2, read into a tree: the core schema, one document, no tags.

Scalars are resolved here and not by ruamel.yaml, whose rules still know numbers such as `1_000`
that YAML 1.2 takes for text; its scanner and parser do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from fairlead.errors import InvalidSpec
from fairlead.records import Scalar
from fairlead.spec.tree import MAX_DEPTH, Node, Place, bounded, listing, mapping, too_deep

Event: TypeAlias = Any  # ruamel.yaml's events carry no types

# https://yaml.org/spec/1.2.2/#103-core-schema
_CONSTANTS: Mapping[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(nan|NaN|NAN)")
_HINTS = {
    "'\\t'": "; indent with spaces, not tabs",
    "<block end>": "; is this line indented as the lines above it are?",
    "mapping values": "; quote a text that contains ': '",
    "'@'": "; quote a text that begins so",
    "'`'": "; quote a text that begins so",
}


def parse(text: str, source: str) -> Node | None:
    """Read one document; None where it is empty.

    Args:
        text: The document.
        source: What its places are in: a file's name.

    Raises:
        InvalidSpec: It is not one YAML document within the bounds.
    """
    try:
        return _Composer(source=source, events=_events(text)).document()
    except MarkedYAMLError as error:
        raise InvalidSpec(_syntax(error, source)) from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(
            source=source,
            line=before.count("\n") + 1,
            column=error.position - before.rfind("\n"),
        )
        raise InvalidSpec(f"{place}: character #x{error.character:04x} is not allowed") from None
    except YAMLError as error:
        raise InvalidSpec(f"{source}: not YAML: {_line(str(error))}") from None


def _events(text: str) -> Iterator[Event]:
    # The C scanner counts columns in bytes; the pure one counts characters, as editors do.
    events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
    return events


@dataclass(kw_only=True)
class _Composer:
    """Makes nodes of events; what an anchor names is known once it is complete."""

    source: str
    events: Iterator[Event]
    anchors: dict[str, Node] = field(default_factory=dict)
    depth: int = 0

    def document(self) -> Node | None:
        for event in self.events:
            if isinstance(event, StreamEndEvent):
                return None
            if isinstance(event, DocumentStartEvent):
                break
        node = self.node(next(self.events))
        next(self.events)  # the document's end
        after = next(self.events)
        if isinstance(after, StreamEndEvent):
            return node
        raise InvalidSpec(f"{self.place(after)}: a second document begins; a spec is one document")

    def place(self, event: Event) -> Place:
        mark = event.start_mark
        return Place(source=self.source, line=mark.line + 1, column=mark.column + 1)

    def node(self, event: Event) -> Node:
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if event.ctag is not None:
            raise InvalidSpec(
                f"{self.place(event)}: the tag {str(event.ctag)!r} is not allowed; "
                f"a spec has plain values only"
            )
        node = self.content(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Event) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise InvalidSpec(
                f"{self.place(event)}: *{event.anchor} names no anchor that is complete here"
            )
        return node

    def content(self, event: Event) -> Node:
        place = self.place(event)
        if isinstance(event, ScalarEvent):
            return Node(place=place, value=self.scalar(event))
        if self.depth >= MAX_DEPTH:  # before the recursion, not after it
            raise too_deep(place)
        self.depth += 1
        inner = self.items(place) if isinstance(event, SequenceStartEvent) else self.entries(place)
        self.depth -= 1
        return inner

    def items(self, place: Place) -> Node:
        nodes = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            nodes.append(self.node(event))
            bounded(place, len(nodes))
        return listing(place, nodes)

    def entries(self, place: Place) -> Node:
        entries: dict[str, tuple[Place, Node]] = {}
        merged: dict[str, tuple[Place, Node]] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            at, key = self.place(event), self.key(event)
            if key == "<<" and event.style is None:
                merged = {**_merged(at, self.node(next(self.events))), **merged}
                continue
            if key in entries:
                raise InvalidSpec(f"{at}: {key!r} is there twice; first at {entries[key][0]}")
            entries[key] = (at, _or_at(at, self.node(next(self.events))))
            bounded(place, len(entries))
        return mapping(place, {**merged, **entries})

    def key(self, event: Event) -> str:
        if isinstance(event, ScalarEvent) and event.ctag is None:
            return cast("str", event.value)
        raise InvalidSpec(f"{self.place(event)}: a key must be plain text")

    def scalar(self, event: Event) -> Scalar:
        text: str = event.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidSpec(f"{self.place(event)}: {text!r} has half a character (a surrogate)")
        return resolve(text) if event.style is None else text


def resolve(text: str) -> Scalar:
    """What a plain scalar means in YAML 1.2's core schema."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special[2] else float(f"{special[1]}inf")
    return text


def _or_at(key: Place, node: Node) -> Node:
    """The node; at its key where it is an empty text, which the parser puts on the next line."""
    absent = node.value is None and node.place.line > key.line
    return replace(node, place=key) if absent else node


def _merged(place: Place, node: Node) -> Mapping[str, tuple[Place, Node]]:
    """The entries that a merge key `<<` brings; of several mappings the first one wins."""
    nodes = node.value if isinstance(node.value, tuple) else (node,)
    entries: dict[str, tuple[Place, Node]] = {}
    for each in reversed(nodes):
        if not isinstance(each.value, Mapping):
            raise InvalidSpec(f"{place}: << needs a mapping, or a list of mappings")
        entries |= each.value
    return entries


def _syntax(error: MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    place = Place(source=source, line=mark.line + 1, column=mark.column + 1)
    hint = next((hint for part, hint in _HINTS.items() if part in str(error.problem)), "")
    said = ", ".join(_line(part) for part in (error.context, error.problem) if part)
    return f"{place}: not YAML: {said}{hint}"


def _line(text: str) -> str:
    return " ".join(text.split())
