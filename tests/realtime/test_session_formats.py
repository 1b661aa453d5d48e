"""Audio formats of a session: G.711 both ways, and what changes when."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soxr

from tests.realtime.fakes import FakeLlm, FakeStt, FakeTts, Talk, says, silence, speech, talking
from voiced.audio.formats import FORMATS, PCM, PCMA, PCMU, WireFormat
from voiced.audio.pcm import SPEECH_HZ, duration_ms

if TYPE_CHECKING:
    from trio.testing import MockClock

EVERY_FORMAT = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
PHONE = pytest.mark.parametrize("form", [PCMU, PCMA], ids=["pcmu", "pcma"])


def as_sent(pcm: bytes, form: WireFormat) -> bytes:
    """PCM16 at 24 kHz as a client with that format would send it."""
    samples = np.frombuffer(pcm, np.int16)
    return form.encode(soxr.resample(samples, PCM.rate_hz, form.rate_hz))


def use(talk: Talk, form: WireFormat, *sides: str) -> None:
    talk.configure(audio={side: {"format": {"type": form.name}} for side in sides})


async def hear(talk: Talk, pcm: bytes, form: WireFormat) -> None:
    await talk.hear(as_sent(pcm, form), form=form)


def deltas(talk: Talk) -> list[bytes]:
    return [
        base64.b64decode(event["delta"])
        for event in talk.events
        if event["type"] == "response.output_audio.delta"
    ]


def times(talk: Talk) -> list[int]:
    found = [e.get("audio_start_ms", e.get("audio_end_ms")) for e in talk.events]
    return [time for time in found if time is not None]


@EVERY_FORMAT
async def test_a_spoken_turn_in_each_format(form: WireFormat, autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt, tts=FakeTts(clause_ms=1000, rate=22_050)) as talk:
        use(talk, form, "input", "output")
        updated = (await talk.until("session.updated"))["session"]["audio"]
        assert updated["input"]["format"]["type"] == form.name
        await hear(talk, silence(500) + speech(1000) + silence(700), form)
        done = (await talk.until("response.done"))["response"]
        assert done["audio"]["output"]["format"] == updated["output"]["format"]
        start_ms, end_ms = times(talk)
        assert start_ms == pytest.approx(200, abs=40)
        assert end_ms == pytest.approx(1700, abs=70)
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(end_ms - start_ms, abs=33)
        assert all(len(delta) % form.sample_bytes == 0 for delta in deltas(talk))
        assert form.duration_ms(sum(map(len, deltas(talk)))) == pytest.approx(1000, abs=2)
        assert max(form.duration_ms(len(delta)) for delta in deltas(talk)) <= 100


@PHONE
async def test_the_recogniser_hears_the_telephone_as_it_sounded(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        use(talk, form, "input")
        await hear(talk, silence(500) + speech(1000) + silence(700), form)
        await talk.until("conversation.item.done")
        await talk.rest()
    heard = np.frombuffer(stt.heard[0], np.int16).astype(float)
    middle = heard[len(heard) // 3 : len(heard) // 3 + 4096]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.05)
    tone_hz = np.argmax(np.abs(np.fft.rfft(middle))) * SPEECH_HZ / len(middle)
    assert tone_hz == pytest.approx(400, abs=5)


async def test_the_voice_sounds_the_same_by_telephone(autojump_clock: MockClock) -> None:
    def tone(rate: int) -> bytes:
        samples = 8000 * np.sin(2 * np.pi * 400 * np.arange(rate // 10) / rate)
        return np.asarray(samples, np.int16).tobytes()

    async with talking(tts=FakeTts(clause_ms=500, portion=tone(22_050), rate=22_050)) as talk:
        use(talk, PCMA, "output")
        talk.type_in("hello")
        await talk.until("response.done")
        spoken = PCMA.decode(b"".join(deltas(talk))).astype(float)
    tone_hz = np.argmax(np.abs(np.fft.rfft(spoken))) * PCMA.rate_hz / len(spoken)
    assert tone_hz == pytest.approx(400, abs=5)


async def test_an_odd_number_of_bytes_is_whole_samples_in_g711_alone(
    autojump_clock: MockClock,
) -> None:
    async with talking() as talk:
        odd = base64.b64encode(bytes(3)).decode()
        talk.send("input_audio_buffer.append", audio=odd, event_id="mine")
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (
            "invalid_value",
            "audio",
            "mine",
        )
        assert talk.session.pipeline.buffered_ms == 0
        use(talk, PCMU, "input")
        talk.send("input_audio_buffer.append", audio=odd)
        assert [e["type"] for e in await talk.rest()] == ["session.updated"]
        assert talk.session.pipeline.buffered_ms == 3 / 8


@PHONE
async def test_the_least_to_commit_is_counted_in_milliseconds(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        talk.configure(audio={"input": {"format": {"type": form.name}, "turn_detection": None}})
        talk.session.pipeline.feed(form.silence * 799)
        talk.send("input_audio_buffer.commit")
        error = (await talk.until("error"))["error"]
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert "99.88ms" in error["message"]
        talk.session.pipeline.feed(form.silence)
        talk.send("input_audio_buffer.commit")
        await talk.until("input_audio_buffer.committed")


async def test_another_input_format_waits_for_the_end_of_the_turn(
    autojump_clock: MockClock,
) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        await talk.hear(silence(300) + speech(500))
        await talk.until("input_audio_buffer.speech_started")
        use(talk, PCMU, "input")
        await talk.until("session.updated")
        await talk.hear(speech(500))
        while talk.session.pipeline.form is PCM:
            await talk.hear(silence(20))
        await talk.until("input_audio_buffer.committed")
        await hear(talk, silence(500) + speech(1000) + silence(500), PCMU)
        await talk.rest()
        lengths = [duration_ms(len(pcm), SPEECH_HZ) for pcm in stt.heard]
        assert lengths == [pytest.approx(1500, abs=70), pytest.approx(1500, abs=70)]
        assert times(talk) == sorted(times(talk))


async def test_another_input_format_waits_for_the_commit(autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        talk.configure(audio={"input": {"turn_detection": None}})
        talk.session.pipeline.feed(speech(500))
        use(talk, PCMA, "input")
        talk.session.pipeline.feed(speech(500))
        talk.send("input_audio_buffer.commit")
        talk.session.pipeline.feed(as_sent(speech(700), PCMA))
        assert talk.session.pipeline.buffered_ms == pytest.approx(700)
        talk.send("input_audio_buffer.commit")
        await talk.rest()
        lengths = [duration_ms(len(pcm), SPEECH_HZ) for pcm in stt.heard]
        assert sorted(lengths) == [pytest.approx(700, abs=1), pytest.approx(1000, abs=1)]


async def test_another_output_format_is_that_of_the_next_response(
    autojump_clock: MockClock,
) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.type_in("hello")
        created = await talk.until("response.created")
        await talk.until("response.output_audio.delta")
        use(talk, PCMU, "output")
        done = await talk.until("response.done")
        kind = {"type": "audio/pcm", "rate": 24_000}
        assert created["response"]["audio"]["output"]["format"] == kind
        assert done["response"]["audio"]["output"]["format"] == kind
        assert PCM.duration_ms(sum(map(len, deltas(talk)))) == pytest.approx(1000)
        talk.events.clear()
        talk.type_in("again")
        done = await talk.until("response.done")
        assert done["response"]["audio"]["output"]["format"] == {"type": "audio/pcmu"}
        assert PCMU.duration_ms(sum(map(len, deltas(talk)))) == pytest.approx(1000)


async def test_a_response_may_have_a_format_of_its_own(autojump_clock: MockClock) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.type_in("hello", audio={"output": {"format": {"type": "audio/pcma"}}})
        created = await talk.until("response.created")
        assert created["response"]["audio"]["output"]["format"] == {"type": "audio/pcma"}
        await talk.until("response.done")
        assert PCMA.duration_ms(sum(map(len, deltas(talk)))) == pytest.approx(1000)


@PHONE
async def test_truncation_counts_milliseconds_by_telephone(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    llm = FakeLlm(says("One two three four five six seven eight nine ten."))
    async with talking(llm=llm, tts=FakeTts(clause_ms=1000)) as talk:
        use(talk, form, "output")
        talk.type_in("count")
        item_id = (await talk.until("response.output_item.done"))["item"]["id"]
        talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500)
        assert (await talk.until("conversation.item.truncated"))["audio_end_ms"] == 500
        talk.type_in("go on")
        await talk.until("response.done")
        said = [m["content"] for m in llm.asked[-1] if m["role"] == "assistant"]
        assert said == ["One two three four five "] or said == ["One two three four five"]
        talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1501)
        assert (await talk.until("error"))["error"]["param"] == "audio_end_ms"


@pytest.mark.parametrize(
    ("wanted", "code", "param"),
    [
        ({"type": "audio/pcm", "rate": 16_000}, "integer_below_min_value", "rate"),
        ({"type": "audio/pcm", "rate": 48_000}, "integer_above_max_value", "rate"),
        ({"type": "audio/pcmu", "rate": 8_000}, "unknown_parameter", "rate"),
        ({"type": "audio/opus"}, "invalid_value", "type"),
    ],
)
async def test_other_formats_are_refused(
    wanted: dict[str, Any], code: str, param: str, autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        talk.configure(audio={"input": {"format": wanted}})
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["param"]) == (code, f"session.audio.input.format.{param}")
        assert talk.session.pipeline.form is PCM


async def test_a_voice_by_its_id_is_a_string_in_responses(autojump_clock: MockClock) -> None:
    tts = FakeTts()
    async with talking(tts=tts) as talk:
        talk.configure(audio={"output": {"voice": {"id": "en-gb"}}})
        shown = (await talk.until("session.updated"))["session"]["audio"]["output"]["voice"]
        assert shown == {"id": "en-gb"}
        talk.type_in("hello")
        created = await talk.until("response.created")
        assert created["response"]["audio"]["output"]["voice"] == "en-gb"
        await talk.until("response.done")
        assert tts.spoken[0][1] == "en-gb"
        talk.configure(audio={"output": {"voice": "en-gb"}})
        await talk.until("session.updated")  # the same voice in its other form
        talk.configure(audio={"output": {"voice": "marin"}})
        assert (await talk.until("error"))["error"]["code"] == "cannot_update_voice"


async def test_another_speed_is_that_of_the_next_response(autojump_clock: MockClock) -> None:
    tts = FakeTts(clause_ms=1000)
    async with talking(llm=FakeLlm(says("One. ", "Two. ", "Three.")), tts=tts) as talk:
        talk.type_in("count")
        await talk.until("response.output_audio.delta")
        talk.configure(audio={"output": {"speed": 1.25}})
        await talk.until("response.done")
        talk.type_in("again")
        await talk.until("response.done")
        assert [speed for _, _, speed in tts.spoken] == [1.0] * 3 + [1.25] * 3
