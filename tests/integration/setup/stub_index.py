"""A package index in a folder: wheels that hold metadata only, under the names that pip expects.

`whole_lock` has a stub for every package of requirements/dev.txt, with the version and the metadata
of the real one that is installed here (so that dependencies and extras are real), and a newer
release beside each: what the index will look like on a later day.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NEWER = "9999"
BUILD = "flit-core"  # it really builds: its stub holds its files
MINIMAL = """
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
[project]
name = "fairlead"
version = "1"
description = "a stub"
dependencies = ["alpha"]
"""


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A line of a lock file."""

    name: str
    version: str
    marker: str


def read_lock(path: Path) -> list[Locked]:
    """The packages of a lock file, those for other systems and Pythons among them."""
    found = re.findall(r"^([^\s=]+)==(\S+)(.*?) \\$", path.read_text(), re.MULTILINE)
    return [Locked(name=name, version=version, marker=rest) for name, version, rest in found]


class StubIndex:
    """A folder of wheels, and of pages that list them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return f"{self.folder.as_uri()}/"

    def add(self, name: str, version: str, metadata: str, files: dict[str, bytes]) -> None:
        """A wheel more."""
        page = self.folder / name
        page.mkdir(parents=True, exist_ok=True)
        stem = f"{name.replace('-', '_')}-{version}"
        files = {**files, f"{stem}.dist-info/METADATA": metadata.encode()}
        files[f"{stem}.dist-info/WHEEL"] = (
            b"Wheel-Version: 1.0\nGenerator: stub\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        record = f"{stem}.dist-info/RECORD"
        files[record] = "".join(f"{path},,\n" for path in [*files, record]).encode()
        with zipfile.ZipFile(page / f"{stem}-py3-none-any.whl", "w") as wheel:
            for path, content in files.items():
                wheel.writestr(path, content)
        links = (f'<a href="{path.name}">{path.name}</a>\n' for path in sorted(page.glob("*.whl")))
        (page / "index.html").write_text("".join(links))

    def stub(self, name: str, version: str) -> None:
        """A wheel with the metadata of the package that is installed here."""
        metadata, files = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", {}
        if real := installed(name):
            extras = real.metadata.get_all("Provides-Extra", [])
            metadata += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
            metadata += "".join(f"Requires-Dist: {need}\n" for need in real.requires or ())
        if real and name == BUILD:
            paths = [path for path in real.files or () if path.parts[0] == "flit_core"]
            files = {str(path): path.read_binary() for path in paths if path.suffix == ".py"}
        self.add(name, version, metadata, files)

    def lock(self, packages: Iterable[Locked]) -> str:
        """A lock file of these packages, with the hashes of their stubs."""
        return "".join(
            f"{package.name}=={package.version}{package.marker} \\\n"
            f"    --hash=sha256:{self._digest(package)}\n"
            for package in packages
        )

    def _digest(self, package: Locked) -> str:
        stem = f"{package.name.replace('-', '_')}-{package.version}"
        wheel = self.folder / package.name / f"{stem}-py3-none-any.whl"
        return hashlib.sha256(wheel.read_bytes()).hexdigest()


def installed(name: str) -> importlib.metadata.Distribution | None:
    """The package as it is installed here, unless it is locked for other systems only."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def as_installed(package: Locked) -> Locked:
    """The package in the version that is installed here."""
    real = installed(package.name)
    return replace(package, version=real.version) if real else package


def whole_lock(folder: Path) -> StubIndex:
    """Every package of the lock, and a newer release of each."""
    index = StubIndex(folder)
    for package in map(as_installed, read_lock(ROOT / "requirements/dev.txt")):
        index.stub(package.name, package.version)
        index.stub(package.name, NEWER)
    return index


def small(folder: Path) -> StubIndex:
    """One package, and what builds."""
    index = StubIndex(folder)
    index.stub(BUILD, "1")
    metadata = "Metadata-Version: 2.1\nName: alpha\nVersion: 1\n"
    index.add("alpha", "1", metadata, {"alpha.py": b""})
    return index


def copy_project(folder: Path, index: StubIndex, *, whole: bool) -> None:
    """What the set-up reads of the project, with lock files of the index's packages."""
    (folder / "src/fairlead").mkdir(parents=True)
    (folder / "requirements").mkdir()
    for path in ("Makefile", "requirements/install.py", "requirements/build.in"):
        shutil.copy(ROOT / path, folder / path)
    for path in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / path, folder / path)
    (folder / "src/fairlead/__init__.py").write_text("")
    few = [Locked(name=name, version="1", marker="") for name in ("alpha", BUILD)]
    for name in ("run", "dev"):
        packages = map(as_installed, read_lock(ROOT / f"requirements/{name}.txt")) if whole else few
        (folder / f"requirements/{name}.txt").write_text(index.lock(packages))
    if not whole:
        (folder / "pyproject.toml").write_text(MINIMAL)


def make(folder: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Make's own commands, in an environment of their own with an empty home."""
    environ = {"PATH": os.environ["PATH"], "HOME": f"{folder}/home", "PIP_RETRIES": "0", **environ}
    return subprocess.run(
        ["make", *args],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
