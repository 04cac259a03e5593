"""Machines of a network, each a network namespace with an address of its own, and links to cut.

All links end at a switch, a bridge in a namespace of its own. A link that is cut loses what is sent
over it, both ways, and nobody is told: no connection is closed or refused. It needs iproute2, and
root (sudo will do); files are those of the whole machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

from tests.lacking import lacking

ROOT = [] if os.geteuid() == 0 else ["sudo", "-n", "-E"]
NETWORK = "10.213.77"
_SELF = [f"--reuid={os.geteuid()}", f"--regid={os.getegid()}", "--init-groups"]


class Machine:
    """A network namespace.

    Args:
        name: Of at most 8 characters.
        namespace: The whole name.
        address: Of its link.
    """

    def __init__(self, name: str, namespace: str, address: str) -> None:
        self.name = name
        self.namespace = namespace
        self.address = address

    @property
    def enter(self) -> list[str]:
        """What starts a program there, as whoever runs the test."""
        return [*ROOT, "ip", "netns", "exec", self.namespace, "setpriv", *_SELF]


class Network:
    """Machines and the switch between them."""

    def __init__(self) -> None:
        self._prefix = f"fl{os.getpid()}-"
        self._switch = f"{self._prefix}switch"
        self._machines: list[Machine] = []

    def open(self) -> None:
        """Make the switch; skips the test where that is not possible."""
        if not all(map(shutil.which, ("ip", "setpriv"))):
            lacking("ip (the package iproute2) or setpriv is missing")
        made = subprocess.run(
            [*ROOT, "ip", "netns", "add", self._switch], capture_output=True, check=False
        )
        if made.returncode:
            lacking(f"no network namespace can be made: {made.stderr.decode().strip()}")
        self._in_switch("link add br0 type bridge")
        self._in_switch("link set br0 up")

    def machine(self, name: str) -> Machine:
        """One more machine."""
        number = len(self._machines) + 1
        machine = Machine(name, f"{self._prefix}{name}", f"{NETWORK}.{number}")
        _ip("netns", "add", machine.namespace)
        self._machines.append(machine)
        peer = f"peer name eth0 netns {machine.namespace}"
        self._in_switch(f"link add {name} type veth {peer}")
        self.mend(machine)
        self._in_switch(f"link set {name} up")
        for words in (f"addr add {machine.address}/24 dev eth0", "link set eth0 up"):
            _ip("-n", machine.namespace, *words.split())
        _ip("-n", machine.namespace, "link", "set", "lo", "up")
        return machine

    def cut(self, machine: Machine) -> None:
        """Lose all that comes from there and goes there."""
        self._in_switch(f"link set {machine.name} nomaster")

    def mend(self, machine: Machine) -> None:
        self._in_switch(f"link set {machine.name} master br0")

    def close(self) -> None:
        """End what runs on the machines, and remove them."""
        for namespace in (*(each.namespace for each in self._machines), self._switch):
            left = subprocess.run(
                [*ROOT, "ip", "netns", "pids", namespace], capture_output=True, check=False
            ).stdout.split()
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            _ip("netns", "del", namespace)

    def _in_switch(self, words: str) -> None:
        _ip("-n", self._switch, *words.split())


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network without machines."""
    made = Network()
    made.open()
    try:
        yield made
    finally:
        made.close()


def _ip(*words: str) -> None:
    subprocess.run([*ROOT, "ip", *words], check=True, capture_output=True)
