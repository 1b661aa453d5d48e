"""Audio of items in a session: retrieved as it was, cut, forgotten, and given by clients."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import soxr
from msgspec import structs

from tests.realtime.fakes import (
    FakeLlm,
    FakeStt,
    FakeTts,
    Talk,
    make_settings,
    says,
    silence,
    speech,
    talking,
)
from voiced.audio.formats import PCM, PCMA, PCMU, WireFormat
from voiced.audio.pcm import SPEECH_HZ, duration_ms
from voiced.errors import EngineCrashed
from voiced.realtime.wire import MOST_CONTROL_CHARS

if TYPE_CHECKING:
    from trio.testing import MockClock

    from voiced.settings import Settings

TRANSCRIPTION = "conversation.item.input_audio_transcription"
FORMATS = pytest.mark.parametrize("form", [PCM, PCMU, PCMA], ids=["pcm", "pcmu", "pcma"])


async def retrieve(talk: Talk, item_id: str) -> dict[str, Any]:
    """The only content part of an item."""
    talk.send("conversation.item.retrieve", item_id=item_id)
    (part,) = (await talk.until("conversation.item.retrieved"))["item"]["content"]
    return dict(part)


def sound(part: dict[str, Any]) -> bytes:
    return base64.b64decode(part["audio"])


def sent(talk: Talk) -> bytes:
    deltas = [e["delta"] for e in talk.events if e["type"] == "response.output_audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


def user_item(*content: dict[str, Any], **fields: object) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content), **fields}


def spoken_part(audio: bytes, **fields: object) -> dict[str, Any]:
    return {"type": "input_audio", "audio": base64.b64encode(audio).decode(), **fields}


def as_sent(pcm: bytes, form: WireFormat) -> bytes:
    samples = np.frombuffer(pcm, np.int16)
    return form.encode(soxr.resample(samples, PCM.rate_hz, form.rate_hz))


def keeping(megabytes: float, *, outbox_bytes: int | None = None) -> Settings:
    def change(settings: Settings) -> Settings:
        if outbox_bytes is None:
            return settings
        limits = structs.replace(settings.limits, outbox_bytes=outbox_bytes)
        return structs.replace(settings, limits=limits)

    return make_settings(change, item_audio_mb=megabytes)


# -- what a person said ---------------------------------------------------------------------


@FORMATS
async def test_a_spoken_item_has_the_audio_that_came(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    audio = as_sent(silence(500) + speech(1000) + silence(500), form)
    async with talking(stt=FakeStt("hello")) as talk:
        talk.configure(audio={"input": {"format": {"type": form.name}, "transcription": {}}})
        await talk.hear(audio, form=form)
        started = await talk.until("input_audio_buffer.speech_started")
        stopped = await talk.until("input_audio_buffer.speech_stopped")
        await talk.until(f"{TRANSCRIPTION}.completed")
        part = await retrieve(talk, started["item_id"])
        assert part["transcript"] == "hello"
        assert sound(part) in audio
        start_ms, end_ms = started["audio_start_ms"], stopped["audio_end_ms"]
        assert audio.index(sound(part)) == pytest.approx(form.bytes_for_ms(start_ms), abs=50)
        assert form.duration_ms(len(sound(part))) == pytest.approx(end_ms - start_ms, abs=33)


async def test_a_committed_buffer_is_the_audio_of_its_item(autojump_clock: MockClock) -> None:
    audio = speech(731)
    async with talking() as talk:
        talk.configure(audio={"input": {"turn_detection": None}})
        await talk.hear(audio)
        talk.send("input_audio_buffer.commit")
        item_id = (await talk.until("input_audio_buffer.committed"))["item_id"]
        assert sound(await retrieve(talk, item_id)) == audio
        assert (await retrieve(talk, item_id))["transcript"] in (None, "what time is it")


async def test_commit_in_mid_speech_keeps_the_whole_of_it(autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        await talk.hear(silence(500) + speech(1000))
        talk.send("input_audio_buffer.commit")
        item_id = (await talk.until("input_audio_buffer.committed"))["item_id"]
        kept = sound(await retrieve(talk, item_id))
        await talk.rest()
        assert PCM.duration_ms(len(kept)) == pytest.approx(1300, abs=70)
        heard_ms = duration_ms(len(stt.heard[0]), SPEECH_HZ)
        assert PCM.duration_ms(len(kept)) == pytest.approx(heard_ms, abs=1)


async def test_audio_of_no_item_is_not_kept(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        await talk.hear(silence(20_000), portion_ms=100)
        assert talk.session.item_audio.size_bytes == 0
        assert talk.session.held_bytes < 20_000
        await talk.hear(speech(600))
        talk.send("input_audio_buffer.clear")
        await talk.rest()
        assert talk.session.item_audio.size_bytes == 0
        assert talk.session.held_bytes == 0


# -- what the assistant said ----------------------------------------------------------------


@FORMATS
async def test_an_answer_has_the_audio_that_was_sent(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.configure(audio={"output": {"format": {"type": form.name}}})
        talk.type_in("hello")
        item_id = (await talk.until("response.output_item.done"))["item"]["id"]
        part = await retrieve(talk, item_id)
        assert part["type"] == "output_audio"
        assert part["transcript"] == "It is noon."
        assert sound(part) == sent(talk)
        assert form.duration_ms(len(sound(part))) == pytest.approx(1000)


@FORMATS
async def test_truncation_cuts_the_audio_and_drops_the_words(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.configure(audio={"output": {"format": {"type": form.name}}})
        talk.type_in("hello")
        item_id = (await talk.until("response.output_item.done"))["item"]["id"]
        for end_ms, left_ms in ((501, 501), (900, 501), (0, 0)):
            talk.send(
                "conversation.item.truncate",
                item_id=item_id,
                content_index=0,
                audio_end_ms=end_ms,
            )
            part = await retrieve(talk, item_id)
            assert form.duration_ms(len(sound(part))) == left_ms
            assert sent(talk).startswith(sound(part))
            assert "transcript" not in part


async def test_truncated_while_it_is_spoken_it_stays_cut(autojump_clock: MockClock) -> None:
    async with talking(tts=FakeTts(clause_ms=2000)) as talk:
        talk.type_in("hello")
        item_id = (await talk.until("response.output_audio.delta"))["item_id"]
        talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)
        await talk.until("response.done")
        assert PCM.duration_ms(len(sound(await retrieve(talk, item_id)))) == 50


async def test_an_answer_beside_the_conversation_is_not_kept(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.type_in("hello", conversation="none")
        await talk.until("response.done")
        assert sent(talk)
        assert talk.session.item_audio.size_bytes == 0


async def test_events_about_items_carry_no_audio(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        await talk.hear(silence(500) + speech(1000) + silence(500))
        await talk.until("response.done")
        assert talk.session.item_audio.size_bytes > 0
        for event in talk.events:
            if event["type"] != "response.output_audio.delta":
                assert '"audio": "' not in json.dumps(event)
        assert all(
            b'"audio"' not in msgspec.json.encode(i) for i in talk.history.items(talk.session.id)
        )


# -- bounds ---------------------------------------------------------------------------------


async def test_a_deleted_item_frees_its_audio(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.type_in("hello")
        item_id = (await talk.until("response.output_item.done"))["item"]["id"]
        assert talk.session.item_audio.size_bytes > 0
        talk.send("conversation.item.delete", item_id=item_id)
        await talk.until("conversation.item.deleted")
        assert talk.session.item_audio.size_bytes == 0


async def test_items_that_leave_the_history_free_their_audio(autojump_clock: MockClock) -> None:
    async with talking(settings=make_settings(history_items=2)) as talk:
        for _ in range(4):
            talk.type_in("hello")
            await talk.until("response.done")
        assert talk.session.item_audio.size_bytes == PCM.bytes_for_ms(500)


async def test_the_oldest_audio_goes_first_and_the_item_stays(autojump_clock: MockClock) -> None:
    one_and_a_half = PCM.bytes_for_ms(750) / 2**20
    async with talking(settings=keeping(one_and_a_half)) as talk:
        items = []
        for _ in range(2):
            talk.type_in("hello")
            items.append((await talk.until("response.output_item.done"))["item"]["id"])
            await talk.until("response.done")
        assert "audio" not in await retrieve(talk, items[0])
        assert (await retrieve(talk, items[0]))["transcript"] == "It is noon."
        assert len(sound(await retrieve(talk, items[1]))) == PCM.bytes_for_ms(500)


async def test_the_audio_of_a_session_goes_with_it(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.type_in("hello")
        await talk.until("response.done")
        assert talk.hub.audio_bytes == PCM.bytes_for_ms(500)
        talk.session.end("the test is over")
        assert talk.hub.audio_bytes == 0


async def test_audio_larger_than_the_outbox_can_be_retrieved(autojump_clock: MockClock) -> None:
    """And what is said meanwhile has all of its room."""
    async with talking(settings=keeping(8.0, outbox_bytes=100_000)) as talk:
        talk.configure(audio={"input": {"turn_detection": None}})
        audio = speech(10_000)
        await talk.hear(audio, portion_ms=1000)
        talk.send("input_audio_buffer.commit")
        item_id = (await talk.until("input_audio_buffer.committed"))["item_id"]
        await talk.rest()
        talk.send("conversation.item.retrieve", item_id=item_id)
        for _ in range(50):
            talk.configure()
        (part,) = (await talk.until("conversation.item.retrieved"))["item"]["content"]
        assert sound(part) == audio
        assert [e["type"] for e in await talk.rest()] == ["session.updated"] * 50
        assert talk.closed is None
        assert talk.session.outbox.size_bytes == 0


# -- audio in new items ---------------------------------------------------------------------


@FORMATS
async def test_a_new_item_with_audio_is_heard_before_it_is_answered(
    form: WireFormat, autojump_clock: MockClock
) -> None:
    stt = FakeStt("turn on the lamp", delay_s=2.0)
    llm = FakeLlm(says("Done."))
    audio = as_sent(speech(900), form)
    async with talking(stt=stt, llm=llm) as talk:
        talk.configure(
            audio={"input": {"format": {"type": form.name}, "transcription": {"model": "x"}}}
        )
        talk.send("conversation.item.create", item=user_item(spoken_part(audio), id="mine"))
        talk.send("response.create")
        added = await talk.until("conversation.item.added")
        assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        await talk.until("response.created")
        assert llm.asked == []
        completed = await talk.until(f"{TRANSCRIPTION}.completed")
        assert completed["item_id"] == "mine"
        assert completed["usage"]["seconds"] == pytest.approx(0.9, abs=0.01)
        await talk.until("response.done")
        assert llm.asked[0][-1]["content"] == "turn on the lamp"
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(900, abs=1)
        part = await retrieve(talk, "mine")
        assert (sound(part), part["transcript"]) == (audio, "turn on the lamp")


async def test_words_that_come_with_the_audio_are_believed(autojump_clock: MockClock) -> None:
    stt, llm = FakeStt("something else"), FakeLlm(says("Done."))
    async with talking(stt=stt, llm=llm) as talk:
        part = spoken_part(speech(300), transcript="turn on the lamp")
        typed = {"type": "input_text", "text": "Please:"}
        talk.send("conversation.item.create", item=user_item(typed, part))
        talk.send("response.create")
        await talk.until("response.done")
        assert stt.asked == []
        assert llm.asked[0][-1]["content"] == "Please: turn on the lamp"


async def test_typed_words_beside_the_audio_stay(autojump_clock: MockClock) -> None:
    llm = FakeLlm(says("Done."))
    async with talking(stt=FakeStt("the lamp"), llm=llm) as talk:
        typed = {"type": "input_text", "text": "Turn on"}
        talk.send("conversation.item.create", item=user_item(typed, spoken_part(speech(300))))
        talk.send("response.create")
        await talk.until("response.done")
        assert llm.asked[0][-1]["content"] == "Turn on the lamp"


async def test_a_new_item_that_is_not_understood_fails_what_it_asked(
    autojump_clock: MockClock,
) -> None:
    async with talking(stt=FakeStt(error=EngineCrashed("it died"))) as talk:
        talk.configure(audio={"input": {"transcription": {}}})
        talk.send("conversation.item.create", item=user_item(spoken_part(speech(300))))
        talk.send("response.create")
        await talk.until(f"{TRANSCRIPTION}.failed")
        assert (await talk.until("response.done"))["response"]["status"] == "failed"


async def test_a_transcription_session_writes_down_new_items(autojump_clock: MockClock) -> None:
    async with talking(stt=FakeStt("hello"), intent="transcription") as talk:
        talk.send("conversation.item.create", item=user_item(spoken_part(speech(300))))
        await talk.until("conversation.item.done")
        assert await talk.rest() == []
        talk.configure(audio={"input": {"transcription": {}}})
        talk.send("conversation.item.create", item=user_item(spoken_part(speech(300))))
        assert (await talk.until(f"{TRANSCRIPTION}.completed"))["transcript"] == "hello"


async def test_a_new_item_may_be_as_long_as_a_turn_and_no_longer(
    autojump_clock: MockClock,
) -> None:
    def short(settings: Settings) -> Settings:
        limits = structs.replace(settings.limits, input_audio_s=30.0)
        return structs.replace(settings, limits=limits)

    stt = FakeStt()
    async with talking(stt=stt, settings=make_settings(short)) as talk:
        audio = silence(30_000)
        assert len(audio) > MOST_CONTROL_CHARS
        talk.send("conversation.item.create", item=user_item(spoken_part(audio), id="mine"))
        await talk.until("conversation.item.done")
        await talk.rest()
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(30_000, abs=10)
        talk.send(
            "conversation.item.create",
            item=user_item(spoken_part(audio + silence(100))),
            event_id="mine",
        )
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (
            "invalid_value",
            "item.content",
            "mine",
        )


SECOND = {"type": "input_audio", "audio": "AAA=", "transcript": "a"}


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (user_item(spoken_part(b"")), "invalid_value", "item.content[0].audio"),
        (user_item(spoken_part(bytes(3))), "invalid_value", "item.content"),
        (
            user_item({"type": "input_audio", "audio": "@@"}),
            "invalid_value",
            "item.content[0].audio",
        ),
        (user_item({"type": "input_audio"}), "missing_required_parameter", "item.content[0].audio"),
        (user_item(SECOND, SECOND), "invalid_value", "item.content[1].type"),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_audio", "audio": "AAAA"}],
            },
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            {"type": "message", "role": "system", "content": [SECOND]},
            "invalid_value",
            "item.content[0].type",
        ),
    ],
)
async def test_what_is_no_audio_of_a_user_is_refused_by_name(
    item: dict[str, Any], code: str, param: str, autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        talk.send("conversation.item.create", item=item, event_id="mine")
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        assert await talk.rest() == []
        assert talk.session.item_audio.size_bytes == 0


async def test_audio_as_the_context_of_one_response_needs_its_words(
    autojump_clock: MockClock,
) -> None:
    llm = FakeLlm(says("Done."))
    async with talking(llm=llm) as talk:
        talk.send("response.create", response={"input": [user_item(spoken_part(speech(300)))]})
        error = (await talk.until("error"))["error"]
        assert error["param"] == "response.input[0].content"
        part = spoken_part(speech(300), transcript="turn on the lamp")
        talk.send("response.create", response={"input": [user_item(part)]})
        await talk.until("response.done")
        assert llm.asked[0][-1]["content"] == "turn on the lamp"
