"""The set-up on a later day, with the pips that Python brings.

The Makefile's own targets are run, over stubs of every locked package: they carry the real
metadata, install in seconds, and newer releases are beside them, which the real index has only
later. The real wheels are installed by CI, which runs the README's commands in an empty home.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.setup.stub_index import (
    NEWER,
    ROOT,
    StubIndex,
    copy_project,
    make,
    read_lock,
    whole_lock,
)
from tests.lacking import lacking

# The pip of each Python's first release. Wheels of pip run as they are.
OLDEST = {
    "3.11": ("22.3", "1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"),
    "3.12": ("23.2.1", "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be"),
    "3.13": ("24.2", "2cd581cf58ab7fcfca4ce8efa6dcacd0de5bf8d0a3eb9ec927e07405f4d9e2a2"),
}
INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}))
"""
APPLIES = """
import sys
from pip._vendor.packaging.markers import Marker
print(Marker(sys.argv[1]).evaluate())
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> StubIndex:
    return whole_lock(tmp_path_factory.mktemp("index"))


@pytest.mark.parametrize(
    "version",
    [pytest.param(one, marks=pytest.mark.long if one == "3.12" else ()) for one in OLDEST],
)
def test_the_locks_install_with_the_oldest_pip_beside_newer_releases(
    version: str, index: StubIndex, tmp_path: Path
) -> None:
    python, pip = python_of(version), oldest_pip(version, tmp_path)
    project = tmp_path / "project"
    copy_project(project, index, whole=True)
    subprocess.run([python, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    inside = [project / ".venv/bin/python", pip / "pip"]
    subprocess.run([*inside, "install", "-q", "--no-index", pip], check=True)
    first = make(project, "setup", f"PYTHON={python}", PIP_INDEX_URL=index.url)
    assert first.returncode == 0, first.stdout + first.stderr

    expected = {
        normalized(package.name): package.version
        for package in read_lock(project / "requirements/dev.txt")
        if applies(inside[0], package.marker)
    }
    code = [inside[0], "-I", "-c", INSTALLED]
    installed = json.loads(subprocess.run(code, capture_output=True, check=True).stdout)
    installed = {normalized(name): version for name, version in installed.items()}
    assert installed.pop("pip") == OLDEST[version][0]
    assert installed.pop("fairlead")
    assert installed == expected

    again = make(project, "setup", f"PYTHON={python}", PIP_INDEX_URL=index.url)
    assert (again.returncode, again.stdout) == (0, "")


@pytest.mark.parametrize("name", ["run", "image-forest", "image-boosters"])
def test_what_is_run_is_locked_alike_for_developers(name: str) -> None:
    """In the same versions; fewer systems and Pythons may need them."""
    dev, run = (
        {
            (package.name, package.version)
            for package in read_lock(ROOT / f"requirements/{lock}.txt")
        }
        for lock in ("dev", name)
    )
    assert run - dev == set()


def test_a_resolving_old_pip_would_stumble_over_the_newer_releases(
    index: StubIndex, tmp_path: Path
) -> None:
    """The index is one on which the set-up could fail."""
    version = "3.12" if sys.version_info >= (3, 12) else "3.11"
    copy_project(tmp_path / "project", index, whole=True)
    pip = [sys.executable, oldest_pip(version, tmp_path) / "pip", "install", "--dry-run"]
    lock = ["--require-hashes", "-r", tmp_path / "project/requirements/dev.txt"]
    target = ["--target", tmp_path / "target", "--index-url", index.url]
    done = subprocess.run([*pip, *lock, *target], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    stumbled = f"coverage=={NEWER}", "coverage[toml]", "httpx2[http2,ws]"
    assert any(package in done.stderr for package in stumbled), done.stderr


def python_of(version: str) -> str:
    """A Python of this version; one that is older runs its pip as well."""
    name = f"python{version}"
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}*/bin/{name}"))
    for found in (shutil.which(name), *map(str, beside)):
        if (
            found
            and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return found
    if sys.version_info[:2] > tuple(map(int, version.split("."))):
        lacking(f"no Python {version}")
    return sys.executable


def oldest_pip(version: str, folder: Path) -> Path:
    number, digest = OLDEST[version]
    fetch = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*fetch, "-d", folder, f"pip=={number}"], capture_output=True, check=False
    )
    if done.returncode:
        lacking(f"no pip {number} from the package index")
    wheel = folder / f"pip-{number}-py3-none-any.whl"
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == digest
    return wheel


def applies(python: Path, marker: str) -> bool:
    """Whether this Python is one that the marker wants."""
    if not marker:
        return True
    code = [python, "-c", APPLIES, marker.strip(" ;")]
    done = subprocess.run(code, capture_output=True, check=True)
    return done.stdout.strip() == b"True"


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
