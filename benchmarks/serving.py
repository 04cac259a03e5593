"""Fairlead's server against its peers, side by side.

    .venv/bin/python benchmarks/serving.py --setup PEERS
    .venv/bin/python benchmarks/serving.py PEERS [--rounds 3] [--seconds 5] [--only NAME ...]

The first makes each peer's virtual environment in the folder PEERS, from its locked packages. The
second trains one forest, starts one server after the other in turn, checks that it predicts what
scikit-learn predicts, and measures: 1 and 64 rows, over 1 and 16 kept connections, as fast as they
are answered (wrk); then 1 row at half of that rate, at random times. Figures are medians of the
rounds, ratios the medians of the rounds' ratios. Nothing else should run meanwhile.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from serving_forest import Forest, made
from serving_load import Request, full, paced
from serving_peers import Server, servers, set_up
from serving_servers import Running, asked, running
from serving_tables import LOADS, TOP, Measured, Results, report

_PORT = 18080
_APART = 10  # between two servers' ports: a server may take some beside its own
_NEAR = 1e-5  # relative: float32 has 24 bits, and the sums are in another order


@click.command()
@click.argument("peers", type=click.Path(file_okay=False, path_type=Path))
@click.option("--setup", is_flag=True, help="Make the peers' virtual environments.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seconds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="Only servers with this in their name.")
def main(*, peers: Path, setup: bool, rounds: int, seconds: int, only: Sequence[str]) -> None:
    """Measure the servers whose environments are in PEERS."""
    if setup:
        set_up(peers.resolve())
        return
    with tempfile.TemporaryDirectory() as folder:
        forest = made(Path(folder))
        chosen = [server for server in servers(forest) if _is_chosen(server, only)]
        bench = Bench(peers=peers.resolve(), folder=Path(folder), forest=forest, seconds=seconds)
        report(bench.rounds(chosen, rounds))


def _is_chosen(server: Server, only: Sequence[str]) -> bool:
    return not only or any(part.lower() in server.name.lower() for part in only)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """How servers are measured.

    Args:
        peers: Folder of the virtual environments.
        folder: For what the servers write.
        forest: What they serve.
        seconds: That each load lasts.
    """

    peers: Path
    folder: Path
    forest: Forest
    seconds: int

    def rounds(self, chosen: Sequence[Server], rounds: int) -> Results:
        """Each server once a round, in turn."""
        results: dict[str, list[Measured]] = {server.name: [] for server in chosen}
        for server in chosen:
            self._place(server).mkdir()
            server.prepare(self._programs(server), self._place(server))
        for number in range(rounds):
            for index, server in enumerate(chosen):
                port = _PORT + _APART * (len(chosen) * number + index)
                results[server.name].append(self._measured(server, port))
                click.echo(f"round {number + 1}: {server.name}: {_brief(results[server.name][-1])}")
        return results

    def _measured(self, server: Server, port: int) -> Measured:
        place = self._place(server)
        requests = {count: self._request(server, port, count) for count in (1, 64)}
        command = server.command(self._programs(server), port, place)
        environ = {**server.environ, "PATH": f"{self._programs(server)}:{os.environ['PATH']}"}
        with running(command, requests[1], environ=environ, log=place / "log.txt") as alive:
            self._check(server, requests)
            return self._loaded(alive, requests)

    def _loaded(self, alive: Running, requests: Mapping[int, Request]) -> Measured:
        full(requests[1], connections=16, seconds=1)  # the first requests are slower
        top = {
            (rows, connections): full(requests[rows], connections=connections, seconds=self.seconds)
            for rows, connections in LOADS
        }
        half = paced(requests[1], rate=top[TOP].rate / 2, connections=16, seconds=self.seconds)
        return Measured(
            started=alive.seconds,
            resident=alive.resident(),
            own=alive.own(),
            top=top,
            half=half,
        )

    def _check(self, server: Server, requests: Mapping[int, Request]) -> None:
        """It predicts what scikit-learn predicts, as nearly as float32 can.

        Raises:
            RuntimeError: It does not.
        """
        for count, request in requests.items():
            status, document = asked(request)
            if status != 200:
                raise RuntimeError(f"{server.name} answers {status}: {document!r}")
            _compare(server, server.answer(document), self.forest.expected[:count])

    def _request(self, server: Server, port: int, count: int) -> Request:
        body = json.dumps(server.body(self.forest.rows[:count])).encode()
        return Request(port=port, path=server.path, body=body)

    def _programs(self, server: Server) -> Path:
        return self.peers / (server.environment or "") / "bin"

    def _place(self, server: Server) -> Path:
        return self.folder / server.name.replace(" ", "-").replace(",", "")


def _compare(server: Server, predicted: Sequence[float], expected: Sequence[float]) -> None:
    for row, (got, wanted) in enumerate(zip(predicted, expected, strict=True)):
        if abs(got - wanted) > _NEAR * abs(wanted):
            raise RuntimeError(f"{server.name}, row {row}: {got!r}, but scikit-learn {wanted!r}")


def _brief(one: Measured) -> str:
    rates = " ".join(f"{figures.rate:.0f}" for figures in one.top.values())
    return f"{rates} requests/s, started in {one.started:.1f} s"


if __name__ == "__main__":
    main()
