"""Makes an environment and installs into it: a lock file's packages and Fairlead, or the newest.

    python -I requirements/install.py .venv run|dev|distributed|newest [--this-python]

A lock file is installed whole: pip looks for no dependencies (an old pip looks for those with an
extra among the newest releases, which the lock has no hash for), `pip check` says whether any is
missing. Only wheels are installed, so that neither compilers nor build tools of the day matter;
what has none (PySpark) is built by tools of the lock. Of pip's settings, those that say how the
index is reached are kept.

`setup.json` in the environment records what was installed and where. It is written before the first
change, so that an environment that was interrupted, moved or copied is recognised and made again.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn, TextIO

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"run": "0.8 GB", "dev": "1.8 GB", "distributed": "4.3 GB", "newest": "1.8 GB"}
INCLUDED = {
    "run": ("run",),
    "dev": ("run", "dev"),
    "distributed": ("run", "dev", "distributed"),
    "newest": (),
}
BUILT = {"distributed": "sources"}
"""Locks of packages that have no wheels, which the setuptools of the lock before them builds."""
WAITS = (2, 10)  # seconds before a failed download is tried again
WHEELS = ("--only-binary", ":all:", "--progress-bar", "off")
SILENCE = 30  # seconds between lines, where output is no terminal
STEP = 25  # packages a line, where output is no terminal
REACHING = {  # the settings of pip that say how the index is reached, and what it may keep
    *("index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "proxy", "cert"),
    *("client-cert", "keyring-provider", "use-feature", "use-deprecated", "timeout"),
    *("default-timeout", "retries", "resume-retries", "cache-dir", "no-cache-dir"),
}
CAUSES = (  # what pip prints, what it means, whether to try again; the first that is found counts
    (r"No space left on device", "the disk is full, or that of TMPDIR, where pip unpacks", False),
    (r"due to an OSError: (\[Errno .*)", "{0}", False),
    (
        r"requirement (\S+).*\(from versions: (?!none).*",
        "the package index has no {0} for this Python and machine (tested: Python 3.11 to 3.13)",
        False,
    ),
    (r"certificate verify failed", "the certificate of the package index is not trusted", False),
    (
        r"(?s)DO NOT MATCH THE HASHES.*?\n\s+(\S+) from",
        "the download of {0} was cut short, or is not the locked file",
        True,
    ),
    (r"HTTP error (\d+)|too many (\d+) error", "the package index answered {0}", True),
    (
        r"connection broken by .*\[Errno -?\d+\] ([^'\")]+)",
        "the package index is out of reach: {0}",
        True,
    ),
    (r"(?i)timed out|TimeoutError", "the package index stopped answering", True),
    (r"(?i)ProtocolError|IncompleteRead|download failed", "a download was cut short", True),
    (r"matching distribution found for (\S+)", "the package index did not answer with {0}", True),
)


def main() -> int:
    """Bring the environment to what is asked for."""
    parser = argparse.ArgumentParser(description="Install Fairlead and its packages.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("packages", choices=INCLUDED)
    parser.add_argument("--this-python", action="store_true", help="of this version of Python")
    asked = parser.parse_args()
    with Path(__file__).open() as script:
        try:
            one_at_a_time(script)
            Environment(asked.venv).bring(asked.packages, this_python=asked.this_python)
        except KeyboardInterrupt:
            return 130
    return 0


def one_at_a_time(script: TextIO) -> None:
    """Wait for another make in this folder."""
    try:
        fcntl.flock(script, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("setup: waiting for another installation in this folder", flush=True)
        fcntl.flock(script, fcntl.LOCK_EX)


def fail(message: str) -> NoReturn:
    """End with one line."""
    raise SystemExit(f"setup: {message}")


class Environment:
    """A virtual environment, and the record of what is in it."""

    def __init__(self, venv: Path) -> None:
        self.venv = venv
        self.path = os.path.realpath(venv)
        self.python = venv / "bin/python"
        self.record = venv / "setup.json"
        self.log = venv / "pip.log"

    def bring(self, packages: str, *, this_python: bool) -> None:
        """Do what is still to be done."""
        if unfit := self._unfit(this_python=this_python):
            self._make(unfit)
        elif packages != "newest" and self._recorded().get(packages) == digest(packages):
            return
        print(f"setup: installing into {self.venv}, {SIZES[packages]}: some minutes", flush=True)
        before = time.monotonic()
        self._install(packages)
        self._write({name: digest(name) for name in INCLUDED[packages]})
        print(f"setup: done in {time.monotonic() - before:.0f} s", flush=True)

    def _unfit(self, *, this_python: bool) -> str:
        """Why the environment has to be made (again), or nothing."""
        if not self.venv.exists() or not any(self.venv.iterdir()):
            return "new"
        recorded = self._recorded()
        if recorded.get("changing"):
            return "its installation did not end well"
        if recorded.get("path", self.path) != self.path:
            return f"it was made as {recorded['path']}"
        if not self.record.exists() and not (self.venv / "pyvenv.cfg").exists():
            fail(f"{self.venv} is in the way: it is no Python environment; move it")
        probe = "import sys, pip; print(*sys.version_info[:2], sep='.')"
        found = run([str(self.python), "-I", "-c", probe]) if self.python.exists() else None
        if found is None or found.returncode:
            return "its Python does not run, or has no pip"
        if this_python and found.stdout.strip() != version():
            return f"it is of Python {found.stdout.strip()}"
        return ""

    def _make(self, why: str) -> None:
        if importlib.util.find_spec("ensurepip") is None:
            fail(f"{sys.executable} lacks ensurepip: install python{version()}-venv, or set PYTHON")
        if why != "new":
            print(f"setup: making {self.venv} again: {why}", flush=True)
        self.venv.mkdir(parents=True, exist_ok=True)
        for entry in self.venv.iterdir():  # not the folder itself: it may be a link
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        self._write({"changing": "true"})
        made = run([sys.executable, "-I", "-m", "venv", str(self.venv)])
        if made.returncode:
            fail(f"{sys.executable} makes no environment: {last_line(made.stdout + made.stderr)}")

    def _install(self, packages: str) -> None:
        self.log.unlink(missing_ok=True)
        pip = Pip(python=self.python, log=self.log)
        self._write({"changing": "true"})
        try:
            if packages == "newest":
                newest = ["--upgrade", "--upgrade-strategy", "eager"]
                pip.install(*newest, "--requirement", "requirements/build.in")
                pip.install(*newest, "--no-build-isolation", "--editable", ".[dev]")
            else:
                lock = f"requirements/{packages}.txt"
                locked = ["--no-deps", "--require-hashes", "--requirement", lock]
                pip.install(
                    *locked, total=len(re.findall("^\\S+==", lock_text(packages), re.MULTILINE))
                )
                if sources := BUILT.get(packages):
                    built = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
                    hashed = ["--require-hashes", "--requirement", f"requirements/{sources}.txt"]
                    pip.install(*built, *hashed)
                editable = ["--no-deps", "--no-build-isolation", "--editable", "."]
                pip.install("--no-index", *editable)
            pip.check()
        except SystemExit:
            if not pip.wrote:  # it failed while it loaded: nothing is half there
                self._write({})
            raise

    def _recorded(self) -> dict[str, str]:
        try:
            recorded: dict[str, str] = json.loads(self.record.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            return {"changing": "true"}
        return recorded

    def _write(self, record: dict[str, str]) -> None:
        self.record.write_text(json.dumps({"path": self.path, **record}))


class Pip:
    """The pip of an environment: its settings, its progress, and what its failures mean."""

    def __init__(self, *, python: Path, log: Path) -> None:
        self.log = log
        self.wrote = False
        self._pip = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        self._environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))
        }
        self._environ |= {"PIP_CONFIG_FILE": os.devnull, **self._settings()}

    def install(self, *args: str, total: int = 0) -> None:
        """Install; what fails by the network is tried again."""
        for wait in (*WAITS, None):
            status, output = self._run("install", *WHEELS, *args, total=total)
            if status == 0:
                return
            if status < 0:
                fail(f"pip was killed by signal {-status} (too little memory?); try again")
            cause, again = why(output)
            if wait is None or not again:
                fail(f"not installed: {cause}; mend it, then try again (pip's words: {self.log})")
            print(f"setup: {cause}; trying again in {wait} s", flush=True)
            time.sleep(wait)

    def check(self) -> None:
        """Every package finds what it needs."""
        status, output = self._run("check")
        if status:
            fail(f"the packages do not fit together: {last_line(output)} (all: {self.log})")

    def _run(self, *args: str, total: int = 0) -> tuple[int, str]:
        progress = Progress(total)
        output = ""
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                [*self._pip, *args],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as pip,
        ):
            for line in pip.stdout or ():
                log.write(line)
                output += line
                self.wrote |= line.startswith("Installing collected")
                progress.follow(line)
        progress.end()
        return pip.returncode, output

    def _settings(self) -> dict[str, str]:
        """Those that say how the index is reached, as environment variables."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        listed = run([*self._pip, "config", "list"], env=environ)
        if listed.returncode:
            fail(f"pip's settings cannot be read: {last_line(listed.stdout + listed.stderr)}")
        found = re.findall(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", listed.stdout, re.MULTILINE)
        order = ["global", "install", ":env:"]  # the later go before the earlier
        found.sort(key=lambda setting: order.index(setting[0]))
        return {
            f"PIP_{key.upper().replace('-', '_')}": ast.literal_eval(value)
            for _, key, value in found
            if key in REACHING
        }


class Progress:
    """How far pip is: one line that is written over on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._doing = ""
        self._began = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._ended = threading.Event()
        self._ticking = threading.Thread(target=self._tick, daemon=True)
        self._ticking.start()

    def follow(self, line: str) -> None:
        """Show what a line of pip's says."""
        counted = re.match(r"Collecting |Requirement already satisfied|Ignoring ", line)
        self._done += counted is not None
        loading = re.match(r"\s*(?:Downloading|Using cached) (?:\S*/)?([^-]+)\S+ (\(.*\))", line)
        writing = line.startswith("Installing collected")
        if loading or writing:
            self._doing = " ".join(loading.groups()) if loading else "unpacking them"
        if self._terminal or writing or (counted and self._done % STEP == 0):
            self._write()

    def end(self) -> None:
        """Leave the terminal's line empty."""
        self._ended.set()
        self._ticking.join()
        if self._terminal:
            print(end="\r\033[K", flush=True)

    def _tick(self) -> None:
        while not self._ended.wait(1 if self._terminal else SILENCE):
            self._write()

    def _write(self) -> None:
        if not self._total:
            return
        seconds = round(time.monotonic() - self._began)
        text = f"  {self._done} of {self._total} packages, {seconds} s  {self._doing}".rstrip()
        if self._terminal:
            print(end=f"\r{text[: shutil.get_terminal_size().columns - 1]}\033[K", flush=True)
        else:
            print(text, flush=True)


def why(output: str) -> tuple[str, bool]:
    """What pip's output means, and whether another try may help."""
    for pattern, cause, again in CAUSES:
        if found := re.search(pattern, output):
            return cause.format(next((group for group in found.groups() if group), "")), again
    errors = re.findall(r"ERROR: (.*)", output)
    return (errors[-1] if errors else last_line(output))[:300], False


def last_line(output: str) -> str:
    """What a program said last."""
    return (output.strip().splitlines() or ["nothing was said"])[-1]


def digest(packages: str) -> str:
    """What the environment's content follows from."""
    locks = [packages, *([BUILT[packages]] if packages in BUILT else [])]
    text = "".join(map(lock_text, locks)) + (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def lock_text(packages: str) -> str:
    """A lock file."""
    return (ROOT / f"requirements/{packages}.txt").read_text(encoding="utf-8")


def version() -> str:
    """That of the Python that runs this."""
    return ".".join(map(str, sys.version_info[:2]))


def run(command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A short command, with what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


if __name__ == "__main__":
    raise SystemExit(main())
