"""The git repository that a folder is in, and the commit that is checked out."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 5.0  # that git may take; a large working tree on a slow disk is not worth more


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What is checked out."""

    commit: str
    changed: bool  # whether files that git knows differ from it


def checked_out(folder: Path) -> Commit | None:
    """What is checked out in the repository around the folder.

    Returns:
        None outside of one, before its first commit, without git, or where git takes too long.
    """
    commit = _answer(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    status = _answer(folder, "status", "--porcelain", "--untracked-files=no")
    return Commit(commit=commit, changed=status != "")


def _answer(folder: Path, *args: str) -> str | None:
    # Without optional locks: a look must not get in the way of a commit that is being made.
    command = ["git", "--no-optional-locks", *args]
    try:
        done = subprocess.run(  # noqa: S603 - git, with our own arguments
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
