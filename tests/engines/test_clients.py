"""The ports over hosts: what a conversation sees of its engines."""

from __future__ import annotations

import os
import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.engines.host_helpers import running_host, spec_for
from voiced.engines.clients import JOINED_CHARS, EngineLlm, EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.host import EngineHost
from voiced.engines.ports import (
    Kind,
    PcmChunk,
    ReplyEnd,
    ReplyPart,
    TextDelta,
    ToolCall,
    Transcript,
)
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.errors import AudioError, EngineCrashed, EngineFailed, EngineUnavailable

QUICK = HostPolicy(backoff_first_s=0.01, grace_s=0.5)
SECOND = bytes(32_000)


def client_spec(kind: Kind, engine: str) -> EngineSpec:
    target = f"tests.engines.client_engines:{engine}"
    return EngineSpec(kind=kind, name=engine.lower(), target=target)


async def transcribe(stt: EngineStt, pcm: bytes) -> Transcript:
    async with stt.transcribe(language="en") as utterance:
        await utterance.feed(pcm)
        return await utterance.finish()


async def test_an_utterance_is_heard_whole_while_it_is_spoken() -> None:
    async with (
        running_host(client_spec("stt", "Ear")) as host,
        EngineStt(host).transcribe(language="de", prompt="names") as utterance,
    ):
        for number in range(20):
            await utterance.feed(bytes([number]) * 640)
        assert host.running == 1, "it is listened to before it is finished"
        heard = await utterance.finish()
    assert heard == Transcript(text="de names 12800 1", confidence=0.5, duration_s=0.4)


async def test_another_speaker_is_kept_and_heard_when_finished() -> None:
    async with running_host(client_spec("stt", "Ear")) as host:
        stt = EngineStt(host)
        async with stt.transcribe(language="en") as first, stt.transcribe(language="en") as second:
            await first.feed(SECOND)
            await second.feed(SECOND)
            await second.feed(SECOND)
            assert (host.running, host.queue_depth) == (1, 0), "keeping it takes no place"
            assert (await second.finish()).duration_s == 2.0, "although the first still speaks"
            await first.feed(SECOND)
            assert (await first.finish()).duration_s == 2.0, "displaced, and yet heard whole"
        assert host.restarts == 0


async def test_many_speakers_at_once_are_all_heard() -> None:
    heard: list[float] = []

    async def speak(seconds: int) -> None:
        heard.append((await transcribe(stt, SECOND * seconds)).duration_s)

    async with running_host(client_spec("stt", "Ear")) as host:
        stt = EngineStt(host)
        async with trio.open_nursery() as nursery:
            for seconds in range(1, 11):
                nursery.start_soon(speak, seconds)
    assert sorted(heard) == list(range(1, 11))


async def test_an_utterance_survives_a_crash_of_the_engine_while_it_is_spoken() -> None:
    async with (
        running_host(client_spec("stt", "Ear"), QUICK) as host,
        EngineStt(host).transcribe(language="en") as utterance,
    ):
        await utterance.feed(SECOND)
        assert host.pid is not None
        os.kill(host.pid, signal.SIGKILL)
        assert await host.wait_change() == "restarting"
        await utterance.feed(SECOND)
        assert (await utterance.finish()).duration_s == 2.0


async def test_an_utterance_that_kills_the_engine_twice_fails() -> None:
    async with running_host(client_spec("stt", "Ear"), QUICK) as host:
        async with EngineStt(host).transcribe(language="deadly") as utterance:
            await utterance.feed(SECOND)
            with pytest.raises(EngineCrashed):
                await utterance.finish()
        assert (await transcribe(EngineStt(host), SECOND)).duration_s == 1.0


async def test_leaving_an_utterance_unfinished_frees_the_engine() -> None:
    async with running_host(client_spec("stt", "Ear")) as host:
        stt = EngineStt(host)
        async with stt.transcribe(language="en") as utterance:
            await utterance.feed(SECOND)
        assert host.running == 0
        assert (await transcribe(stt, SECOND)).duration_s == 1.0
        assert host.restarts == 0


async def test_an_utterance_cannot_grow_without_end() -> None:
    async with running_host(client_spec("stt", "Ear")) as host:
        stt = EngineStt(host, max_utterance_s=2.0)
        async with stt.transcribe(language="en") as utterance:
            await utterance.feed(SECOND)
            await utterance.feed(SECOND)
            with pytest.raises(AudioError):
                await utterance.feed(b"xx")


async def test_speaking_continues_while_the_engine_does_not_read() -> None:
    async with (
        running_host(client_spec("stt", "Ear")) as host,
        EngineStt(host).transcribe(language="en") as utterance,
    ):
        await utterance.feed(b"")
        assert host.pid is not None
        os.kill(host.pid, signal.SIGSTOP)
        for _ in range(60):
            await utterance.feed(SECOND)
        os.kill(host.pid, signal.SIGCONT)
        assert (await utterance.finish()).duration_s == 60.0


