"""The pace of audio towards the client, on a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from voiced.audio.pcm import WIRE_HZ, bytes_for_ms, duration_ms
from voiced.realtime.pacer import CHUNK_MS, Pacer

if TYPE_CHECKING:
    from trio.testing import MockClock

LEAD_MS = 400.0


def sound(milliseconds: float) -> bytes:
    return bytes(bytes_for_ms(milliseconds, WIRE_HZ))


async def sent_at(pacer: Pacer) -> list[tuple[float, float]]:
    """For each chunk when it went out and how much had gone out with it, both in ms."""
    began, total, log = trio.current_time(), 0.0, []
    async for _, pcm in pacer:
        total += duration_ms(len(pcm), WIRE_HZ)
        log.append(((trio.current_time() - began) * 1000, total))
    return log


async def test_it_is_never_further_ahead_than_its_lead(autojump_clock: MockClock) -> None:
    pacer = Pacer(LEAD_MS)
    pacer.put(0, sound(3000))
    pacer.finish()
    log = await sent_at(pacer)
    assert log[-1][1] == pytest.approx(3000)
    assert all(total - at <= LEAD_MS + 0.01 for at, total in log)
    assert [at for at, total in log if total <= LEAD_MS] == [0.0] * 4  # at once up to there
    assert log[-1][0] == pytest.approx(3000 - LEAD_MS)


async def test_after_a_gap_it_paces_from_there(autojump_clock: MockClock) -> None:
    pacer = Pacer(LEAD_MS)
    log: list[tuple[float, float]] = []

    async def collect() -> None:
        log.extend(await sent_at(pacer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        pacer.put(0, sound(500))
        await trio.sleep(5)  # the engine thinks; the client has long been silent
        pacer.put(1, sound(2000))
        pacer.finish()
    after = [(at - 5000, total - 500) for at, total in log if total > 500]
    assert all(total - at <= LEAD_MS + 0.01 for at, total in after)
    assert after[0][0] == pytest.approx(0)
    assert after[-1][0] == pytest.approx(2000 - LEAD_MS)


async def test_chunks_are_small_keep_their_clause_and_lose_nothing(
    autojump_clock: MockClock,
) -> None:
    pacer = Pacer(LEAD_MS)
    first, second = bytes(range(250)) * 40, b"ab" * 300
    pacer.put(0, first)
    pacer.put(1, second)
    pacer.finish()
    chunks = [chunk async for chunk in pacer]
    assert b"".join(pcm for span, pcm in chunks if span == 0) == first
    assert b"".join(pcm for span, pcm in chunks if span == 1) == second
    assert all(
        len(pcm) <= bytes_for_ms(CHUNK_MS, WIRE_HZ) and len(pcm) % 2 == 0 for _, pcm in chunks
    )
    assert pacer.clause_ms(0) == pytest.approx(duration_ms(len(first), WIRE_HZ))


@pytest.mark.parametrize("pause_ms", [50, 250, 2000])
async def test_a_pause_sends_nothing_and_loses_nothing(
    pause_ms: float, autojump_clock: MockClock
) -> None:
    pacer = Pacer(LEAD_MS)
    content = bytes(range(250)) * 384  # 2 s
    pacer.put(0, content)
    pacer.finish()
    heard = bytearray()
    log: list[tuple[float, float]] = []

    async def collect() -> None:
        async for _, pcm in pacer:
            heard.extend(pcm)
            log.append((trio.current_time() * 1000, duration_ms(len(heard), WIRE_HZ)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        await trio.sleep(0.73)
        pacer.pause()
        pacer.pause()  # twice is fine
        paused_at, sent = trio.current_time() * 1000, len(heard)
        await trio.sleep(pause_ms / 1000)
        assert len(heard) == sent
        pacer.resume()
        pacer.resume()
    assert bytes(heard) == content
    assert not [at for at, _ in log if paused_at < at < paused_at + pause_ms]
    # The client played what it had: what it missed beyond that is all that it was silent.
    ahead_ms = next(total for at, total in reversed(log) if at <= paused_at) - 730
    silent_ms = max(0.0, pause_ms - ahead_ms)
    began = log[0][0]
    assert log[-1][0] - began == pytest.approx(2000 - LEAD_MS + silent_ms, abs=0.1)
    assert all(total - (at - began) <= LEAD_MS + 0.1 for at, total in log)


async def test_a_paused_reply_is_not_over_before_it_goes_on(autojump_clock: MockClock) -> None:
    pacer = Pacer(LEAD_MS)
    pacer.pause()
    pacer.finish()
    with trio.move_on_after(5) as waiting:
        async for _ in pacer:
            raise AssertionError
    assert waiting.cancelled_caught
    pacer.resume()
    assert [chunk async for chunk in pacer] == []


async def test_it_ends_without_audio_too() -> None:
    pacer = Pacer(LEAD_MS)
    pacer.finish()
    assert [chunk async for chunk in pacer] == []


async def test_a_writer_waits_until_little_is_left(autojump_clock: MockClock) -> None:
    pacer = Pacer(LEAD_MS)
    pacer.put(0, sound(3000))
    freed: list[float] = []

    async def write_more() -> None:
        await pacer.wait_below(1000)
        freed.append(trio.current_time())
        pacer.finish()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_more)
        await sent_at(pacer)
    # 2 s and a bit have left, 400 ms of them ahead of their time
    assert freed[0] - began == pytest.approx(1.7, abs=0.11)


async def test_a_cancelled_reader_loses_no_audio(autojump_clock: MockClock) -> None:
    pacer = Pacer(100)
    pacer.put(0, sound(300))
    pacer.finish()
    heard = 0
    for _ in range(20):
        with trio.move_on_after(0.03):
            async for _, pcm in pacer:
                heard += len(pcm)
    assert heard == len(sound(300))
