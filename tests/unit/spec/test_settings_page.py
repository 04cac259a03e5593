"""The page on settings names each of them, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_names_every_variable_that_the_program_reads() -> None:
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"FAIRLEAD_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(FAIRLEAD_[A-Z_]+)`", page, re.MULTILINE)) == read
