"""One serving process: `python -P -m fairlead.serving.process`.

It takes its settings from the environment, follows the messages of its supervisor, and answers
requests until a message, a signal or the supervisor's end tells it to drain: it then finishes the
requests in hand and exits with 0.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from logging import Logger

from fairlead.artifacts import Artifacts
from fairlead.serving.channel import Channel, opened
from fairlead.serving.engine.engine import Engine
from fairlead.serving.http.app import App
from fairlead.serving.http.body import Bodies
from fairlead.serving.http.connection import FILES, HttpConfig, HttpServer
from fairlead.serving.http.guard import Guard
from fairlead.serving.http.pages import Pages, Readiness
from fairlead.serving.http.predicting import Predicting
from fairlead.serving.plan import Admit, Drain, Plan
from fairlead.serving.reporter import ProcessStats, Reporter
from fairlead.serving.settings import VARIABLE, Limits, ProcessSettings, decode
from fairlead.serving.telemetry.counters import Metrics
from fairlead.serving.telemetry.logs import written
from fairlead.serving.telemetry.request_observer import RequestObserver
from fairlead.serving.telemetry.traces import Traces, traces

_PATIENCE = 2.0  # seconds past its grace until a process ends by force


def run(settings: ProcessSettings) -> int:
    """Serve until asked to end.

    Returns:
        The exit status.
    """
    _raise_file_limit(settings.limits)
    with written(settings.logging) as log, asyncio.Runner(loop_factory=_loops()) as runner:
        spans = traces(os.environ, log)
        runner.run(_run(settings, log, spans))
        if spans is not None:
            spans.close()
    return 0


async def _run(settings: ProcessSettings, log: Logger, spans: Traces | None) -> None:
    channel = await opened(settings.channel)
    follower = PlanFollower(channel, settings, log)
    _on_signals(lambda: follower.end(settings.grace))
    messages = asyncio.create_task(follower.follow())
    await follower.begun.wait()
    if not follower.ending.done():
        await _serve(channel, follower, settings, log, spans)
    messages.cancel()
    follower.engine.close()
    await channel.close()


class PlanFollower:
    """Follows the messages of the supervisor.

    Args:
        channel: Where they come.
        settings: Of this process.
        log: Gets routes that cannot be followed.
    """

    def __init__(self, channel: Channel, settings: ProcessSettings, log: Logger) -> None:
        self.readiness = Readiness()
        self.guard = Guard(settings.tokens, settings.host)
        self.begun = asyncio.Event()  # the first plan is taken in, or there is none to come
        self.ending: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        store = Artifacts(settings.artifacts, cache=settings.artifacts_cache)
        self.engine = Engine(store, changed=self._report)
        self._channel = channel
        self._grace = settings.grace
        self._log = log
        self._applying: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Follow messages to the end: pages that were asked for come while we drain, too."""
        async for message in self._channel.messages():
            match message:
                case Plan():
                    self._take(message)
                case Admit(tokens=tokens):
                    self.guard.admit(tokens)
                case Drain(seconds=seconds):
                    self.end(seconds)
        self.end(self._grace)

    def end(self, seconds: float) -> None:
        """Be ready no more, and end within so many seconds."""
        self.readiness.lacking = "it is ending"
        self.begun.set()
        if not self.ending.done():
            self.ending.set_result(seconds)

    def _take(self, plan: Plan) -> None:
        applying = asyncio.create_task(self._apply(plan))
        self._applying.add(applying)
        applying.add_done_callback(self._applying.discard)

    async def _apply(self, plan: Plan) -> None:
        """Requests are accepted at once: those for a model that loads wait for it."""
        asyncio.get_running_loop().call_soon(self.begun.set)
        report = await self.engine.apply(plan)
        if report.serial == plan.serial and not self.ending.done():
            self.readiness.lacking = plan.lacking
        self._channel.report(report)
        for model, fault in report.faults.items():
            self._log.warning("route not followed", extra=_fault(model, fault))

    def _report(self) -> None:
        self._channel.report(self.engine.report())


async def _serve(
    channel: Channel,
    follower: PlanFollower,
    settings: ProcessSettings,
    log: Logger,
    spans: Traces | None,
) -> None:
    """Answer requests until it is time to end, and then those that are in hand."""
    metrics = Metrics()
    observer = RequestObserver(metrics, spans, log, everything=settings.logging.requests)
    bodies = Bodies(settings.limits)
    config = HttpConfig(limits=settings.limits, refused=observer.refused)
    stats = ProcessStats(metrics, follower.engine, bodies, config.connection_limit)
    reporter = Reporter(metrics, channel, stats.look)
    config.app = App(
        guard=follower.guard,
        pages=Pages(follower.engine, follower.readiness, reporter.page),
        predicting=Predicting(follower.engine, bodies, metrics, settings.limits),
        observer=observer,
        limits=settings.limits,
    )
    keeping = [asyncio.create_task(kept) for kept in (stats.keep(), reporter.keep())]
    await _until_ended(HttpServer(config), settings, follower.ending)
    for task in keeping:
        task.cancel()
    reporter.report()


async def _until_ended(
    server: HttpServer, settings: ProcessSettings, ending: asyncio.Future[float]
) -> None:
    serving = asyncio.create_task(server.serve([socket.socket(fileno=n) for n in settings.listen]))
    gc.collect()
    gc.freeze()  # what is there now stays: no later collection needs to look at it
    await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    if ending.done():
        _end_by_force_after(ending.result() + _PATIENCE)
        server.end(ending.result())
    await serving


def _on_signals(end: Callable[[], None]) -> None:
    """The first signal ends gracefully; a second one, as usual."""
    loop = asyncio.get_running_loop()

    def once(number: int) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        end()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, once, number)


def _end_by_force_after(seconds: float) -> None:
    """A thread that hangs in a library would keep the process for ever; an alarm does not wait."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _raise_file_limit(limits: Limits) -> None:
    """As many open files as the connections need, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _loops() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


def _fault(model: str, fault: str) -> dict[str, dict[str, str]]:
    return {"fields": {"model": model, "why": fault}}


def main() -> int:
    """Serve until asked to end; the exit status."""
    return run(decode(os.environ.pop(VARIABLE)))


if __name__ == "__main__":
    sys.exit(main())
