"""ONNX Runtime sessions: from the artefact store into memory, and their memory given back."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Callable

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt
from fairlead.inference import Exported, Inspected
from fairlead.serving.engine.admission import slow_after
from fairlead.serving.engine.threads import run_in_thread
from fairlead.serving.plan import Held

_SLOTS = 4  # loads at once: each needs a few times its file's size for a moment
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of mallopt(3)
_LARGE = 1 << 20  # bytes
_ARENA_MAX = -8  # M_ARENA_MAX of mallopt(3)
_ARENAS = 2  # the event loop's, and one for all that is done aside


class Loader:
    """Loads and frees sessions, in threads; one a process, for it settles how memory is kept.

    Args:
        artifacts: Holds the files.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._slots = asyncio.Semaphore(_SLOTS)
        _settle_memory()

    async def load(self, held: Held, *, slow: Callable[[], None]) -> Exported:
        """The revision, ready to predict.

        A load that takes too long, and may hang, gives its slot back, so that a disk that does
        not answer for one file keeps no other model waiting.

        Args:
            held: The revision.
            slow: Called once it takes too long.

        Raises:
            Corrupt: Its file is missing or damaged.
            Unreachable: The artefact store did not answer.
        """
        async with self._slots:
            loading = run_in_thread(lambda: _loaded(self._artifacts, held))
            await asyncio.wait((loading,), timeout=slow_after(held.facts.size))
        if not loading.done():
            slow()
        return await loading

    def free(self, last: list[Exported]) -> None:
        """Give a session's memory back; it must be known nowhere else.

        Args:
            last: Holds it, and is emptied.
        """

        def empty() -> None:
            last.clear()
            _give_back()

        run_in_thread(empty)


def _loaded(artifacts: Artifacts, held: Held) -> Exported:
    """What the check found in these very bytes holds, for their digest is verified here."""
    facts = held.facts
    found = Inspected(steady=facts.steady, missing=facts.missing)
    try:
        return Exported(_content(artifacts, held), held.signature, found)
    finally:
        _give_back()


def _content(artifacts: Artifacts, held: Held) -> bytes:
    """The compact form; the model itself where that is gone, such as in a store copied by hand."""
    if held.facts.compact is not None:
        with contextlib.suppress(Corrupt):
            return artifacts.get(held.facts.compact)
    return artifacts.get(held.file)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is the one that has to be asked to give memory back."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


def _settle_memory() -> None:
    """Have glibc put no holes between sessions that many threads make.

    Left alone, it no longer takes large blocks from the system one by one once it has freed one,
    and it gives nearly every thread a heap of its own: 200 swaps of a 6.6 MiB forest grew a
    process by 63 MiB. By 9 MiB with the first settled, by 2 MiB with both.
    """
    if library := _glibc():
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, _ARENAS)


def _give_back() -> None:
    """Return what is free to the system, which glibc does by itself at the heap's end only."""
    if library := _glibc():
        library.malloc_trim(0)
