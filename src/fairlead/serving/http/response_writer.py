"""One request over a connection, and its answer.

Belongs here: what ASGI has no message for. Does not: connections (connection.py), and what is
answered (app.py).

In ASGI an answer's head and its body are two messages, and uvicorn writes each as it comes: two
packets, for which the client wakes up twice. Here they are one write.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from fairlead.serving.http.response import CLOSE, Answer, Headers, written

RESPONSE_WRITER = "fairlead.exchange"  # the extension of ASGI that an `ResponseWriter` is


class ResponseWriter:
    """One request and its answer.

    Args:
        cycle: uvicorn's, which reads the body.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def whole(self) -> bool:
        """Whether all of the request is there."""
        return not self._cycle.more_body

    async def answer(self, answer: Answer, more: Headers, *, last: bool) -> None:
        """Write it, unless the client is gone; `end` once nothing more is read.

        Args:
            answer: To the request.
            more: Headers beside its own.
            last: Whether the connection is closed behind it.
        """
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        cycle.keep_alive = cycle.keep_alive and not last
        headers = (*cycle.default_headers, *answer.headers, *more)
        if not cycle.keep_alive and CLOSE not in answer.headers:
            headers = (*headers, CLOSE)
        cycle.transport.write(written(answer, headers, head_only=cycle.scope["method"] == "HEAD"))

    def end(self) -> None:
        """The request is done with."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
