"""How soon an engine is idle again when it is cancelled, at random moments of its work."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.hosts import open_host, probed
from voiced.bench.probe import TARGET as PROBE
from voiced.bench.stats import Summary, quantile, summarise
from voiced.engines.clients import EngineLlm, EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Priority
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.host import EngineHost
    from voiced.engines.spec import EngineSpec

GOALS_MS: Final = {("llm", "llama"): 50.0, ("tts", "piper"): 60.0}
"""What the 99th percentile should be at most. Whisper's is the longest of its own native calls."""

TEXT: Final = "The lamp in the kitchen is on and the one in the hall is off, as you asked me."
STORY: Final = "You tell long stories. " + TEXT * 6
QUESTION: Final = "Tell me a story about a lamp."
REPLY_TOKENS: Final = 32
UNDISTURBED: Final = 3
CONTROL_SHARE: Final = 10
"""One cancel of the control for so many of the engine's: it takes a whole request each time."""

LOOK_S: Final = 0.001
"""Between two looks at whether the engine is free: adds up to so much to each figure."""


class CancelReport(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds: an undisturbed request, and from a cancel on until the engine says that it
    has heard it, until nothing is computed for it any more, and that without the hook."""

    request_ms: Summary
    acknowledged_ms: Summary
    idle_ms: Summary
    idle_p99_ms: float
    control_ms: Summary
    goal_ms: float | None = None
    step_ms: Summary | None = None
    """Of an engine whose native calls cannot be stopped: each of them. The longest is the goal."""
    too_late: int = 0
    """Cancels that came when the request was over; they count for nothing."""
    stale_parts: int = 0
    """That came after the acknowledgement."""
    restarts: int = 0
    """Of the engine's process, which each would be a failure of the cancel."""

    @property
    def missed(self) -> list[str]:
        """What is not as it should be, a line each."""
        lines = []
        if self.goal_ms is not None and self.idle_p99_ms > self.goal_ms:
            lines.append(
                f"from a cancel to idle, p99: {self.idle_p99_ms:.1f} ms, goal {self.goal_ms:.0f}"
            )
        if self.stale_parts:
            lines.append(f"{self.stale_parts} answers came after the acknowledgement of a cancel")
        if self.restarts:
            lines.append(f"the engine was started again {self.restarts} times")
        return lines


async def measure_cancels(
    spec: EngineSpec, pcm: bytes, *, cancels: int, seed: int, tell: Callable[[str], None]
) -> CancelReport:
    """Cancel so many requests, each at a moment chosen evenly over the time that one takes; then
    fewer of an engine that was made deaf, as the control.

    `pcm` is what STT hears, PCM16 mono at 16 kHz. Raises `EngineError` where the engine does not
    do afterwards what it did before.
    """
    spec = probed(spec)
    is_probe = spec.target == PROBE

    def told(of: int, without: str = "") -> Callable[[int], None]:
        return lambda done: tell(f"{spec.kind} {spec.name}{without}: cancel {done} of {of}")

    async with open_host(spec) as host:
        canceller = _Canceller(host, pcm, Random(seed), is_probe=is_probe)
        found = await canceller.run(cancels, told(cancels))
        stale_parts, restarts = host.stale_parts, host.restarts
    fewer = max(1, cancels // CONTROL_SHARE)
    async with open_host(spec, deafened=True) as host:
        canceller = _Canceller(host, pcm, Random(seed), is_probe=is_probe)
        control = await canceller.run(fewer, told(fewer, " without its hook"))
    steps = summarise(found.steps_ms) if found.steps_ms else None
    return CancelReport(
        request_ms=summarise(found.request_ms),
        acknowledged_ms=summarise(found.acknowledged_ms),
        idle_ms=summarise(found.idle_ms),
        idle_p99_ms=quantile(found.idle_ms, 0.99),
        control_ms=summarise(control.idle_ms),
        goal_ms=GOALS_MS.get((spec.kind, spec.name)) if steps is None else steps.most,
        step_ms=steps,
        too_late=found.too_late,
        stale_parts=stale_parts,
        restarts=restarts,
    )


class _Canceller:
    """Cancels the requests of one engine, and keeps what it finds."""

    def __init__(self, host: EngineHost, pcm: bytes, random: Random, *, is_probe: bool) -> None:
        self._host = host
        self._pcm = pcm
        self._random = random
        self._is_probe = is_probe
        self._numbers = count(1)
        self.request_ms: list[float] = []
        self.acknowledged_ms: list[float] = []
        self.idle_ms: list[float] = []
        self.steps_ms: list[float] = []
        self.too_late = 0

    async def run(self, cancels: int, tell: Callable[[int], None]) -> _Canceller:
        """Raises `EngineFailed` where the engine does not do afterwards what it did before."""
        before = {await self._undisturbed() for _ in range(UNDISTURBED)}
        length_s = quantile(self.request_ms, 0.5) / 1000
        while len(self.idle_ms) < cancels:
            if not await self._cancel_after(self._random.uniform(0, length_s)):
                self.too_late += 1
                if self.too_late > 2 * cancels:
                    raise EngineFailed("the requests are too short to be cancelled")
            tell(len(self.idle_ms))
        if await self._undisturbed() not in before:
            raise EngineFailed("after the cancels the engine does not do what it did before")
        return self

    async def _undisturbed(self) -> str:
        began = trio.current_time()
        did = await self._request()
        self.request_ms.append((trio.current_time() - began) * 1000)
        return did

    async def _cancel_after(self, wait_s: float) -> bool:
        """False where there was nothing to cancel any more."""
        over = False

        async def run() -> None:
            nonlocal over
            await self._request()
            over = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await trio.sleep(wait_s)
            began = trio.current_time()
            nursery.cancel_scope.cancel(reason="the moment has come")
        if over:
            return False
        while self._host.free_slots < self._host.info.concurrency:  # noqa: ASYNC110 - see LOOK_S
            await trio.sleep(LOOK_S)
        self.acknowledged_ms.append((trio.current_time() - began) * 1000)
        await self._settle()
        self.idle_ms.append((trio.current_time() - began) * 1000)
        return True

    async def _settle(self) -> None:
        """Wait for native calls that the engine could only turn its back on. Any other engine has
        the thread that answers do the work: it has ended that when it acknowledges."""
        if self._is_probe:
            async with self._host.request("idle", {}) as call:
                self.steps_ms += (await call.result())["calls_ms"]

    async def _request(self) -> str:
        """A request to the end, the engine's work on it from its first step on; what came of it,
        as far as it should be the same each time."""
        kind = self._host.spec.kind
        if kind == "stt":
            async with EngineStt(self._host).transcribe(
                language="en", priority=Priority.CONVERSATION
            ) as utterance:
                await utterance.feed(self._pcm)
                return (await utterance.finish()).text
        if kind == "llm":
            # Another beginning each time: the prompt is read anew.
            story = {"role": "system", "content": f"Story {next(self._numbers)}. {STORY}"}
            messages = [story, {"role": "user", "content": QUESTION}]
            async with EngineLlm(self._host).reply(
                messages, max_output_tokens=REPLY_TOKENS
            ) as parts:
                return [type(part).__name__ async for part in parts][-1]
        async with EngineTts(self._host).speak(TEXT) as chunks:
            return str(sum([len(chunk.pcm) async for chunk in chunks]))
