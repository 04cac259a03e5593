"""Fairlead's server against its peers, side by side.

    .venv/bin/python benchmarks/serving.py --setup PEERS
    .venv/bin/python benchmarks/serving.py PEERS [--rounds 5] [--seconds 3] [--tries 1]

The first makes each peer's virtual environment in the folder PEERS, from its locked packages. The
second trains one forest and in each round starts every server, checks that it predicts what
scikit-learn predicts, and asks one after the other: 1 and 64 rows, over 1 and 16 kept connections,
as fast as they are answered (wrk); then 1 row at half of that rate, at random times. Figures are
medians of the rounds, ratios the medians of the rounds' ratios. The processor's time that an answer
takes, of all processes of a server, is what depends least on what else the machine does; how many
processors others took meanwhile stands beside it, and with --tries a load is measured again, up to
so many times, until that is less than a tenth of one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
from environments import set_up
from serving_forest import Forest, made
from serving_load import Figures, Request, full, paced
from serving_peers import PEERS, Server, servers
from serving_quiet import Quietly
from serving_servers import Running, asked, running
from serving_tables import LOADS, TOP, Load, Measured, Results, report

_PORT = 18080
_APART = 10  # between two servers' ports: a server may take some beside its own
_NEAR = 1e-5  # relative: float32 has 24 bits, and the sums are in another order


@click.command()
@click.argument("peers", type=click.Path(file_okay=False, path_type=Path))
@click.option("--setup", is_flag=True, help="Make the peers' virtual environments.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seconds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--tries", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="Only servers with this in their name.")
def main(  # noqa: PLR0913 - each is an option
    *, peers: Path, setup: bool, rounds: int, seconds: int, tries: int, only: Sequence[str]
) -> None:
    """Measure the servers whose environments are in PEERS."""
    if setup:
        set_up(peers.resolve(), PEERS)
        return
    with tempfile.TemporaryDirectory() as folder:
        forest = made(Path(folder))
        chosen = [server for server in servers(forest) if _is_chosen(server, only)]
        bench = Bench(
            peers=peers.resolve(),
            folder=Path(folder),
            forest=forest,
            seconds=seconds,
            tries=tries,
        )
        report(bench.rounds(chosen, rounds))


def _is_chosen(server: Server, only: Sequence[str]) -> bool:
    return not only or any(part.lower() in server.name.lower() for part in only)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A server that runs, and what it is asked, by the number of rows."""

    server: Server
    alive: Running
    requests: Mapping[int, Request]

    def top(self, load: tuple[int, int], seconds: float) -> tuple[Figures, float]:
        """As fast as it answers."""
        rows, connections = load
        request = self.requests[rows]
        return self._worked(lambda: full(request, connections=connections, seconds=seconds))

    def paced(self, rate: float, seconds: float) -> tuple[Figures, float]:
        """1 row at this rate, over 16 connections."""
        return self._worked(
            lambda: paced(self.requests[1], rate=rate, connections=16, seconds=seconds)
        )

    def _worked(self, measure: Callable[[], Figures]) -> tuple[Figures, float]:
        """What was measured, and the seconds of the processor that each answer took."""
        before = self.alive.worked()
        figures = measure()
        return figures, (self.alive.worked() - before) / max(1, figures.answers)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """How servers are measured.

    Args:
        peers: Folder of the virtual environments.
        folder: For what the servers write.
        forest: What they serve.
        seconds: That each load lasts.
        tries: Of each load, until other programs take little meanwhile.
    """

    peers: Path
    folder: Path
    forest: Forest
    seconds: int
    tries: int

    def rounds(self, chosen: Sequence[Server], rounds: int) -> Results:
        """All that was measured, by the server's name."""
        for server in chosen:
            self._place(server).mkdir()
            server.prepare(self._programs(server), self._place(server))
        results: dict[str, list[Measured]] = {server.name: [] for server in chosen}
        for number in range(rounds):
            for name, measured in self._round(chosen).items():
                results[name].append(measured)
                click.echo(f"round {number + 1}: {name}: {_brief(measured)}")
        return results

    def _round(self, chosen: Sequence[Server]) -> Mapping[str, Measured]:
        """Every server runs; each load goes to one after the other.

        So what two servers are asked lies seconds apart, whatever else the machine does.
        """
        with ExitStack() as stack:
            there = [self._started(stack, *numbered) for numbered in enumerate(chosen)]
            quietly = Quietly(
                tries=self.tries, ours=lambda: sum(one.alive.worked() for one in there)
            )
            for one in there:
                one.top((1, 16), 1)  # the first requests are slower
            tops = {load: [self._top(one, load, quietly) for one in there] for load in LOADS}
            halves = [
                self._half(one, top.figures.rate / 2, quietly)
                for one, top in zip(there, tops[TOP], strict=True)
            ]
            return {
                one.server.name: Measured(
                    started=one.alive.seconds,
                    resident=one.alive.resident(),
                    own=one.alive.own(),
                    top={load: loads[place] for load, loads in tops.items()},
                    half=halves[place],
                )
                for place, one in enumerate(there)
            }

    def _top(self, one: Contender, load: tuple[int, int], quietly: Quietly) -> Load:
        """As fast as it answers."""
        taken = quietly.measure(lambda: one.top(load, self.seconds))
        figures, cpu = taken.value
        return Load(figures=figures, cpu=cpu, others=taken.others)

    def _half(self, one: Contender, rate: float, quietly: Quietly) -> Load:
        """At this rate."""
        taken = quietly.measure(lambda: one.paced(rate, self.seconds))
        figures, cpu = taken.value
        return Load(figures=figures, cpu=cpu, others=taken.others)

    def _started(self, stack: ExitStack, place: int, server: Server) -> Contender:
        port = _PORT + _APART * place
        folder = self._place(server)
        requests = {count: self._request(server, port, count) for count in (1, 64)}
        command = server.command(self._programs(server), port, folder)
        environ = {**server.environ, "PATH": f"{self._programs(server)}:{os.environ['PATH']}"}
        alive = stack.enter_context(
            running(command, requests[1], environ=environ, log=folder / "log.txt")
        )
        self._check(server, requests)
        return Contender(server=server, alive=alive, requests=requests)

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
    rates = " ".join(f"{load.figures.rate:.0f}" for load in one.top.values())
    others = " ".join(f"{load.others:.2f}" for load in (*one.top.values(), one.half))
    return f"{rates} requests/s, started in {one.started:.1f} s; others took {others} processors"


if __name__ == "__main__":
    main()
