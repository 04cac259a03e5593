"""What docstrings name is there."""

from __future__ import annotations

import ast
import re
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
