"""Make the pictures of the README from what the program prints and draws.

.venv/bin/python docs/pictures/make.py     (the report's picture needs chromium)
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fairlead.rollout.record import author

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMMANDS = ("run examples/boston.yaml --deploy", "models")


def fairlead(home: Path, command: str) -> str:
    """What the command prints, messages and data together."""
    return printed(home, sys.executable, "-m", "fairlead", *command.split())


def served(home: Path) -> str:
    """What serving the model and asking it prints."""
    program = Path(sys.executable).parent / "fairlead"
    return printed(home, "sh", "examples/served.sh", "boston-prices", str(program))


def printed(home: Path, *command: str) -> str:
    """What a program prints, messages and data together."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environ(home),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return anywhere(done.stdout, home)


def anywhere(text: str, home: Path) -> str:
    """The text without what only this machine has."""
    return text.replace(str(home), ".fairlead").replace(author(), "you@host")


def environ(home: Path) -> dict[str, str]:
    """That of the commands."""
    return {**os.environ, "COLUMNS": "88", "FAIRLEAD_HOME": str(home)}


def draw(home: Path) -> None:
    """Write run.svg and, where there is a browser, report.png."""
    console = Console(record=True, width=88, file=io.StringIO())
    for command in COMMANDS:
        console.print(Text(f"$ fairlead {command}", style="bold"))
        console.print(Text(fairlead(home, command)))
    console.print(Text("$ sh examples/served.sh boston-prices", style="bold"))
    console.print(Text(served(home)))
    drawn = console.export_svg(title="make run")
    fetched = re.compile(r"@font-face \{.*?\n\s*\}\n", re.DOTALL)  # the picture fetches nothing
    (HERE / "run.svg").write_text(fetched.sub("", drawn))
    fairlead(home, "report boston-prices")
    page = next((home / "reports").iterdir())
    if browser := shutil.which("chromium"):
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        options += ["--disable-component-update", "--disable-sync", "--window-size=1280,1500"]
        options += [f"--user-data-dir={home / 'browser'}", f"--screenshot={HERE / 'report.png'}"]
        subprocess.run([browser, *options, f"file://{page}"], check=True, capture_output=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "home")
