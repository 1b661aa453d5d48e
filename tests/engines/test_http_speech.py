"""Recognisers and voices behind HTTP: what is sent, what is understood, and who takes over."""

from __future__ import annotations

import io
import struct
import wave
from contextlib import asynccontextmanager
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.engines.http_peer import Exchange, HttpPeer, Script, answer, http_peer
from tests.patience import CEILING_S
from tests.realtime.fakes import FakeStt, FakeTts
from voiced.engines.failover import FailoverTts, Member, Order
from voiced.engines.failover_stt import FailoverStt
from voiced.engines.http.provider import Provider, open_provider
from voiced.engines.http.speech import HttpTts, PcmReader
from voiced.engines.http.transcriptions import HttpStt
from voiced.errors import AudioError, EngineFailed, EngineUnavailable, ProviderFailed
from voiced.settings import Provider as ProviderSettings
from voiced.settings import SpeechProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.ports import PcmChunk, Stt, Tts

SPEECH = bytes(range(256)) * 125
"""One second at 16 kHz."""


@asynccontextmanager
async def stt_at(peer: HttpPeer, **settings: Any) -> AsyncIterator[tuple[HttpStt, Provider]]:  # noqa: ANN401
    its = ProviderSettings(**{"url": peer.url, "name": "there", **settings})
    with trio.fail_after(CEILING_S):
        async with open_provider("stt", its, "stt.providers, number 1") as provider:
            yield HttpStt(provider), provider


@asynccontextmanager
async def tts_at(peer: HttpPeer, **settings: Any) -> AsyncIterator[tuple[HttpTts, Provider]]:  # noqa: ANN401
    its = SpeechProvider(**{"url": peer.url, "name": "there", **settings})
    with trio.fail_after(CEILING_S):
        async with open_provider("tts", its, "tts.providers, number 1") as provider:
            yield HttpTts(provider, its, own_voice="en-us"), provider


async def hear(stt: Stt, prompt: str = "") -> str:
    async with stt.transcribe(language="en", prompt=prompt) as utterance:
        for start in range(0, len(SPEECH), 1000):
            await utterance.feed(SPEECH[start : start + 1000])
        return (await utterance.finish()).text


async def say(tts: Tts, text: str = "hello", **more: Any) -> list[PcmChunk]:  # noqa: ANN401
    async with tts.speak(text, **more) as chunks:
        return [chunk async for chunk in chunks]


def form_of(exchange: Exchange) -> dict[str, bytes]:
    """The fields of a form, by a parser that is not ours."""
    head = f"Content-Type: {exchange.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + exchange.body)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        fields[str(name)] = part.get_payload(decode=True)
    return fields  # type: ignore[return-value]  # the parts are not multipart themselves


# -- speech to text -------------------------------------------------------------------------


async def test_an_utterance_is_sent_as_a_file() -> None:
    async with (
        http_peer(answer(200, {"text": " Turn it on. "})) as peer,
        stt_at(peer, model="whisper-1", options={"temperature": 0}) as (stt, _),
    ):
        assert await hear(stt, prompt="lamp") == "Turn it on."
    (asked,) = peer.asked
    assert asked.path == "/v1/audio/transcriptions"
    form = form_of(asked)
    file = form.pop("file")
    assert form == {
        "model": b"whisper-1",
        "language": b"en",
        "prompt": b"lamp",
        "response_format": b"json",
        "temperature": b"0",
    }
    with wave.open(io.BytesIO(file)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16_000, 1, 2)
        assert wav.readframes(wav.getnframes()) == SPEECH


async def test_nothing_is_sent_of_an_utterance_that_is_not_finished() -> None:
    async with http_peer(answer(200, {"text": "?"})) as peer, stt_at(peer) as (stt, _):
        async with stt.transcribe(language="en") as utterance:
            await utterance.feed(SPEECH)
            assert not utterance.ask()
            assert await utterance.answer() is None
        assert peer.asked == []


async def test_an_utterance_is_bounded() -> None:
    async with (
        http_peer(answer(200)) as peer,
        stt_at(peer) as (stt, _),
        stt.transcribe(language="en") as utterance,
    ):
        await utterance.feed(bytes(310 * 32_000))
        with pytest.raises(AudioError):
            await utterance.feed(bytes(2))


async def endless_json(exchange: Exchange) -> None:
    await exchange.begin(content_type="application/json", transfer_encoding="chunked")
    while True:
        await exchange.send(b" " * 65_536)


async def never_answers(exchange: Exchange) -> None:
    await exchange.wait_gone()


STT_FAULTS: dict[str, tuple[Script, dict[str, Any], str]] = {
    "broken": (answer(500), {}, "it answered with status 500"),
    "another shape": (answer(200, {"words": []}), {}, "what it sent is no transcription"),
    "no JSON": (answer(200, b"hello"), {}, "what it sent is no transcription"),
    "endless": (endless_json, {}, "its answer is too long"),
    "never answers": (never_answers, {"first_s": 0.05}, "it did not begin to answer in time"),
}


@pytest.mark.parametrize("fault", STT_FAULTS)
async def test_another_recogniser_gets_the_whole_utterance(fault: str) -> None:
    script, settings, reason = STT_FAULTS[fault]
    spare = FakeStt("turn it on")
    async with http_peer(script) as peer, stt_at(peer, **settings) as (stt, provider):
        order: Order[Stt] = Order(
            "stt",
            [Member("there", stt, lambda: provider.usable), Member("here", spare, lambda: True)],
        )
        assert await hear(FailoverStt(order)) == "turn it on"
        assert spare.heard == [SPEECH]
        assert provider.trouble == reason
    assert spare.open == 0