async def test_a_microphone_muted_in_mid_word_costs_the_engine_nothing() -> None:
    lived = trio.Event()
    policy = HostPolicy(ping_s=0.02, stall_s=0.1)

    def on_alive() -> None:
        if trio.current_time() > muted_at + 5 * policy.stall_s:
            lived.set()

    muted_at = float("inf")
    async with (
        running_host(client_spec("stt", "Ear"), policy, on_alive=on_alive) as host,
        EngineStt(host).transcribe(language="en") as utterance,
    ):
        await utterance.feed(SECOND)
        muted_at = trio.current_time()
        await lived.wait()
        assert (host.restarts, host.running) == (0, 1)
        await utterance.feed(SECOND)
        assert (await utterance.finish()).text.endswith("64000 1"), "one run has heard it all"


async def test_who_stays_muted_leaves_the_engine_to_others_and_is_heard_whole() -> None:
    freed = trio.Event()

    def on_alive() -> None:
        if hosts and hosts[0].free_slots:
            freed.set()

    hosts: list[EngineHost] = []
    async with running_host(
        client_spec("stt", "Ear"), HostPolicy(ping_s=0.02, unfed_s=0.1), on_alive=on_alive
    ) as host:
        stt = EngineStt(host)
        async with stt.transcribe(language="en") as muted, stt.transcribe(language="en") as other:
            await muted.feed(SECOND)
            hosts.append(host)
            await freed.wait()
            await other.feed(SECOND)
            assert host.running == 1, "listened to while it is spoken"
            await muted.feed(SECOND)
            assert (await muted.finish()).duration_s == 2.0
            assert (await other.finish()).duration_s == 1.0
        assert host.restarts == 0


async def test_a_reply_streams_text_and_tool_calls_and_ends_once() -> None:
    async with running_host(client_spec("llm", "Mind")) as host:
        llm = EngineLlm(host)
        messages = [{"role": "user", "content": "Hello"}]
        async with llm.reply(messages, tools=[{"name": "light"}], max_output_tokens=9) as reply:
            parts: list[ReplyPart] = [part async for part in reply]
    assert parts == [
        TextDelta("Hello"),
        ToolCall(call_id="c1", name="light", arguments="{}"),
        ReplyEnd(finish="tool_calls", input_tokens=1, output_tokens=9),
    ]


async def test_a_long_reply_waits_whole_and_in_order_for_a_slow_reader() -> None:
    words = 20_000
    messages = [{"role": "user", "content": "count"}]
    async with running_host(client_spec("llm", "Mind")) as host:
        async with EngineLlm(host).reply(messages, max_output_tokens=words) as reply:
            parts: list[ReplyPart] = [await anext(reply)]
            while host.running:
                await trio.lowlevel.checkpoint()
            parts += [part async for part in reply]
        assert host.restarts == 0
    *said, call, done, end = parts
    assert isinstance(call, ToolCall)
    assert (done, end) == (TextDelta("done"), ReplyEnd(finish="stop"))
    text = "".join(part.text for part in said if isinstance(part, TextDelta))
    assert text == "".join(f"{number} " for number in range(words))
    assert max(len(part.text) for part in said if isinstance(part, TextDelta)) <= JOINED_CHARS


async def test_an_answer_of_the_wrong_shape_is_the_engines_failure() -> None:
    async with (
        running_host(spec_for("Obliging", {})) as host,
        EngineLlm(host).reply([]) as reply,
    ):
        with pytest.raises(EngineFailed):
            await anext(reply)


async def test_speech_streams_and_stops_when_its_listener_leaves() -> None:
    async with running_host(client_spec("tts", "Mouth")) as host:
        tts = EngineTts(host)
        async with tts.speak("x" * 10, voice="v", speed=2.0) as speech:
            assert [chunk async for chunk in speech] == [PcmChunk(pcm=b"v2", sample_rate=8000)] * 10
        async with tts.speak("endless") as speech:
            await anext(speech)
        async with tts.speak("x", voice="w", speed=1.0) as speech:
            assert [chunk.pcm async for chunk in speech] == [b"w1"]
        assert host.restarts == 0


async def test_a_caller_waits_in_a_scope_of_its_own() -> None:
    async with running_host(client_spec("tts", "Mouth")) as host:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                async with EngineTts(host).speak("silent") as speech:
                    await anext(speech)

            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            assert host.running == 1
            nursery.cancel_scope.cancel("barge-in")
        assert host.running == 0


def test_what_an_engine_is_cannot_be_asked_before_it_is_ready() -> None:
    host = EngineHost(client_spec("tts", "Mouth"))
    with pytest.raises(EngineUnavailable):
        _ = EngineTts(host).info
