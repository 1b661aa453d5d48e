"""How soon an engine is idle again when it is cancelled, at random moments of its work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.deaf import TARGET
from voiced.bench.stats import Summary, quantile, summarise
from voiced.engines.clients import EngineLlm, EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.host import EngineHost
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from random import Random

    from voiced.engines.registry import ServedKind

TEXT: Final = (
    "The lamp in the kitchen is on and the one in the hall is off, "
    "as you asked me to do last night."
)
MESSAGES: Final = (
    {"role": "system", "content": "You tell long stories. " + TEXT * 8},
    {"role": "user", "content": "Tell me a story about a lamp."},
)
REPLY_TOKENS: Final = 64
UNDISTURBED: Final = 3
LOOK_S: Final = 0.0002
"""Between two looks at whether the engine is idle: adds up to so much to each figure."""


class CancelReport(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds: an undisturbed request, and from a cancel to an idle engine."""

    request_ms: Summary
    idle_ms: Summary
    idle_p99_ms: float
    too_late: int
    """Cancels that came when the request was over; they count for nothing."""
    restarts: int
    """Of the engine's process, which each would be a failure of the cancel."""


@asynccontextmanager
async def open_host(spec: EngineSpec, *, deaf: bool) -> AsyncGenerator[EngineHost, None]:
    """The engine in a process of its own; `deaf` takes its hooks from it."""
    policy = HostPolicy()
    if deaf:
        options = {"target": spec.target, "options": spec.options}
        spec = msgspec.structs.replace(spec, target=TARGET, options=options)
        # It shall end its work, however long that takes, rather than be killed.
        policy = msgspec.structs.replace(policy, grace_s=policy.stall_s)
    host = EngineHost(spec, policy)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.serve)
        yield host
        nursery.cancel_scope.cancel(reason="measured")


async def measure_cancels(
    host: EngineHost,
    kind: ServedKind,
    pcm: bytes,
    *,
    cancels: int,
    random: Random,
    tell: Callable[[], None],
) -> CancelReport:
    """Cancel so many requests, each at a moment chosen evenly over the time that one takes.

    `pcm` is what STT hears, PCM16 mono at 16 kHz. Afterwards the engine has to do a request as it
    did before. Raises `EngineError` where it does not.
    """
    request = _request(host, kind, pcm)
    whole: list[tuple[float, int]] = [await _time(request) for _ in range(UNDISTURBED)]
    length_s = quantile([seconds for seconds, _ in whole], 0.5)
    idle_ms: list[float] = []
    too_late = 0
    while len(idle_ms) < cancels:
        waited = await _cancel_after(host, request, random.uniform(0, length_s))
        if waited is None:
            too_late += 1
            if too_late > 2 * cancels:
                raise EngineFailed("the requests are too short to be cancelled")
            continue
        idle_ms.append(waited * 1000)
        tell()
    if kind == "tts" and (await _time(request))[1] not in {size for _, size in whole}:
        raise EngineFailed("after the cancels the engine does not speak as before")
    return CancelReport(
        request_ms=summarise([seconds * 1000 for seconds, _ in whole]),
        idle_ms=summarise(idle_ms),
        idle_p99_ms=quantile(idle_ms, 0.99),
        too_late=too_late,
        restarts=host.restarts,
    )


def _request(host: EngineHost, kind: ServedKind, pcm: bytes) -> Callable[[], Awaitable[int]]:
    """A request to the end; its size tells whether another one was like it."""

    async def speak() -> int:
        async with EngineTts(host).speak(TEXT) as chunks:
            return sum([len(chunk.pcm) async for chunk in chunks])

    async def reply() -> int:
        async with EngineLlm(host).reply(MESSAGES, max_output_tokens=REPLY_TOKENS) as parts:
            return len([part async for part in parts])

    async def transcribe() -> int:
        async with EngineStt(host).transcribe(language="en") as utterance:
            await utterance.feed(pcm)
            return len((await utterance.finish()).text)

    return {"tts": speak, "llm": reply, "stt": transcribe}[kind]


async def _time(request: Callable[[], Awaitable[int]]) -> tuple[float, int]:
    began = trio.current_time()
    size = await request()
    return trio.current_time() - began, size


async def _cancel_after(
    host: EngineHost, request: Callable[[], Awaitable[int]], wait_s: float
) -> float | None:
    """Seconds from the cancel to an idle engine; None where there was nothing to cancel."""
    over = False

    async def run() -> None:
        nonlocal over
        await request()
        over = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(wait_s)
        began = trio.current_time()
        nursery.cancel_scope.cancel(reason="the moment has come")
    if over:
        return None
    while host.free_slots < host.info.concurrency:  # noqa: ASYNC110 - nobody is told; see LOOK_S
        await trio.sleep(LOOK_S)
    return trio.current_time() - began
