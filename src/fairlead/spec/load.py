"""A spec file, read and checked.

YAML becomes a tree (yaml.py), `--set` replaces parts of it, the tree becomes a document
(document.py), and what is wrong is one line with file, line and column.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fairlead.errors import Invalid, InvalidData, InvalidSpec, NextStep
from fairlead.formatting import nearest
from fairlead.spec import yaml
from fairlead.spec.document import Spec
from fairlead.spec.tree import KeyPath, Node, Place, listing, mapping
from fairlead.spec.wording import Complaint, complaints

Document = TypeVar("Document", bound=BaseModel)

MAX_BYTES = 1 << 20
_KEY = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+|\[\d+\])*")
_MARKS = {"#", "|", ">"}  # of a comment, and of a text on the lines below
_ABOUT = re.compile(rf"({_KEY.pattern})(?::| must | is )")
_PART = re.compile(r"\.?([\w-]+)|\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A spec with what is known of its file.

    Args:
        spec: What it says, `--set` included.
        path: The file, as it was named.
        base: The folder that relative paths of the spec start from.
        text: The file's text.
        tree: What it says, with the place of each part.
    """

    spec: Spec
    path: Path
    base: Path
    text: str
    tree: Node

    def position(self, key: str) -> tuple[int, int] | None:
        """Line and column, from 1, of what a dotted key names; None where it is not in the file."""
        place = _place(self.tree, _parts(key))
        return (place.line, place.column) if place and place.line else None

    def invalid(self, error: Invalid) -> Invalid:
        """The error with its place in front, where it has one.

        Args:
            error: Its message begins with a dotted key, such as `data.target: ...`. An
                InvalidSpec without one gets the file alone; others stay as they are.
        """
        match = _ABOUT.match(str(error))
        place = _place(self.tree, _parts(match[1])) if match else None
        if place is None and not isinstance(error, InvalidSpec):
            return error
        if str(error).startswith(f"{self.path}:"):
            return error
        return type(error)(f"{place or self.path}: {error}")

    @contextlib.contextmanager
    def located(self) -> Iterator[None]:
        """Give what is raised inside about a part of the spec its place in the file."""
        try:
            yield
        except (InvalidSpec, InvalidData) as error:
            raise self.invalid(error) from error


def load(path: Path, *, sets: Sequence[str] = ()) -> Loaded:
    """Read a spec.

    Args:
        path: The YAML file.
        sets: Overrides, each `dotted.key=value` with the value in YAML.

    Raises:
        InvalidSpec: With file, line and column: it cannot be read, is not YAML, or says something
            that a spec may not.
    """
    text = _read(path)
    tree = yaml.parse(text, str(path))
    if tree is None or tree.value is None:
        new = NextStep(
            action="new", arguments={"folder": None}, effect="writes a spec to start from"
        )
        raise InvalidSpec(f"{path}: is empty", code="empty_spec", next_steps=(new,))
    _refuse_no_mapping(tree)
    for override in sets:
        tree = _override(tree, override)
    return Loaded(spec=_checked(tree, Spec), path=path, base=path.parent, text=text, tree=tree)


def load_document(path: Path, document: type[Document], *, kind: str) -> Document:
    """Read another document that people write, as strictly as a spec.

    Args:
        path: The YAML file.
        document: What it is to be.
        kind: What it is called in messages.

    Raises:
        InvalidSpec: As for `load`.
    """
    tree = yaml.parse(_read(path, kind), str(path))
    if tree is None or tree.value is None:
        raise InvalidSpec(f"{path}: is empty; known keys: {', '.join(document.model_fields)}")
    if not isinstance(tree.value, Mapping):
        found = "a list" if isinstance(tree.value, tuple) else "a single value"
        keys = ", ".join(document.model_fields)
        raise InvalidSpec(f"{tree.place}: a {kind} is a mapping ({keys}), not {found}")
    return _checked(tree, document)


