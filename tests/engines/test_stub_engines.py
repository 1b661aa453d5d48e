"""The stubs do what the measurements built on them rely on."""

from __future__ import annotations

from array import array

import trio

from tests.engines.host_helpers import running_host
from voiced.engines.clients import EngineLlm, EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Kind, ReplyEnd, TextDelta
from voiced.engines.spec import EngineSpec
from voiced.testing.stubs import CONCURRENCY, TRANSCRIPT


def stub(kind: Kind, engine: str, **options: object) -> EngineSpec:
    return EngineSpec(
        kind=kind, name="stub", target=f"voiced.testing.stubs:{engine}", options=options
    )


async def test_speech_is_always_the_same_words() -> None:
    async with (
        running_host(stub("stt", "StubStt", first_ms=1)) as host,
        EngineStt(host).transcribe(language="en") as utterance,
    ):
        await utterance.feed(bytes(16_000))
        heard = await utterance.finish()
    assert (heard.text, heard.duration_s) == (TRANSCRIPT, 0.5)


async def test_the_reply_is_the_one_set_in_at_most_a_few_deltas() -> None:
    reply = "This is the reply of the stub engine."
    async with (
        running_host(stub("llm", "StubLlm", first_ms=1, reply=reply)) as host,
        EngineLlm(host).reply([]) as parts,
    ):
        *deltas, end = [part async for part in parts]
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == reply
    assert len(deltas) <= 5
    assert isinstance(end, ReplyEnd)


async def test_the_speech_is_a_quiet_tone_of_the_length_set() -> None:
    async with (
        running_host(stub("tts", "StubTts", first_ms=1, audio_s=0.75)) as host,
        EngineTts(host).speak("anything") as speech,
    ):
        chunks = [chunk async for chunk in speech]
    assert {chunk.sample_rate for chunk in chunks} == {24_000}
    samples = array("h", b"".join(chunk.pcm for chunk in chunks))
    assert len(samples) == 18_000
    assert 500 < max(samples) < 3000


async def test_twenty_requests_wait_side_by_side_and_not_in_a_queue() -> None:
    replies = 0

    async def ask() -> None:
        nonlocal replies
        async with EngineLlm(host).reply([]) as parts:
            async for _ in parts:
                pass
            replies += 1

    first_s = 1.0
    async with running_host(stub("llm", "StubLlm", first_ms=1000 * first_s, reply="x")) as host:
        assert host.info.concurrency == CONCURRENCY
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        took_s = trio.current_time() - began
    assert replies == 20
    assert first_s <= took_s < 20 * first_s  # what a queue takes, on the fastest machine


async def test_waiting_ends_when_cancelled() -> None:
    """An hour of waiting that is not acknowledged would cost the child its life."""
    async with running_host(stub("tts", "StubTts", first_ms=3_600_000)) as host:
        pid = host.pid
        with trio.move_on_after(0.05):
            async with EngineTts(host).speak("never said") as speech:
                await anext(speech)
        async with EngineTts(host).speak("never said"):
            pass
    assert host.restarts == 0
    assert pid is not None
