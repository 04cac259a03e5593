"""The peers' virtual environments: one for each locked list of packages."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path


def set_up(folder: Path, lists: Path) -> None:
    """Make an environment in the folder for each `NAME.txt` among the lists."""
    for locked in sorted(lists.glob("*.txt")):
        place = folder / locked.stem
        print(f"{place} ...", flush=True)
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "-r", str(locked)], check=True)
