"""What a serving process takes from its clients.

Belongs here: the figures and what each is for. Does not: who holds to them (http.py, body.py,
protocol.py), and what a model may use (records.Allowance).
"""

from __future__ import annotations

from dataclasses import dataclass

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one serving process; sizes in bytes, times in seconds.

    Args:
        body: Of one request, as it comes and unpacked.
        bodies: Of all requests in hand together.
        head: Of one request's line and headers.
        rows: That one request may ask about.
        connections: At once; past it the one that was silent for longest is closed.
        head_seconds: From the first byte of a request, or from the connection's beginning, until
            its headers are there.
        body_seconds: From the headers until the body is there.
        idle_seconds: That a connection is kept between two requests.
        parting_seconds: That a silent connection is kept once the process ends.
        answer_seconds: That a client may take no bytes of an answer.
        linger_seconds: That a body which nobody wants is thrown away for before the connection is
            closed: a client that is still sending would otherwise never see the answer.
    """

    body: int = 16 * _MEBIBYTE
    bodies: int = 256 * _MEBIBYTE
    head: int = 32 * 1024
    rows: int = 100_000
    connections: int = 4_096
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    parting_seconds: float = 1.5
    answer_seconds: float = 30.0
    linger_seconds: float = 2.0
