"""A server that is used as an engine: asked while it works, left alone while it does not."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import structlog
import trio

from voiced.engines.http.circuit import Circuit
from voiced.engines.http.keys import check_address, name_of, read_key
from voiced.engines.http.peer import CONNECTIONS, open_peer
from voiced.engines.record import Record
from voiced.errors import EngineBusy, EngineUnavailable, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from voiced.engines.http.peer import Peer
    from voiced.engines.ports import Kind, Priority
    from voiced.engines.record import Stage
    from voiced.settings import Provider as ProviderSettings

CHECK_S = 30.0
"""How often a server that failed is looked at; also how long an open circuit stays open."""


class Attempt:
    """One request that is being made. It is timed by what was waited for the server."""

    def __init__(self, provider: Provider, priority: Priority) -> None:
        self._provider = provider
        self._priority = priority
        self._begun = False
        self.deadlines = provider.peer.deadlines()
        self.settled = False

    def begun(self) -> None:
        """The first text or sound is there; called for all that follows, too."""
        self.deadlines.begun()
        if not self._begun:
            self._begun = True
            self._time("first_part")

    def succeeded(self) -> None:
        """The whole answer is there."""
        self.settled = True
        self._time("whole")
        self._provider.note_success()

    def _time(self, stage: Stage) -> None:
        self._provider.record.timings.add(stage, self._priority, self.deadlines.waited_s)


class Provider:
    """One server for one kind of work, and how it does. Made by `open_provider`."""

    def __init__(self, kind: Kind, settings: ProviderSettings, peer: Peer) -> None:
        self.kind = kind
        self.name = name_of(settings)
        self.settings = settings
        self.peer = peer
        self.circuit = Circuit(clock=trio.current_time, open_s=CHECK_S)
        self.record = Record(trio.current_time)
        self._running = 0
        self._trouble = ""
        self._look_refutes = True
        """Whether the trouble is over once a look at the server finds nothing amiss. What it does
        with a request shows in none: its list of models may be there, and its model not."""
        self._failed = trio.Event()
        #: Called when it begins or ceases to fail, and when it fails again; must neither wait nor
        #: raise.
        self.on_change: Callable[[], None] = lambda: None
        self._log = structlog.get_logger(__name__).bind(engine=f"{kind}.{self.name}")

    @property
    def usable(self) -> bool:
        """Whether a request would be tried now."""
        return self.circuit.passes

    @property
    def trusted(self) -> bool:
        """Whether it is asked in its turn, and not behind those that work."""
        return self.circuit.trusted

    @property
    def running(self) -> int:
        """Requests that are being made."""
        return self._running

    @property
    def most_running(self) -> int:
        """Requests that may be made at once."""
        return CONNECTIONS

    @property
    def trouble(self) -> str:
        """Why the last request failed, in words for the operator; "" where it did not."""
        return self._trouble

    @contextmanager
    def attempt(self, priority: Priority) -> Iterator[Attempt]:
        """Around one request; its outcome decides whether there will be others.

        Raises `EngineUnavailable` while the circuit is open, and `EngineBusy`.
        """
        if self._running >= CONNECTIONS:
            busy = EngineBusy(f"{self.name} has {CONNECTIONS} requests already")
            self.record.note_failure(busy)
            raise busy
        if not self.circuit.admit():
            raise EngineUnavailable(f"{self.name} failed several times and is left alone")
        attempt = Attempt(self, priority)
        self._running += 1
        try:
            yield attempt
        except ProviderFailed as error:
            if not attempt.settled and error.counts:
                attempt.settled = True
                self.note_failure(error, look_refutes=error.unreached)
            elif not attempt.settled:
                self._log.info("provider declined a request", reason=str(error))
                self.record.failures[error.code] += 1
            raise
        finally:
            self._running -= 1
            if not attempt.settled:
                self.circuit.released()

    def note_success(self) -> None:
        """It works."""
        self._tell_recovery()
        self.circuit.succeeded()

    def _tell_recovery(self) -> None:
        if self._trouble:
            self._log.info("provider works again")
            self._trouble = ""
            self.on_change()

    def note_failure(self, error: ProviderFailed, *, look_refutes: bool) -> None:
        """It does not."""
        self._look_refutes = look_refutes
        self.circuit.failed(error.pause_s)
        self._trouble = str(error)
        self.record.failures[error.code] += 1
        self.record.warn(error.code, self._trouble)
        self._log.warning(
            "provider failed",
            reason=self._trouble,
            failures=self.circuit.failures_in_a_row,
            circuit=self.circuit.state,
            paused_s=round(self.circuit.opens_in_s, 1),
        )
        self.on_change()
        self._failed.set()

    async def watch(self) -> None:
        """Look at the server now, and from then on while it does not work, until cancelled.

        While it works nobody looks: requests tell. A server that could not be reached is tried
        by a look, so that nobody's words are spent on finding out; one that took a request and
        failed, by the next request that may be.
        """
        while True:
            await self._look()
            while not self._trouble:
                self._failed = trio.Event()
                await self._failed.wait()
            await trio.sleep(max(CHECK_S, self.circuit.opens_in_s))

    async def _look(self) -> None:
        if not self.circuit.admit():
            return
        failures = self.circuit.failures_in_a_row
        try:
            await self.peer.check()
        except ProviderFailed as error:
            self.note_failure(error, look_refutes=self._look_refutes or not self._trouble)
        except BaseException:
            self.circuit.released()
            raise
        else:
            newer = self.circuit.failures_in_a_row > failures
            if newer or not self._look_refutes:
                self.circuit.released()  # what a request has found out counts
                return
            self._tell_recovery()
            self.circuit.recovered()


@asynccontextmanager
async def open_provider(
    kind: Kind, settings: ProviderSettings, where: str
) -> AsyncIterator[Provider]:
    """A provider with its connections and the task that watches it.

    `where` names it in the settings. Raises `SettingsError`; a server that is not there is no
    error. Leaving the context ends its requests and connections.
    """
    check_address(settings, where)
    async with open_peer(settings, read_key(settings, where)) as peer:
        provider = Provider(kind, settings, peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(provider.watch)
            yield provider
            nursery.cancel_scope.cancel(reason="the daemon stops")
