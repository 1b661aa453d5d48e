"""Transcription sessions, and transcripts in any session: exactly one end for each item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.realtime.fakes import FakeStt, Talk, silence, speech, talking
from voiced.conversation import inputs as inp
from voiced.errors import EngineCrashed
from voiced.tools.notice import Notice

if TYPE_CHECKING:
    from trio.testing import MockClock

TRANSCRIPTION = "conversation.item.input_audio_transcription"
COMMITTED = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
WANTED = {"audio": {"input": {"transcription": {"model": "phrases"}}}}


async def say_something(talk: Talk) -> None:
    await talk.hear(silence(500) + speech(1000) + silence(400))


def transcripts(events: list[dict[str, Any]]) -> list[str]:
    return [e["transcript"] for e in events if e["type"] == f"{TRANSCRIPTION}.completed"]


async def test_a_transcription_session_writes_down_and_does_not_answer(
    autojump_clock: MockClock,
) -> None:
    async with talking(stt=FakeStt("what time is it"), intent="transcription") as talk:
        talk.configure(**WANTED)
        await talk.until("session.updated")
        talk.events.clear()
        await say_something(talk)
        await talk.rest()
        ends = [f"{TRANSCRIPTION}.delta", f"{TRANSCRIPTION}.completed"]
        assert [event["type"] for event in talk.events] == COMMITTED + ends
        assert len({event["item_id"] for event in talk.events if "item_id" in event}) == 1
        delta, completed = talk.events[-2:]
        assert delta["delta"] == completed["transcript"] == "what time is it"
        assert completed["usage"]["type"] == "duration"
        assert completed["usage"]["seconds"] == pytest.approx(1.5, abs=0.1)


async def test_its_session_object_has_nothing_about_answers(autojump_clock: MockClock) -> None:
    async with talking(intent="transcription") as talk:
        created = talk.events[0]["session"]
        about_it = {"type", "object", "id", "expires_at", "audio", "include", "voiced"}
        assert created.keys() == about_it
        assert created["type"] == "transcription"
        assert created["object"] == "realtime.transcription_session"
        assert created["audio"].keys() == {"input"}
        assert created["audio"]["input"] == {
            "format": {"type": "audio/pcm", "rate": 24_000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
            },
        }


async def test_nothing_is_transcribed_until_it_is_asked_for(autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt, intent="transcription") as talk:
        await say_something(talk)
        await talk.rest()
        assert [event["type"] for event in talk.events[1:]] == COMMITTED
        assert stt.asked == []
        talk.configure(**WANTED)
        await say_something(talk)
        await talk.until(f"{TRANSCRIPTION}.completed")
        assert len(stt.asked) == 1
        talk.configure(audio={"input": {"transcription": None}})
        await say_something(talk)
        await talk.rest()
        assert len(stt.heard) == 1


async def test_by_hand_in_a_transcription_session(autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt, intent="transcription") as talk:
        talk.configure(audio={"input": {"turn_detection": None, "transcription": {}}})
        await talk.hear(speech(700))
        talk.send("input_audio_buffer.commit")
        await talk.until(f"{TRANSCRIPTION}.completed")
        assert len(stt.heard) == 1
        assert talk.types()[2:] == [
            *COMMITTED[2:],
            f"{TRANSCRIPTION}.delta",
            f"{TRANSCRIPTION}.completed",
        ]


async def test_no_answers_can_be_had_there(autojump_clock: MockClock) -> None:
    async with talking(intent="transcription") as talk:
        talk.send("response.create", event_id="mine")
        error = (await talk.until("error"))["error"]
        assert error["event_id"] == "mine"
        assert error["code"] == "response_create_not_available"
        assert "response.create" in error["message"]
        talk.send("response.cancel")
        assert (await talk.until("error"))["error"]["code"] == "response_cancel_not_active"
        talk.configure(audio={"input": {"turn_detection": {"create_response": True}}})
        shown = (await talk.until("session.updated"))["session"]["audio"]["input"]
        assert "create_response" not in shown["turn_detection"]
        talk.configure(**WANTED)
        await say_something(talk)
        assert not [e for e in await talk.rest() if e["type"].startswith("response.")]


async def test_nothing_is_announced_there(autojump_clock: MockClock) -> None:
    taken: list[str] = []

    def take() -> Notice:
        taken.append("taken")
        return Notice("Your timer is over.", lambda heard: None)

    async with talking(intent="transcription", take_missed=take) as talk:
        await trio.sleep(60)
        assert talk.announce("Your timer is over.") == [False]
        talk.session.apply(inp.Announce("Your timer is over."))
        assert await talk.rest() == []
    assert taken == []


@pytest.mark.parametrize(
    ("intent", "other"), [(None, "transcription"), ("transcription", "realtime")]
)
async def test_the_type_of_a_session_is_fixed(
    intent: str | None, other: str, autojump_clock: MockClock
) -> None:
    async with talking(intent=intent) as talk:
        talk.send("session.update", session={"type": other}, event_id="mine")
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (
            "invalid_parameter",
            "session.type",
            "mine",
        )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"instructions": "Be brief."}, "session.instructions"),
        ({"model": "voiced"}, "session.model"),
        ({"audio": {"output": {"voice": "alloy"}}}, "session.audio.output"),
        ({"audio": {"input": {"nonsense": 1}}}, "session.audio.input.nonsense"),
    ],
)
async def test_what_is_not_of_a_transcription_session_is_refused_by_name(
    fields: dict[str, Any], param: str, autojump_clock: MockClock
) -> None:
    async with talking(intent="transcription") as talk:
        talk.configure(**{**WANTED, **fields})
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["param"]) == ("unknown_parameter", param)
        talk.configure()
        shown = (await talk.until("session.updated"))["session"]
        if "audio" not in fields:
            assert shown["audio"]["input"]["transcription"] is None


# -- transcripts in a conversation ----------------------------------------------------------


async def test_each_committed_item_has_one_transcript(autojump_clock: MockClock) -> None:
    async with talking(stt=FakeStt("hello", delay_s=3.0)) as talk:
        talk.configure(audio={"input": {**WANTED["audio"]["input"], "turn_detection": None}})
        for _ in range(3):
            await talk.hear(speech(300))
            talk.send("input_audio_buffer.commit")
        events = await talk.rest()
        committed = [e["item_id"] for e in events if e["type"].endswith("buffer.committed")]
        ends = [e["item_id"] for e in events if e["type"] == f"{TRANSCRIPTION}.completed"]
        assert len(committed) == 3
        assert sorted(ends) == sorted(committed)
        assert transcripts(events) == ["hello"] * 3


async def test_silence_has_an_empty_transcript(autojump_clock: MockClock) -> None:
    async with talking(stt=FakeStt("")) as talk:
        talk.configure(audio={"input": {**WANTED["audio"]["input"], "turn_detection": None}})
        await talk.hear(silence(500))
        talk.send("input_audio_buffer.commit")
        events = await talk.rest()
        assert transcripts(events) == [""]
        assert f"{TRANSCRIPTION}.delta" not in [event["type"] for event in events]


async def test_a_broken_recogniser_fails_the_item_and_only_that(
    autojump_clock: MockClock,
) -> None:
    stt = FakeStt(error=EngineCrashed("it died"))
    async with talking(stt=stt, intent="transcription") as talk:
        talk.configure(**WANTED)
        await say_something(talk)
        events = await talk.rest()
        (failed,) = [e for e in events if e["type"] == f"{TRANSCRIPTION}.failed"]
        assert failed["error"].keys() == {"type", "code", "message"}
        assert transcripts(events) == []
        assert "error" not in [event["type"] for event in events]
        stt.error = None
        await say_something(talk)
        assert transcripts(await talk.rest()) == ["what time is it"]
