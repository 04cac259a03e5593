"""What `import fairlead` offers, so that no change of it goes unnoticed."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import fairlead


def test_the_package_offers_run_and_its_version() -> None:
    assert fairlead.__all__ == ["__version__", "run"]
    assert list(inspect.signature(fairlead.run).parameters) == [
        "spec",
        "workers",
        "sets",
        "fresh",
        "home",
        "quiet",
    ]


def test_what_is_offered_is_listed_before_it_is_imported() -> None:
    program = "import fairlead, sys; print(dir(fairlead), 'fairlead.notebook' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['__version__', 'run'] False\n"


def test_a_name_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        _ = fairlead.walk  # type: ignore[attr-defined]
