"""One contract for the engine ports, run against the fakes and the real clients alike.

The real ones are the clients over processes with stub engines.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.patience import CEILING_S
from tests.realtime.fakes import FakeLlm, FakeStt, FakeTts, says
from voiced.engines.clients import EngineLlm, EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.host import EngineHost
from voiced.engines.ports import EngineInfo, Llm, ReplyEnd, Stt, TextDelta, Tts
from voiced.engines.registry import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.ports import Kind

ONE_SECOND = bytes(32_000)

SIDES = pytest.mark.parametrize("side", ["fake", "real"])


@asynccontextmanager
async def host(kind: Kind, **options: object) -> AsyncIterator[EngineHost]:
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            host = EngineHost(resolve(kind, "stub", options))
            await nursery.start(host.serve)
            yield host
            nursery.cancel_scope.cancel(reason="the test is over")


@asynccontextmanager
async def an_stt(side: str) -> AsyncIterator[Stt]:
    if side == "fake":
        yield FakeStt(delay_s=0.001)
    else:
        async with host("stt") as real:
            yield EngineStt(real)


@asynccontextmanager
async def an_llm(side: str) -> AsyncIterator[Llm]:
    if side == "fake":
        yield FakeLlm(says("One, two, ", "three."))
    else:
        async with host("llm", reply="One, two, three.") as real:
            yield EngineLlm(real)


@asynccontextmanager
async def a_tts(side: str) -> AsyncIterator[Tts]:
    if side == "fake":
        yield FakeTts(clause_ms=500, first_s=0.001)
    else:
        async with host("tts", audio_s=0.5) as real:
            yield EngineTts(real)


@SIDES
async def test_each_says_what_it_is(side: str) -> None:
    async with an_stt(side) as stt, an_llm(side) as llm, a_tts(side) as tts:
        for port, kind in ((stt, "stt"), (llm, "llm"), (tts, "tts")):
            assert isinstance(port.info, EngineInfo)
            assert port.info.kind == kind
            assert port.info.name


@SIDES
async def test_an_utterance_is_fed_and_finished(side: str) -> None:
    async with an_stt(side) as stt, stt.transcribe(language="en", prompt="home") as utterance:
        for _ in range(3):
            await utterance.feed(ONE_SECOND)
        transcript = await utterance.finish()
        assert transcript.text
        assert transcript.duration_s == pytest.approx(3.0)


@SIDES
async def test_an_utterance_without_audio_is_no_error(side: str) -> None:
    async with an_stt(side) as stt, stt.transcribe(language="en") as utterance:
        assert (await utterance.finish()).duration_s == 0


@SIDES
async def test_an_utterance_may_be_left_and_the_next_works(side: str) -> None:
    async with an_stt(side) as stt:
        with trio.CancelScope() as scope:
            async with stt.transcribe(language="en") as utterance:
                await utterance.feed(ONE_SECOND)
                scope.cancel(reason="a test")
                await utterance.finish()
        assert scope.cancelled_caught
        async with stt.transcribe(language="en") as utterance:
            await utterance.feed(ONE_SECOND)
            assert (await utterance.finish()).text


@SIDES
async def test_two_utterances_at_once_do_not_mix(side: str) -> None:
    async with (
        an_stt(side) as stt,
        stt.transcribe(language="en") as one,
        stt.transcribe(language="en") as two,
    ):
        await one.feed(ONE_SECOND)
        await two.feed(ONE_SECOND * 2)
        assert (await two.finish()).duration_s == pytest.approx(2.0)
        assert (await one.finish()).duration_s == pytest.approx(1.0)


@SIDES
async def test_a_reply_is_text_and_then_one_end(side: str) -> None:
    async with an_llm(side) as llm:
        messages = [{"role": "user", "content": "count"}]
        async with llm.reply(messages, tools=[], max_output_tokens=50) as parts:
            found = [part async for part in parts]
        assert all(isinstance(part, TextDelta) for part in found[:-1])
        assert isinstance(found[-1], ReplyEnd)
        assert found[-1].finish == "stop"
        assert "".join(p.text for p in found if isinstance(p, TextDelta)) == "One, two, three."


@SIDES
async def test_a_reply_may_be_left_in_the_middle_and_the_next_works(side: str) -> None:
    async with an_llm(side) as llm:
        for _ in range(3):
            async with llm.reply([{"role": "user", "content": "count"}]) as parts:
                async for _part in parts:
                    break
        async with llm.reply([{"role": "user", "content": "count"}]) as parts:
            assert len([part async for part in parts]) > 1


@SIDES
async def test_speech_is_whole_samples_at_a_rate(side: str) -> None:
    async with a_tts(side) as tts, tts.speak("Hello.", voice="", speed=1.0) as chunks:
        found = [chunk async for chunk in chunks]
        assert all(len(chunk.pcm) % 2 == 0 for chunk in found)
        seconds = sum(len(chunk.pcm) / 2 / chunk.sample_rate for chunk in found)
        assert seconds == pytest.approx(0.5)


@SIDES
async def test_speech_may_be_left_in_the_middle_and_the_next_works(side: str) -> None:
    async with a_tts(side) as tts:
        with trio.CancelScope() as scope:
            async with tts.speak("Hello.") as chunks:
                async for _chunk in chunks:
                    scope.cancel(reason="a test")
        assert scope.cancelled_caught
        async with tts.speak("Hello.") as chunks:
            assert [chunk async for chunk in chunks]
