"""Who sleeps is woken at once by what waits at a gateway."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fairlead.operator.gateway_watch import GatewayWatch
from tests.integration.server.rig import MODEL
from tests.integration.server.test_gateway import gateway, predicted
from tests.support.ports import free_ports


def test_a_request_that_waits_wakes_whom_it_is_for_and_nobody_else(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with gateway(tmp_path, port, "--seconds", "4") as url, ThreadPoolExecutor(1) as clients:
        woken, other = asyncio.run(_waited(url, clients))
    assert woken < 60.0
    assert other


async def _waited(url: str, clients: ThreadPoolExecutor) -> tuple[float, bool]:
    """Seconds until the wait for the model is over; and whether another one's goes on then."""
    watch, began = GatewayWatch(gateway=url), time.monotonic()
    other = asyncio.create_task(watch.wait("another", 600.0))
    model = asyncio.create_task(watch.wait(MODEL, 600.0))
    await asyncio.sleep(0)
    clients.submit(predicted, url, 1.0)
    await asyncio.wait_for(model, 60.0)
    still = not other.done()
    other.cancel()
    await watch.stop()
    return time.monotonic() - began, still


def test_without_a_gateway_the_wait_ends_by_itself() -> None:
    async def waited() -> None:
        watch = GatewayWatch(gateway="http://127.0.0.1:9")
        await asyncio.wait_for(watch.wait(MODEL, 0.5), 60.0)
        await watch.stop()

    asyncio.run(waited())
