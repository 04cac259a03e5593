"""Who a serving program lets in, as its file of tokens changes.

Belongs here: following that file. Does not: the file (tokens.py), telling processes
(process_pool.py), and looking at requests (serving/http/guard.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairlead.errors import Corrupt
from fairlead.server import tokens as kept
from fairlead.server.events import News, Note, Warned


def admitted(known: tuple[str, ...], *, own: str, private: bool) -> tuple[str, ...]:
    """The tokens that a server lets in.

    Args:
        known: Hashes of those of the installation.
        own: Of the server's own, which nobody else has.
        private: Whether only this machine can reach the server.

    Returns:
        None at all where everybody on this machine is let in; the server's own alone where there
        is no other and others could reach it.
    """
    return () if private and not known else (*known, own)


class Porter:
    """Knows who is let in.

    Args:
        own: Hash of the server's own token.
        private: Whether only this machine can reach the server.
        tokens: Hashes of those that are let in at first.
        told: Told of what changes.
    """

    def __init__(
        self, *, own: str, private: bool, tokens: tuple[str, ...], told: Callable[[News], None]
    ) -> None:
        self._own, self._private, self._told = own, private, told
        self._known = tokens
        self._fault = ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that processes are to let in, as `admitted`."""
        return admitted(self._known, own=self._own, private=self._private)

    def look(self, file: Path) -> None:
        """Take in what the file says by now; where it cannot be read, all stays as it is."""
        try:
            known = tuple(each.sha256 for each in kept.known(file))
        except Corrupt as error:
            self._bear(str(error))
            return
        self._fault = ""
        if known != self._known:
            self._known = known
            self._told(_change(len(known), private=self._private))

    def _bear(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            self._told(Warned(text=f"{fault}; the server lets in whom it let in before"))


def _change(count: int, *, private: bool) -> News:
    if count:
        return Note(text=f"tokens changed: {count} let in from now on, and nobody without one")
    if private:
        return Note(text="the last token was removed: everybody on this machine is let in")
    return Warned(
        text="the last token was removed, and others can reach this server: nobody is let in until "
        "`fairlead token add NAME` makes one"
    )
