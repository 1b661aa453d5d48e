"""What was heard, in words: checks 45 and 46 of the protocol sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.checking import Door
from tests.realtime.fakes import FakeStt, silence, speech, talking
from voiced.errors import EngineCrashed

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.realtime.live import Daemon

COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
BY_HAND: dict[str, Any] = {
    "input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}
}


async def test_check_45_each_committed_item_is_written_down_once(
    house_door: Door, spoken: bytes
) -> None:
    async with house_door.connect() as client:
        await client.configure(audio=BY_HAND)
        committed = []
        for pcm in (spoken, silence(500), spoken):
            await client.append(pcm)
            await client.send("input_audio_buffer.commit")
            committed.append((await client.until("input_audio_buffer.committed"))["item_id"])
        while sum(event["type"] == COMPLETED for event in client.events) < len(committed):
            await client.next()
        await client.nothing_comes()
        heard = [event for event in client.events if event["type"] == COMPLETED]
        assert sorted(event["item_id"] for event in heard) == sorted(committed)
        for event in heard:
            assert isinstance(event["transcript"], str)
            assert event["usage"]["type"] == "duration"
            if event["item_id"] == committed[1]:
                assert event["transcript"] == ""
                assert event["usage"]["seconds"] == pytest.approx(0.5)


async def test_check_45_a_recogniser_that_breaks_is_told(autojump_clock: MockClock) -> None:
    """In memory, since the daemon has an engine that died hear it all once more."""
    stt = FakeStt(error=EngineCrashed("it died", public="an engine crashed"))
    async with talking(stt=stt) as talk:
        talk.configure(audio=BY_HAND)
        await talk.hear(speech(500))
        talk.send("input_audio_buffer.commit")
        failed = await talk.until(FAILED)
        assert failed["error"]["code"] == "engine_crashed"
        assert COMPLETED not in [event["type"] for event in [*talk.events, *await talk.rest()]]


async def test_check_46_a_session_that_only_writes_down(house: Daemon, spoken: bytes) -> None:
    for door in (Door(house, secure=False), Door(house, secure=True)):
        async with door.connect("?intent=transcription") as client:
            session = client.events[0]["session"]
            assert (session["type"], session["object"]) == (
                "transcription",
                "realtime.transcription_session",
            )
            own = {"voiced"}
            keys = {"type", "object", "id", "expires_at", "audio", "include"}
            assert set(session) - own == keys
            assert set(session["audio"]) == {"input"}
            assert session["audio"]["input"]["transcription"] is None
            change = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            await client.send("session.update", session={"type": "transcription", **change})
            await client.until("session.updated")
            since = len(client.events)
            await client.speak(silence(300) + spoken + silence(700))
            completed = await client.until(COMPLETED)
            told = [k for k in client.types(since=since) if not k.endswith("transcription.delta")]
            assert told == [
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                COMPLETED,
            ]
            deltas = [e["delta"] for e in client.events if e["type"].endswith("ion.delta")]
            assert not deltas or "".join(deltas) == completed["transcript"]
            await client.send("response.create", event_id="mine")
            assert (await client.error())["event_id"] == "mine"
            await client.nothing_comes()
