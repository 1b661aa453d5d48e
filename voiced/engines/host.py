"""The owner of one engine's process: starts it, feeds it, watches it, replaces it, ends it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from voiced.engines.keeper import Keeper, State
from voiced.engines.owner import request_owner
from voiced.engines.ports import EngineInfo, Priority
from voiced.engines.spec import LABELS, EngineSpec, HostPolicy
from voiced.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from voiced.engines.breaker import CircuitState
    from voiced.engines.call import Call, Merge
    from voiced.engines.record import EngineWarning, Timings


MAX_PARTS = 512
"""Parts kept for an owner who does not read them; one more fails that call alone."""


class EngineHost:
    """Runs an engine in a child process for as long as `serve` runs, and takes requests for it.

    Everything here belongs to the Trio thread, which must be the thread that outlives the
    child: see `ChildProcess`.
    """

    def __init__(
        self,
        spec: EngineSpec,
        policy: HostPolicy | None = None,
        *,
        on_alive: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_alive` is called for every sign of life: an answer of the child, and, while there
        is no child to answer, each turn of the host that sees to a new one."""
        self.spec = spec
        self._policy = policy or HostPolicy()
        self._keeper = Keeper(spec, self._policy, on_alive)

    async def serve(
        self, *, task_status: trio.TaskStatus[EngineInfo] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the engine until cancelled; started once it is loaded and warm.

        Raises `ModelError` or `SettingsError`, one line naming engine and cause, if it does
        not become ready the first time; later failures are restarted. Cancelling ends the
        child within `stop_s`, SIGKILL included, and fails what was asked of it.
        """
        await self._keeper.serve(task_status=task_status)

    # -- what can be asked

    @property
    def info(self) -> EngineInfo:
        """What the engine declares. Raises `EngineUnavailable` before it was first ready."""
        if self._keeper.info is None:
            raise EngineUnavailable(f"{LABELS[self.spec.kind]} is not ready yet")
        return self._keeper.info

    @property
    def state(self) -> State:
        """starting, ready, restarting (also while waiting to), open (circuit), stopped."""
        return self._keeper.state

    @property
    def restarts(self) -> int:
        """How often the process has been replaced."""
        return self._keeper.restarts

    @property
    def circuit(self) -> CircuitState:
        """Whether the process is started again after its failures; as of a server's `Circuit`."""
        return self._keeper.circuit

    @property
    def failures_in_a_row(self) -> int:
        """How often the process failed since it last did what was asked."""
        return self._keeper.failures_in_a_row

    @property
    def starts_in_s(self) -> float:
        """Seconds until it is started again; 0 where there is nothing to wait for."""
        return self._keeper.starts_in_s

    @property
    def queue_depth(self) -> int:
        """Requests that wait for a slot."""
        return self._keeper.dispatcher.waiting

    @property
    def queue_limit(self) -> int:
        """Requests that may wait; one more is refused."""
        return self._policy.queue_size

    @property
    def running(self) -> int:
        """Requests that are being worked on."""
        return self._keeper.dispatcher.running

    @property
    def free_slots(self) -> int:
        """How many requests would start at once."""
        return self._keeper.dispatcher.free_slots

    @property
    def timings(self) -> Timings:
        """How long requests took, since this host began."""
        return self._keeper.dispatcher.record.timings

    @property
    def warnings(self) -> tuple[EngineWarning, ...]:
        """What went wrong lately, oldest first."""
        return self._keeper.dispatcher.record.warnings

    @property
    def failures(self) -> Mapping[str, int]:
        """Requests that failed, by the code of their error."""
        return self._keeper.dispatcher.record.failures

    @property
    def stale_parts(self) -> int:
        """Parts that the child has sent for requests that were over; nobody has seen them."""
        return self._keeper.dispatcher.stale_parts

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        child = self._keeper.child
        return None if child is None else child.pid

    def subscribe(
        self, *, state: Callable[[State], None], warning: Callable[[str, str], None]
    ) -> None:
        """Have these called with each new `state`, and with the code and the words of each
        warning. One subscriber; what it does must neither wait nor raise."""
        self._keeper.on_state = state
        self._keeper.dispatcher.record.on_warning = warning

    async def wait_change(self) -> State:
        """Wait for the next change of `state`; returns the new one."""
        await self._keeper.wait_change()
        return self._keeper.state

    # -- requests

    def hold_off(self, reason: str | None) -> int:
        """Work for conversations alone: everything else that waits or runs fails with `TooHot`,
        and is refused with it until this is called with None. Never waits.

        `reason` is a sentence for whoever asked. Returns how many requests that ended.
        """
        return self._keeper.dispatcher.hold_off(reason)

    def submit(
        self,
        op: str,
        params: Mapping[str, Any],
        priority: Priority = Priority.CONVERSATION,
        *,
        requeue: bool = False,
        merge: Merge | None = None,
        max_parts: int = MAX_PARTS,
        in_turn: bool = False,
    ) -> Call:
        """Take a request now; the caller must `close` it. See `request`.

        `in_turn`: it is part of a conversation that goes on, whatever its priority; see
        `hold_off`.
        """
        give_up_at = float("inf")
        if self._keeper.state != "ready":
            waits = priority is Priority.CONVERSATION and self._keeper.state in {
                "starting",
                "restarting",
            }
            if not waits:
                raise self._keeper.unavailable()
            give_up_at = trio.current_time() + self._policy.restart_wait_s
        return self._keeper.dispatcher.submit(
            op,
            params,
            priority,
            owner=request_owner.get(),
            requeue=requeue,
            merge=merge,
            max_parts=max_parts,
            in_turn=in_turn,
            give_up_at=give_up_at,
        )

    @asynccontextmanager
    async def request(
        self,
        op: str,
        params: Mapping[str, Any],
        priority: Priority = Priority.CONVERSATION,
        *,
        requeue: bool = False,
        merge: Merge | None = None,
        max_parts: int = MAX_PARTS,
    ) -> AsyncIterator[Call]:
        """A request for the time of the context; leaving it cancels what is not over.

        `requeue`: when displaced by a more urgent request before it has said anything, run it
        again later instead of failing with `EnginePreempted`; its audio is kept for that.
        Parts wait for their reader up to `max_parts`, then the call fails (nobody else waits
        for a slow reader); `merge` may join a new part with the last unread one.
        Requests of one owner (`request_owner`) take turns with those of others.
        Raises `EngineBusy` (queue full), `TooHot` (see `hold_off`) and `EngineUnavailable` (no
        engine, and this request does not wait for one); the call itself may raise these,
        `EngineCrashed`, `EnginePreempted` and `EngineFailed`.
        """
        call = self.submit(op, params, priority, requeue=requeue, merge=merge, max_parts=max_parts)
        try:
            yield call
        finally:
            call.close()
