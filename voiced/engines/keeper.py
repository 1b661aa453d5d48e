"""Keeps an engine's process alive: starts it, watches it, replaces it when it fails, ends it."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog
import trio

from voiced.engines import wire
from voiced.engines.breaker import Breaker
from voiced.engines.childlog import log_child_line
from voiced.engines.dispatch import Dispatcher
from voiced.engines.process import ChildProcess, child_environment
from voiced.engines.spec import LABELS, NICE, EngineSpec, HostPolicy
from voiced.engines.vigil import Vigil
from voiced.errors import EngineCrashed, EngineUnavailable, ModelError, SettingsError, VoicedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.breaker import CircuitState
    from voiced.engines.ports import EngineInfo


State = Literal["stopped", "starting", "ready", "restarting", "open"]


class _End(msgspec.Struct, frozen=True):
    """How a life of the child ended; `error` is set where it never became ready. `last_words` are
    what its libraries wrote, and for the log alone."""

    reason: str
    error: VoicedError | None = None
    last_words: str = ""

    @property
    def told(self) -> str:
        """Why, for somebody who does not see the log."""
        return self.error.public if self.error is not None else self.reason


class Keeper:
    """One engine, kept alive for as long as `serve` runs. The inner half of `EngineHost`."""

    def __init__(self, spec: EngineSpec, policy: HostPolicy, on_alive: Callable[[], None]) -> None:
        self._spec = spec
        self._policy = policy
        self._on_alive = on_alive
        self._log = structlog.get_logger(__name__).bind(engine=f"{spec.kind}.{spec.name}")
        self._label = LABELS[spec.kind]
        self._breaker = Breaker(
            first_s=policy.backoff_first_s,
            max_s=policy.backoff_max_s,
            failures=policy.failures,
            open_s=policy.open_s,
        )
        self._vigil = Vigil(policy)
        self._changed = trio.lowlevel.ParkingLot()
        self._next_look = 0.0
        self._next_start = 0.0
        self._look_now = trio.Event()
        self.dispatcher = Dispatcher(
            self._label,
            queue_size=policy.queue_size,
            grace_s=policy.grace_s,
            clock=trio.current_time,
            wake=self._wake_watch,
        )
        #: Called with each new `state`; must neither wait nor raise.
        self.on_state: Callable[[State], None] = lambda state: None
        self.state: State = "stopped"
        self.info: EngineInfo | None = None
        self.child: ChildProcess | None = None
        self.restarts = 0

    @property
    def circuit(self) -> CircuitState:
        """See `EngineHost.circuit`."""
        if self._breaker.is_open:
            return "open" if self.state == "open" else "trial"
        return "failing" if self._breaker.failures_in_a_row else "closed"

    @property
    def failures_in_a_row(self) -> int:
        """See `EngineHost.failures_in_a_row`."""
        return self._breaker.failures_in_a_row

    @property
    def starts_in_s(self) -> float:
        """See `EngineHost.starts_in_s`."""
        return max(0.0, self._next_start - trio.current_time())

    async def wait_change(self) -> None:
        """Wait for the next change of `state`."""
        await self._changed.park()

    async def serve(
        self, *, task_status: trio.TaskStatus[EngineInfo] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """See `EngineHost.serve`."""
        self._set_state("starting")
        failure: VoicedError | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                failure = await self._supervise(task_status)
                nursery.cancel_scope.cancel("the engine did not start")
        finally:
            self._set_state("stopped")
            self.dispatcher.limit_waiting(float("-inf"), self.unavailable())
        assert failure is not None
        raise failure

    async def _supervise(self, task_status: trio.TaskStatus[EngineInfo]) -> VoicedError:
        """Live after live, until cancelled; returns only why the first one never began."""
        while True:
            end = await self._live(task_status)
            if self.info is None:
                return end.error or ModelError(
                    f"{self._spec.kind}.{self._spec.name} ended while loading: "
                    f"{end.reason}{end.last_words}",
                    public=f"{self._label} cannot be started",
                )
            if self._vigil.served_for(trio.current_time()) > self._policy.open_s:
                self._breaker.succeeded()  # it worked for a while: not the same failure again
            pause_s = self._breaker.failed()
            self._next_start = trio.current_time() + pause_s
            self._set_state("open" if self._breaker.is_open else "restarting")
            self._log.warning(
                "engine ended",
                reason=str(end.error or end.reason + end.last_words),
                failures=self._breaker.failures_in_a_row,
                next_attempt_s=pause_s,
            )
            self.dispatcher.record.warn("engine_ended", end.told)
            wait_s = 0.0 if self._breaker.is_open else self._policy.restart_wait_s
            self.dispatcher.limit_waiting(trio.current_time() + wait_s, self.unavailable())
            self._wake_watch()
            await trio.sleep(pause_s)
            self.restarts += 1
            self._set_state("restarting")

    async def _live(self, task_status: trio.TaskStatus[EngineInfo]) -> _End:
        """One child from its start to its last file descriptor."""
        spec, policy = self._spec, self._policy
        command = [sys.executable, "-P", "-m", "voiced.engines.child", spec.kind, spec.name]
        try:
            start = wire.encode(
                wire.Start(target=spec.target, options=spec.options, nice=NICE[spec.kind])
            )
            child = ChildProcess(command, child_environment(os.environ, threads=spec.threads))
        except (OSError, wire.FrameError) as exc:
            return _End(f"it cannot be started: {exc}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.drain_stderr, partial(log_child_line, self._log))
            nursery.start_soon(child.write_forever)
            end: _End | None = None
            status: int | None = None
            try:
                self.child = child
                self._vigil.started(trio.current_time())
                self._wake_watch()
                child.send(start)
                end = await self._converse(child, task_status)
            finally:
                self.child = None
                stopping = end is None
                crash = "is being stopped" if stopping else "crashed during this request"
                self.dispatcher.detach(EngineCrashed(f"{self._label} {crash}"))
                status = await child.aclose(
                    goodbye=wire.encode(wire.Stop()), wait_s=policy.stop_s if stopping else 0.1
                )
                nursery.cancel_scope.cancel("the child has ended")
        if end.error is not None:
            return end
        reason = child.killed_because or end.reason or _describe(status)
        last = f"; its last words: {child.last_lines[-1]}" if child.last_lines else ""
        return _End(reason, last_words=last)

    async def _converse(
        self, child: ChildProcess, task_status: trio.TaskStatus[EngineInfo]
    ) -> _End:
        """Read the child's answers until they end."""
        reader = wire.host_reader()
        while data := await child.receive():
            try:
                messages = reader.feed(data)
            except wire.FrameError as exc:
                return _End(f"it sent what is no message: {exc}")
            self._vigil.heard(trio.current_time())
            for message in messages:
                if isinstance(message, wire.Part):
                    self.dispatcher.receive(message)
                elif isinstance(message, wire.Done | wire.Error | wire.Cancelled):
                    self._breaker.succeeded()
                    self.dispatcher.receive(message)
                elif isinstance(message, wire.Ready):
                    self._became_ready(child, message.info, task_status)
                elif isinstance(message, wire.Fail):
                    error = SettingsError if message.code == SettingsError.code else ModelError
                    public = f"{self._label} cannot be started"
                    return _End("it did not load", error(message.message, public=public))
            self._on_alive()
        return _End("")

    def _became_ready(
        self,
        child: ChildProcess,
        info: EngineInfo,
        task_status: trio.TaskStatus[EngineInfo],
    ) -> None:
        first, self.info = self.info is None, info
        load_ms = round(self._vigil.became_ready(trio.current_time()) * 1000)
        self._log.info("engine ready", pid=child.pid, model=info.model, load_ms=load_ms)
        self._set_state("ready")
        self.dispatcher.attach(child, max(1, info.concurrency))
        if first:
            task_status.started(info)

    # -- watching

    async def _watch(self) -> None:
        """See to deadlines, whether there is a child or not."""
        while True:
            now = trio.current_time()
            self._next_look = due = max(min(self._look(now), now + 60.0), now)
            self._look_now = trio.Event()
            with trio.move_on_at(due):
                await self._look_now.wait()

    def _wake_watch(self) -> None:
        if self.dispatcher.next_due() < self._next_look or self.state != "ready":
            self._look_now.set()

    def _look(self, now: float) -> float:
        """Do what is due; returns when to look again."""
        policy, child, dispatcher = self._policy, self.child, self.dispatcher
        dispatcher.give_up(self.unavailable())
        dispatcher.drop_unfed(policy.unfed_s)
        if self.state != "ready":
            self._on_alive()  # there is nobody to answer, and that is being seen to
        due = now + policy.ping_s
        if child is None:
            return min(due, dispatcher.next_due())
        finding = self._vigil.look(now)
        if finding.ping:
            child.send(wire.encode(wire.Ping(0)))
        kill = finding.kill
        if dispatcher.cancel_overdue():
            kill = f"it did not acknowledge a cancel within {policy.grace_s:g} s"
        elif dispatcher.stalled(policy.stall_s, policy.silent_s):
            kill = (
                f"a request stood still for {policy.stall_s:g} s, or had nothing to show for "
                f"{policy.silent_s:g} s"
            )
        if kill is not None:
            child.kill(kill)
            return due
        return min(due if self._vigil.loading else finding.due, finding.due, dispatcher.next_due())

    # -- inside

    def _set_state(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed.unpark_all()
            self.on_state(state)

    def unavailable(self) -> EngineUnavailable:
        """Why a request cannot be served now."""
        texts = {
            "stopped": "is not running",
            "open": "failed several times and is paused",
        }
        return EngineUnavailable(
            f"{self._label} {texts.get(self.state, 'is restarting')}",
            retry_after_s=self.starts_in_s,
        )


def _describe(status: int | None) -> str:
    if status is None:
        return "it could not be ended"
    if status < 0:
        return f"it was ended by signal {-status}"
    return f"it exited with status {status}"
