"""One revision: its requests, and the life of its session.

The session is loaded when a plan or a request wants it, unloaded when idle, and freed when the
revision is retired and has no request left. The rules are those of admission.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fairlead.errors import Failed, FairleadError, NotLoaded, Overloaded, described
from fairlead.inference import Exported
from fairlead.serving.engine import admission
from fairlead.serving.engine.loader import Loader
from fairlead.serving.engine.threads import SerialExecutor
from fairlead.serving.plan import Held

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_FAULT = 500  # letters


class LoadedRevision:
    """A revision in one serving process. Everything here happens on the event loop.

    Args:
        held: The revision.
        loader: Loads and frees its session.
        executor: Does the parts of its large requests.
        changed: Called when it has loaded, failed to, or has gone.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        held: Held,
        *,
        loader: Loader,
        executor: SerialExecutor,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.held = held
        self.loadable = False  # it was loaded once, so that it can be again
        self.fault: str | None = None  # why it is not loaded
        self.load_seconds: float | None = None  # that its last loading took
        self._loader, self._executor, self._changed, self._clock = loader, executor, changed, clock
        self._exported: Exported | None = None
        self._in_hand = self._waiting = 0
        self._used = clock()
        self._wanted = self._retired = False
        self._loading: asyncio.Task[None] | None = None
        self._came, self._asked = asyncio.Event(), asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None

    @property
    def loaded(self) -> bool:
        """Whether it would answer a request at once."""
        return self._exported is not None

    @property
    def in_hand(self) -> int:
        """Requests that it answers or holds."""
        return self._in_hand

    @property
    def depth(self) -> int:
        """Requests that wait until it is loaded."""
        return self._waiting

    @property
    def retired(self) -> bool:
        """Whether it only answers what is in hand."""
        return self._retired

    @property
    def gone(self) -> bool:
        """Whether it is retired, and neither answers nor holds anything any more."""
        busy = self._in_hand or self._loading or self._exported
        return self._retired and not busy

    async def predict(self, inputs: dict[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        """Predictions, float64 [rows], or probabilities, float32 [rows, classes].

        A revision that is not loaded loads for the request; one that is retired still answers it.

        Args:
            inputs: As `records.Signature` describes them.
            rows: How many there are.

        Raises:
            Overloaded: It has as many requests as it may have.
            NotLoaded: It did not load by the deadline, or too many wait for that already.
            Failed: The model raised an error.
        """
        self._admit()
        self._in_hand += 1
        try:
            exported = self._exported or await self._arrival()
            return await self._answer(exported, inputs, rows)
        finally:
            self._in_hand -= 1
            self._used = self._clock()
            self._rest()

    def want(self) -> None:
        """Load it before it is asked, and try until it has loaded once."""
        self._wanted, self._retired = True, False
        if not self.loadable:
            self._load()

    def retire(self) -> None:
        """Answer what is in hand, then free the session."""
        self._wanted, self._retired = False, True
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._asked.set()  # a load that pauses looks up
        self._rest()

    def close(self) -> None:
        """Stop whatever goes on by itself."""
        for ongoing in (self._loading, self._idle):
            if ongoing is not None:
                ongoing.cancel()

    # ---- requests ---------------------------------------------------------------------------

    def _admit(self) -> None:
        allowance = self.held.allowance
        match admission.refusal(
            in_hand=self._in_hand, waiting=self._waiting, loaded=self.loaded, allowance=allowance
        ):
            case "too many at once":
                raise Overloaded(
                    f"{self._name} has {self._in_hand} requests in hand, as many as it may have in "
                    "one process; try again, or raise serve.max_concurrency"
                )
            case "queue full":
                raise NotLoaded(
                    f"{self._name} is being loaded, and {self._waiting} requests wait for it, as "
                    f"many as may; try again{self._because}"
                )

    async def _arrival(self) -> Exported:
        """The session, once it is there."""
        self._waiting += 1
        if self._waiting == 1:
            self._asked.set()
        self._load()
        try:
            async with asyncio.timeout(self.held.allowance.deadline):
                await self._came.wait()
        except TimeoutError:
            raise NotLoaded(
                f"{self._name} was not loaded within {self.held.allowance.deadline:g} s; try again"
                f"{self._because}"
            ) from None
        finally:
            self._waiting -= 1
        assert self._exported is not None  # it is not freed while a request is in hand
        return self._exported

    async def _answer(
        self, exported: Exported, inputs: dict[str, NDArray[Any]], rows: int
    ) -> NDArray[Any]:
        size = admission.rows_at_once(rows, self.held.facts.seconds)
        try:
            if size is None:
                return exported.ask(inputs, rows)
            return await self._in_parts(exported, inputs, rows, size)
        except FairleadError:
            raise
        except Exception as error:
            said = described(error)[:_LONGEST_FAULT]
            raise Failed(f"{self._name} failed to predict: {said}") from error

    async def _in_parts(
        self, exported: Exported, inputs: dict[str, NDArray[Any]], rows: int, size: int
    ) -> NDArray[Any]:
        """One part after the other, behind those of other requests that were there before."""
        import numpy as np

        parts = []
        for start in range(0, rows, size):
            part = {name: values[start : start + size] for name, values in inputs.items()}
            count = min(size, rows - start)
            parts.append(await self._executor.run(partial(exported.ask, part, count)))
        return np.concatenate(parts)

    @property
    def _name(self) -> str:
        return f"model {self.held.model!r} revision {self.held.revision!r}"

    @property
    def _because(self) -> str:
        return f" ({self.fault})" if self.fault else ""

    # ---- the session ------------------------------------------------------------------------

    def _load(self) -> None:
        if self._loading is None and not self.loaded:
            self._loading = asyncio.create_task(self._try_to_load())

    async def _try_to_load(self) -> None:
        """One load after another, until one succeeds or nobody is there for whom it would."""
        failures = 0
        while not await self._loaded_now():
            failures += 1
            await self._pause(failures)
            if not (self._waiting or self._wanted):
                break
        self._loading = None
        self._rest()
        self._changed()

    async def _loaded_now(self) -> bool:
        began = self._clock()
        try:
            self._exported = await self._loader.load(self.held, slow=self._is_slow)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported and tried again
            self._fail(described(error)[:_LONGEST_FAULT])
            return False
        self.loadable, self.fault = True, None
        self.load_seconds = self._clock() - began
        self._used = self._clock()
        self._came.set()
        return True

    def _is_slow(self) -> None:
        self._fail(
            f"loading it takes longer than {admission.slow_after(self.held.facts.size):.0f} s"
        )

    def _fail(self, fault: str) -> None:
        self.fault = fault
        self._changed()

    async def _pause(self, failures: int) -> None:
        """Wait before the next try; the first request that comes meanwhile does not."""
        self._asked.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(admission.pause(failures, asked=self._waiting > 0)):
                await self._asked.wait()

    def _rest(self) -> None:
        """Nothing more is asked for now: see whether the session stays."""
        if self._retired:
            if not (self._in_hand or self._loading):
                self._unload()
        elif self._idle is None and self.loaded and self.held.allowance.idle_after is not None:
            self._look_again()

    def _look_again(self) -> None:
        """Unload if it is time; else come back when it may be."""
        self._idle = None
        seconds = admission.unload_in(
            now=self._clock(),
            used=self._used,
            in_hand=self._in_hand,
            idle_after=self.held.allowance.idle_after,
        )
        if seconds == 0:
            self._unload()
        elif seconds is not None:
            self._idle = asyncio.get_running_loop().call_later(seconds, self._look_again)

    def _unload(self) -> None:
        if self._exported is not None:
            last, self._exported = [self._exported], None
            self._came.clear()
            self._loader.free(last)
        self._changed()
