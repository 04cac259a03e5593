"""Ctrl-C and SIGTERM before the first trial: nothing is in hand, so nothing is waited for."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.integration.job.conftest import Place
from tests.support.waiting import wait_until

PROMPT = 5.0
"""Seconds: the second that is promised, and what a busy machine needs to end a process."""
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
SPEC = """
name: early
data: {{source: "{source}", target: y}}
search:
  method: grid
  folds: 2
  over:
    - family: linear
"""


class Server:
    """A web server that never gives the whole of a file."""

    def __init__(self, *, says_something: bool) -> None:
        self.asked, stopping = threading.Event(), threading.Event()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if says_something:
                    self.send_response(200)
                    self.end_headers()
                asked.set()
                while not stopping.wait(0.02) and says_something:
                    self.wfile.write(b"x")

            def log_message(self, *_: object) -> None: ...

        self._stopping = stopping
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # askers hang up
        self.url = f"http://127.0.0.1:{self._server.server_port}/rows.csv"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=[True, False], ids=["a slow server", "a silent server"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(says_something=request.param)
    yield server
    server.close()


def said(place: Place) -> str:
    return (place.folder / "output.log").read_text()


@SIGNALS
def test_a_download_is_broken_off_and_nothing_of_it_is_kept(
    place: Place, server: Server, number: signal.Signals
) -> None:
    place.write("early.yaml", SPEC.format(source=server.url))
    run = place.start("run", "early.yaml", FAIRLEAD_ALLOW_PRIVATE_URLS="1")
    assert server.asked.wait(60), said(place)
    run.send_signal(number)
    assert run.wait(PROMPT) == 130, said(place)
    last = said(place).splitlines()[-1]
    assert last == "stopped: nothing was begun; run the same command to go on"
    assert not place.home.exists()


@SIGNALS
@pytest.mark.parametrize("later", [0.0, 0.5])
def test_reading_a_large_file_is_broken_off(
    place: Place, number: signal.Signals, later: float
) -> None:
    rows = "".join(f"{n}.5,{n},{n * n},{-n},{n / 7}\n" for n in range(100_000))
    (place.folder / "rows.csv").write_text("y,a,b,c,d\n" + 20 * rows)
    place.write("early.yaml", SPEC.format(source="rows.csv"))
    run = place.start("run", "early.yaml")
    wait_until(lambda: "reading the data" in said(place))
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(later)  # to be asked somewhere within
    run.send_signal(number)
    assert run.wait(PROMPT) == 130, said(place)
    assert said(place).splitlines()[-1].startswith("stopped: nothing was begun;")
    assert not place.home.exists()


SWALLOWED = """
import os, signal, time, weakref
from fairlead.cli.interrupts import counted

class Dying: pass

with counted(keeps=True) as stop, stop.at_once():
    dying = Dying()
    mourner = weakref.ref(dying, lambda _: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0.01)))
    del dying  # the handler runs in the callback, whose exceptions Python prints and forgets
    time.sleep(60)
"""


def test_a_request_that_met_a_callback_is_heeded_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "Exception ignored" in done.stderr
    assert "\nstopped: nothing was begun;" in done.stderr
    assert done.returncode == 1  # click.Abort, which nobody catches here
