"""What a server writes to standard error where programs read it: a JSON object a line."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from tests.integration.server.rig import Home, Served, serving
from tests.support.waiting import wait_until

PRINTED = ("serving at ", "sums: ", "curl ")  # on standard output
NOISE = """
import ctypes, logging, os, sys, threading, warnings

def noise():
    warnings.warn("a warning of a library", UserWarning)
    logging.getLogger("library").error("an error of %s", "a library")
    logging.getLogger("library").error("an error of %d", "a library")
    logging.getLogger("library").error("a file \\udcff")
    logging.getLogger("uvicorn.error").critical("a fault of uvicorn")
    print("a print")
    ctypes.CDLL(None).write(2, b"a line of C\\n\\n", 13)
    os.write(2, b"bytes \\xff\\n")
    threading.Thread(target=lambda: 1 / 0, name="broken").start()

class Late:
    def __del__(self):
        raise ValueError("a finalizer")

def when_the_log_is_there():
    from fairlead.serving.telemetry import foreign
    logged = foreign.logged
    def noisy(log, handler):
        found = logged(log, handler)
        enter = found.__enter__
        def entered():
            enter()
            noise()
            Late()
        class Noisy:
            __enter__ = lambda self: entered()
            __exit__ = lambda self, *exc: found.__exit__(*exc)
        return Noisy()
    foreign.logged = noisy

if "fairlead.serving.process" in sys.orig_argv:
    when_the_log_is_there()
    print("before anything", file=sys.stderr)
"""


def lines(served: Served) -> list[dict[str, Any]]:
    """All that is on standard error; fails where a line is no JSON object."""
    written = [line for line in served.text.splitlines() if not line.startswith(PRINTED)]
    found = [json.loads(line) for line in written]
    assert all(isinstance(one, dict) for one in found)
    return found


def test_every_line_is_an_object_whoever_wrote_it(home: Home, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environ = {"PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
    with serving(home, "--log-form", "json", **environ) as served:
        assert served.ask()[0] == 200
        crashing, _ = served.processes()
        crashing.send_signal(signal.SIGABRT)
        wait_until(lambda: served.said("Fatal Python error: Aborted"))
        wait_until(lambda: served.has_replaced(crashing))
        assert served.end() == 0
        found = lines(served)
    messages = {one["message"] for one in found}
    assert {
        "an error of a library",
        "a file \\udcff",
        "a fault of uvicorn",
        "a print",
        "a line of C",
        "bytes \\xff",
        "before anything",
        "uncaught exception in thread broken",
        "stopped",
    } <= messages
    assert any("UserWarning: a warning of a library" in message for message in messages)
    assert any("ZeroDivisionError" in one.get("traceback", "") for one in found)
    assert any("a finalizer" in one.get("traceback", "") for one in found)
    assert all({"at", "level", "message", "process"} <= one.keys() for one in found)
    assert {one["process"] for one in found if one["message"].startswith("Fatal")} == {crashing.pid}


def test_without_a_collector_a_server_ends_in_time_and_says_so_in_its_log(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for away in (url, "http://127.0.0.1:9"):
            environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": away, "OTEL_BSP_SCHEDULE_DELAY": "100"}
            with serving(home, "--log-form", "json", **environ) as served:
                assert all(served.ask()[0] == 200 for _ in range(20))
                began = time.monotonic()
                assert served.end() == 0
                assert time.monotonic() - began < 3.0
                found = lines(served)
            assert any("spans were not taken" in one["message"] for one in found)
        assert any(one.get("logger", "").startswith("opentelemetry.") for one in found)


def test_with_the_console_as_exporter_each_span_is_a_line(home: Home) -> None:
    with serving(home, "--log-form", "json", OTEL_TRACES_EXPORTER="console") as served:
        assert served.ask()[0] == 200
        assert served.end() == 0
        assert any(one.get("name") == "POST predict" for one in lines(served))
