"""The standard error of a serving process, put into lines of the log.

What the process logs is a JSON object a line. What its interpreter or a library in C writes is
text: a fatal error, a message of ONNX Runtime. Where the log is JSON, the supervisor reads the
process's standard error and puts each such line into an object, also of one that has crashed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import msgspec

from fairlead.serving.telemetry.logs import as_object, utc

_READ = 1 << 16
_LONGEST = 1 << 20  # bytes of a line; a longer one is cut into several
_STDERR = 2
_OURS = b'{"at":"'
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw])


class StderrRelay:
    """Passes on what a process writes to its standard error, as JSON objects.

    Args:
        source: The end of a pipe to read, which is closed at its end.
        process: Its number.
    """

    def __init__(self, source: int, process: int) -> None:
        self._source, self._process = source, process
        self._thread = threading.Thread(target=self._run, daemon=True, name="fairlead-stderr")
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Wait until all is passed on; no longer than this, for nobody may read what we write."""
        self._thread.join(seconds)

    def _run(self) -> None:
        with contextlib.closing(os.fdopen(self._source, "rb", buffering=0)) as source:
            for lines in _chunks(source.fileno()):
                content = b"".join(as_line(line, self._process) for line in lines)
                with contextlib.suppress(OSError):  # nobody reads it any more
                    _write(content)


def _chunks(source: int) -> Iterator[list[bytes]]:
    """The lines that have come together."""
    rest = b""
    while chunk := os.read(source, _READ):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        yield lines
    yield [rest]


def as_line(line: bytes, process: int) -> bytes:
    """The line as a JSON object; nothing of a blank one.

    Args:
        line: As it was written, without its end.
        process: The number of the process that wrote it.
    """
    if not line.strip():
        return b""
    if line.startswith(_OURS) or _is_object(line):
        return line + b"\n"
    document = {
        "at": utc(time.time()),
        "level": "warning",
        "message": line.decode(errors="backslashreplace").rstrip(),
        "process": process,
        "logger": "stderr",
    }
    return as_object(document).encode() + b"\n"


def _is_object(line: bytes) -> bool:
    try:
        _ANY.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _write(content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(_STDERR, view) :]
