"""Responses in text and in audio: checks 25 to 32 of the protocol sheet."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.conformance.checking import ANSWER, ANSWER_END, REPLY, Door, spoken_turn
from tests.realtime.live import secure_daemon

if TYPE_CHECKING:
    from pathlib import Path


async def test_check_25_a_text_turn_in_order(door: Door) -> None:
    async with door.connect() as client:
        response = await client.type_in("hello", output_modalities=["text"])
        assert client.types()[1:] == [
            "conversation.item.added",
            "conversation.item.done",
            *ANSWER,
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert client.text("response.output_text.delta", response["id"]) == REPLY
        done = next(e for e in client.events if e["type"] == "response.output_text.done")
        assert done["text"] == REPLY
        assert response["output"][0]["content"] == [{"type": "output_text", "text": REPLY}]


async def test_check_26_a_spoken_turn_in_order(plain_door: Door, spoken: bytes) -> None:
    async with plain_door.connect() as client:
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        since = len(client.events)
        await spoken_turn(client, spoken)
        response = (await client.until("response.done"))["response"]
        told = [
            kind
            for kind in client.types(since=since)
            if not kind.endswith((".delta", "input_audio_transcription.completed"))
        ]
        assert told == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            *ANSWER,
            *ANSWER_END,
        ]
        by_type = {event["type"]: event for event in reversed(client.events[since:])}
        item_id = by_type["input_audio_buffer.speech_started"]["item_id"]
        assert by_type["input_audio_buffer.speech_stopped"]["item_id"] == item_id
        assert by_type["input_audio_buffer.committed"]["item_id"] == item_id
        assert by_type["conversation.item.added"]["item"]["id"] == item_id
        assert by_type["conversation.item.added"]["item"]["content"] == [
            {"type": "input_audio", "transcript": None}
        ]
        assert by_type["response.content_part.added"]["part"]["type"] == "audio"
        assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": REPLY}]
        completed = by_type["conversation.item.input_audio_transcription.completed"]
        assert completed["item_id"] == item_id


async def test_check_27_the_audio_is_as_long_as_announced(door: Door) -> None:
    async with door.connect() as client:
        response = await client.type_in("hello")
        deltas = client.audio(response["id"])
        assert all(len(delta) % 2 == 0 for delta in deltas)
        assert sum(map(len, deltas)) / 48 == pytest.approx(1500)
        created = next(e for e in client.events if e["type"] == "response.created")
        assert created["response"]["audio"]["output"]["format"] == {
            "type": "audio/pcm",
            "rate": 24000,
        }


async def test_check_28_text_for_one_response_only(door: Door) -> None:
    async with door.connect() as client:
        text = await client.type_in("hello", output_modalities=["text"])
        assert not client.audio(text["id"])
        voice = await client.type_in("hello")
        assert client.audio(voice["id"])


@pytest.mark.parametrize("modality", ["text", "audio"])
async def test_check_29_a_response_of_five_words(house_door: Door, modality: str) -> None:
    async with house_door.connect() as client:
        response = await client.type_in(
            "what time is it", output_modalities=[modality], max_output_tokens=5
        )
        assert response["status"] == "incomplete"
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert response["usage"]["output_tokens"] <= 5
        (item,) = response["output"]
        assert item["status"] == "incomplete"
        types = [event["type"] for event in client.events]
        for added in ("response.output_item.added", "response.content_part.added"):
            assert types.count(added) == types.count(added.replace("added", "done")) == 1


async def test_check_30_one_response_at_a_time(door: Door) -> None:
    async with door.connect() as client:
        await client.add_text("hello")
        await client.send("response.create")
        created = await client.until("response.created")
        await client.send("response.create", event_id="second")
        error = await client.error()
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "second"
        done = await client.until("response.done")
        assert done["response"]["id"] == created["response"]["id"]
        assert done["response"]["status"] == "completed"


async def test_check_31_metadata_comes_back(door: Door) -> None:
    async with door.connect() as client:
        response = await client.type_in(
            "hello", metadata={"topic": "lamps"}, output_modalities=["text"]
        )
        created = next(e for e in client.events if e["type"] == "response.created")
        assert created["response"]["metadata"] == response["metadata"] == {"topic": "lamps"}


async def test_check_32_an_engine_that_dies_fails_the_response_alone(tmp_path: Path) -> None:
    with secure_daemon(tmp_path, VOICED_LLM__FIRST_MS="200", VOICED_LLM__REPLY="Yes.") as running:
        for door in (Door(running, secure=False), Door(running, secure=True)):
            async with door.connect() as client:
                await client.add_text("hello")
                pid = running.engine_pid("llm")
                os.kill(pid, signal.SIGSTOP)  # so that it dies in the middle of it
                await client.send("response.create")
                await client.until("response.created")
                await client.configure()  # another turn of the loop: it has been asked
                os.kill(pid, signal.SIGKILL)
                response = (await client.until("response.done"))["response"]
                assert response["status"] == "failed"
                assert response["status_details"]["error"]["code"] == "engine_crashed"
                assert (await client.type_in("hello"))["status"] == "completed"