async def test_the_first_recogniser_listens_while_one_speaks_and_tells_what_it_hears() -> None:
    first = FakeStt("turn it on", partials=["turn"], error=EngineFailed("it crashed"))
    second = FakeStt("turn it on")
    order: Order[Stt] = Order(
        "stt", [Member("first", first, lambda: True), Member("second", second, lambda: True)]
    )
    async with FailoverStt(order).transcribe(language="en") as utterance:
        await utterance.feed(SPEECH)
        assert utterance.ask()
        partial = await utterance.answer()
        assert partial is not None
        assert utterance.partial is partial
        assert partial.text == "turn"
        assert second.asked == []
        assert (await utterance.finish()).text == "turn it on"
    assert second.heard == [SPEECH]
    assert first.left == ["done"]


async def test_where_every_recogniser_fails_that_is_what_is_raised() -> None:
    broken = FakeStt(error=EngineFailed("it crashed"))
    order: Order[Stt] = Order(
        "stt", [Member("one", broken, lambda: True), Member("two", broken, lambda: False)]
    )
    with pytest.raises(EngineUnavailable) as caught:
        await hear(FailoverStt(order))
    assert str(caught.value) == (
        "speech recognition is not to be had: one: it crashed; two: it crashed"
    )
    assert caught.value.public == "speech recognition cannot be reached at the moment"


# -- text to speech -------------------------------------------------------------------------


def sounds(*portions: bytes, content_type: str = "audio/pcm") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type=content_type, transfer_encoding="chunked")
        for portion in portions:
            await exchange.send(portion)
        await exchange.end()

    return script


def wav(pcm: bytes, rate: int = 22_050, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


async def test_speech_is_streamed_in_whole_samples() -> None:
    async with (
        http_peer(sounds(b"abc", b"de", b"f")) as peer,
        tts_at(peer, model="tts-1", sample_rate=16_000) as (tts, _),
    ):
        chunks = await say(tts, "Hello.", voice="marin", speed=1.5)
    assert b"".join(chunk.pcm for chunk in chunks) == b"abcdef"
    assert all(len(chunk.pcm) % 2 == 0 for chunk in chunks)
    assert {chunk.sample_rate for chunk in chunks} == {16_000}
    (asked,) = peer.asked
    assert asked.path == "/v1/audio/speech"
    assert asked.json == {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "marin",
        "response_format": "pcm",
        "speed": 1.5,
    }


@pytest.mark.parametrize(
    ("setting", "asked", "sent"),
    [
        ("", "marin", "marin"),
        ("", "", "alloy"),
        ("", "en-us", "alloy"),
        ("bella", "marin", "bella"),
    ],
)
async def test_the_voice_is_the_one_of_the_settings_or_the_one_asked_for(
    setting: str, asked: str, sent: str
) -> None:
    async with http_peer(sounds(b"ab")) as peer, tts_at(peer, voice=setting) as (tts, _):
        await say(tts, voice=asked)
    assert peer.asked[0].json["voice"] == sent


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_wav_file_tells_its_own_rate(size: int) -> None:
    pcm = bytes(range(200))
    file = wav(pcm) + b"LIST\4\0\0\0abcd"
    file = file[:12] + b"JUNK" + struct.pack("<I", 3) + b"xyz\0" + file[12:]
    reader = PcmReader(24_000)
    heard = b"".join(reader.feed(file[at : at + size]) for at in range(0, len(file), size))
    reader.end()
    assert heard == pcm
    assert reader.rate_hz == 22_050


def test_a_wav_file_that_is_still_being_made_goes_on_to_its_end() -> None:
    file = bytearray(wav(b"ab" * 10))
    struct.pack_into("<I", file, 40, 0xFFFF_FFFF)
    assert PcmReader(24_000).feed(bytes(file)) == b"ab" * 10


TTS_FAULTS: dict[str, tuple[Script, dict[str, Any], str]] = {
    "broken": (answer(503), {}, "it answered with status 503"),
    "no audio": (answer(200, {"ok": True}), {}, "its answer is no audio"),
    "silence": (sounds(), {}, "it sent no sound"),
    "stereo": (sounds(wav(b"abcd", channels=2)), {}, "what it sent is no WAV file of 16-bit"),
    "endless head": (
        sounds(b"RIFF\0\0\0\0WAVE" + b"JUNK\xff\xff\0\0" + b"x" * 10_000),
        {},
        "what it sent is no WAV file that can be read",
    ),
    "never answers": (never_answers, {"first_s": 0.05}, "it did not begin to answer in time"),
}


@pytest.mark.parametrize("fault", TTS_FAULTS)
async def test_another_voice_takes_over_before_the_first_sound(fault: str) -> None:
    script, settings, reason = TTS_FAULTS[fault]
    spare = FakeTts()
    async with http_peer(script) as peer, tts_at(peer, **settings) as (tts, provider):
        order: Order[Tts] = Order(
            "tts",
            [Member("there", tts, lambda: provider.usable), Member("here", spare, lambda: True)],
        )
        assert await say(FailoverTts(order))
        assert provider.trouble.startswith(reason)
    assert spare.open == 0


async def test_no_other_voice_goes_on_with_what_broke_off() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type="audio/pcm", transfer_encoding="chunked")
        await exchange.send(b"abcd")
        await exchange.break_off()

    spare = FakeTts()
    async with http_peer(script) as peer, tts_at(peer) as (tts, _):
        order: Order[Tts] = Order(
            "tts", [Member("there", tts, lambda: True), Member("here", spare, lambda: True)]
        )
        with pytest.raises(ProviderFailed):
            await say(FailoverTts(order))
    assert spare.left == []