def _read(path: Path, kind: str = "spec") -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InvalidSpec(f"{path}: there is no such file{_other_file(path)}") from None
    except IsADirectoryError:
        raise InvalidSpec(f"{path}: is a folder; name the {kind} (a YAML file) in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidSpec(f"{path}: cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise InvalidSpec(f"{path}: is larger than {MAX_BYTES >> 20} MiB; is it a {kind}?")
    return _decoded(content, path)


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        place = Place(
            source=str(path),
            line=before.count("\n") + 1,
            column=len(before) - before.rfind("\n"),
        )
        byte = content[error.start]
        raise InvalidSpec(f"{place}: not UTF-8 (byte {byte:#04x}); save it as UTF-8") from None


def _other_file(path: Path) -> str:
    try:
        names = [other.name for other in path.parent.iterdir() if other.suffix in {".yaml", ".yml"}]
    except OSError:
        return ""
    near = nearest(path.name, sorted(names))
    return f"; did you mean {str(path.with_name(near))!r}?" if near else ""


def _refuse_no_mapping(tree: Node) -> None:
    if isinstance(tree.value, (tuple, str, int, float)):
        kind = "a list" if isinstance(tree.value, tuple) else "a single value"
        raise InvalidSpec(
            f"{tree.place}: a spec is a mapping of keys and values (name, data, search, promote), "
            f"not {kind}"
        )


def _override(tree: Node, override: str) -> Node:
    where = f"--set {override}"
    key, equals, text = override.partition("=")
    if not equals or not _KEY.fullmatch(key):
        raise InvalidSpec(f"{where}: give it as key=value, such as search.trials=20")
    try:
        value = _flat(_value(key, text, where), Place(source="--set"))  # what is said names the key
        return tree.replaced(_parts(key), value)
    except InvalidSpec as error:
        raise InvalidSpec(f"{where}: {str(error).removeprefix(f'{where}:').strip()}") from None


def _value(key: str, text: str, where: str) -> Node | None:
    """What YAML makes of a value; one that it takes for a mark of its own is to be quoted."""
    begin, quoted = text.strip()[:1], json.dumps(text, ensure_ascii=False)
    way_on = f"a text such as this needs quotes: --set {shlex.quote(f'{key}={quoted}')}"
    try:
        node = yaml.parse(text, where)
    except InvalidSpec as error:
        if begin in {"[", "{"}:  # is more likely a list that is not closed
            raise
        raise InvalidSpec(f"YAML cannot read the value {text!r}; {way_on}") from error
    is_empty = node is None or node.value == ""
    if is_empty and text and (not begin or begin in _MARKS):
        raise InvalidSpec(f"YAML reads nothing in the value {text!r}; {way_on}")
    return node


def _flat(node: Node | None, place: Place) -> Node:
    """The node with all of it at one place; an empty text is null."""
    if node is None:
        return Node(place=place, value=None)
    if isinstance(node.value, tuple):
        return listing(place, [_flat(item, place) for item in node.value])
    if isinstance(node.value, dict):
        entries = {key: (place, _flat(item, place)) for key, (_, item) in node.value.items()}
        return mapping(place, entries)
    return Node(place=place, value=node.value)


def _checked(tree: Node, document: type[Document]) -> Document:
    try:
        return document.model_validate(tree.plain())
    except ValidationError as error:
        found = sorted(
            (
                (_complained(tree, complaint), complaint.text)
                for complaint in complaints(error, document)
            ),
            key=itemgetter(0),  # of those at one place, the first of the section's keys
        )
    place, text = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise InvalidSpec(f"{place}: {text}{more}")


def _complained(tree: Node, complaint: Complaint) -> Place:
    return _place(tree, complaint.path, key=complaint.about == "key") or tree.place


def _place(tree: Node, path: KeyPath, *, key: bool = False) -> Place | None:
    """Where the longest part of the path that is in the tree stands; None for an empty one."""
    for end in range(len(path), 0, -1):
        outer, node = tree.find(path[: end - 1]), tree.find(path[:end])
        if outer and node:
            entry = outer.value.get(str(path[end - 1])) if isinstance(outer.value, dict) else None
            at_key = entry and (key or end < len(path))
            return entry[0] if entry and at_key else node.place
    return None


def _parts(key: str) -> KeyPath:
    """`search.over[0].params` as a path; `over.0` names an item, too."""
    return tuple(
        int(index or name) if (index or name).isdecimal() else name
        for name, index in _PART.findall(key)
    )
