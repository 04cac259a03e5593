"""Fairlead as a wheel, which is how a second machine gets it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fairlead.version import VERSION

ROOT = Path(__file__).parents[3]


@pytest.mark.new_interpreters
def test_a_wheel_of_the_checkout_is_installed_elsewhere(tmp_path: Path) -> None:
    """The build's own packages are there already: CI's machine may reach no index by now."""
    made = tmp_path / "dist"
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*wheel, "--wheel-dir", str(made), str(ROOT)], check=True)
    (file,) = made.iterdir()
    assert file.name == f"fairlead-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(file) as archive:
        metadata = archive.read(f"fairlead-{VERSION}.dist-info/METADATA").decode()
    for extra in ("postgresql", "s3", "xgboost"):
        assert f"Provides-Extra: {extra}" in metadata
    there = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q"]
    subprocess.run([*install, "--target", str(there), str(file)], check=True)
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "fairlead", "schema"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(there), "FAIRLEAD_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"search"' in ran.stdout
    assert (there / "fairlead" / "data" / "files" / "boston.data").exists()
