"""A home that cannot be written, or that is somebody else's: a line that says so, or it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.lacking import lacking

SPEC = """
name: theirs
data: {source: diabetes}
search:
  method: grid
  folds: 2
  over:
    - family: linear
      params: {alpha: [1.0]}
"""
NOBODY = 65534
COMMANDS = (
    "studies",
    "trials theirs",
    "report theirs",
    "models",
    "predict theirs rows.csv",
    "history theirs",
    "gc",
    "promote theirs 1 --why mine",
    "run theirs.yaml",
    "run theirs.yaml --fresh",
)
UNPRIVILEGED = "--bounding-set=-dac_override,-dac_read_search,-fowner"


def command(
    folder: Path, *args: str, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "fairlead", "--home", str(folder / "home"), *args],
        cwd=folder,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none", "TMPDIR": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home in which a spec was run."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tmp").mkdir()
    (folder / "theirs.yaml").write_text(SPEC)
    (folder / "rows.csv").write_text(
        "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n59,2,32,101,157,93,38,4,4.9,87\n"
    )
    done = command(folder, "run", "theirs.yaml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy whose files may be handed away; it is given back so that it can be deleted."""
    copied = tmp_path / "copied"
    shutil.copytree(made, copied)
    yield copied
    subprocess.run(["chmod", "-R", "u+rwX", str(copied)], check=True)


@pytest.fixture
def prefix() -> list[str]:
    """What takes root's privilege over files away; nothing for anybody else."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        lacking("setpriv, which takes root's privileges away")
    return ["setpriv", UNPRIVILEGED, "--inh-caps=-all"]


def one_line_or_success(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        assert done.returncode in {1, 2}, done.stderr
        said = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]
        assert len(said) == 1, done.stderr
        assert str(folder / "home") in said[0] or "artefact" in said[0]
        assert done.stdout == ""
    assert "raceback" not in done.stderr
    assert list((folder / "tmp").glob("crash-*")) == []


@pytest.mark.parametrize("words", COMMANDS)
def test_a_home_that_cannot_be_written(folder: Path, prefix: list[str], words: str) -> None:
    subprocess.run(["chmod", "-R", "a-w", str(folder / "home")], check=True)
    one_line_or_success(folder, command(folder, *words.split(), prefix=prefix))


@pytest.mark.parametrize("words", COMMANDS)
def test_the_home_of_another_user(folder: Path, prefix: list[str], words: str) -> None:
    if not prefix:
        lacking("root, who alone gives files away")
    for path in (folder / "home", *(folder / "home").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    one_line_or_success(folder, command(folder, *words.split(), prefix=prefix))


@pytest.mark.parametrize("part", ["artifacts", "logs", "reports", "ledger.db", "ledger.db-turn"])
@pytest.mark.parametrize(
    "words", ["run theirs.yaml --fresh", "report theirs", "predict theirs rows.csv"]
)
@pytest.mark.parametrize("mode", [0o000, pytest.param(0o444, marks=pytest.mark.long)])
def test_a_part_of_the_home_that_cannot_be_used(
    folder: Path, prefix: list[str], part: str, words: str, mode: int
) -> None:
    (folder / "home" / "reports").mkdir(exist_ok=True)
    (folder / "home" / part).chmod(mode)
    one_line_or_success(folder, command(folder, *words.split(), prefix=prefix))
