"""What holds for each module: what its docstrings name is there, and it binds no name twice."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fairlead

PACKAGE = Path(fairlead.__file__).parent
_FILE = re.compile(r"(?<![\w./-])(?:[a-z_0-9]+/)*[a-z_0-9]+\.py\b")  # ./file.py is the user's


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Those of the module, of what is in it, and below its constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def test_each_file_that_a_docstring_names_is_there() -> None:
    missing = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in docstrings(ast.parse(path.read_text(encoding="utf-8")))
        for name in _FILE.findall(text)
        if not any((folder / name).exists() for folder in (path.parent, PACKAGE))
    ]
    assert missing == []


def bound(tree: ast.Module) -> Iterator[str]:
    """The names that a module's top level binds, but for those under a condition."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if not any("overload" in ast.unparse(one) for one in node.decorator_list):
                    yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (one.asname or one.name for one in names)


def test_no_module_binds_a_name_twice() -> None:
    """Where modules are merged, the second constant of a name would replace the first."""
    twice = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, times in Counter(bound(ast.parse(path.read_text(encoding="utf-8")))).items()
        if times > 1
    ]
    assert twice == []
