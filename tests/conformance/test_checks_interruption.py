"""Interruption, cancelling and truncation: checks 36 to 41 of the protocol sheet."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import trio

from tests.conformance.checking import ANSWER_END, spoken_turn
from tests.realtime.fakes import silence
from voiced.audio.formats import PCM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.checking import Door


async def test_check_36_barge_in(plain_door: Door, spoken: bytes) -> None:
    async with plain_door.connect() as client:
        await client.add_text("hello")
        async with trio.open_nursery() as nursery:
            await client.speak(silence(300))
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            nursery.start_soon(client.speak, spoken + silence(500))
            await client.until("input_audio_buffer.speech_started")
            since = len(client.events)
            done = await client.until("response.done")
            first = done["response"]
            assert first["status"] == "cancelled"
            assert first["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            assert first["output"][0]["status"] == "incomplete"
            assert client.types(since=since) == ANSWER_END
            since = len(client.events)
            await client.until("response.done")
            assert all(e.get("response_id") != first["id"] for e in client.events[since:])


async def test_check_37_interruptions_may_be_switched_off(plain_door: Door, spoken: bytes) -> None:
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    async with plain_door.connect() as client:
        await client.configure(audio={"input": {"turn_detection": detection}})
        await client.add_text("hello")
        await client.speak(silence(300))
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.speak, spoken + silence(500))
            # Which of the two comes first is a matter of chance.
            awaited = {"response.done", "input_audio_buffer.committed"}
            while awaited:
                awaited.discard((await client.next())["type"])
        (done,) = (e for e in client.events if e["type"] == "response.done")
        assert done["response"]["status"] == "completed"
        assert "input_audio_buffer.speech_started" in client.types()


async def test_check_38_answers_may_be_switched_off(plain_door: Door, spoken: bytes) -> None:
    detection = {"type": "server_vad", "create_response": False}
    async with plain_door.connect() as client:
        await client.configure(
            audio={"input": {"turn_detection": detection, "transcription": {"model": "whisper-1"}}}
        )
        await spoken_turn(client, spoken)
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.nothing_comes()
        assert "response.created" not in client.types()


async def test_check_39_cancel(door: Door) -> None:
    async with door.connect() as client:
        await client.send("response.cancel", event_id="idle")
        error = await client.error()
        assert error["code"] == "response_cancel_not_active"
        assert error["event_id"] == "idle"
        await client.nothing_comes()
        await client.add_text("hello")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        response = (await client.until("response.done"))["response"]
        assert response["status_details"]["reason"] == "client_cancelled"
        await client.nothing_comes()


async def test_check_40_truncate(door: Door) -> None:
    async with door.connect() as client:
        response = await client.type_in("hello")
        item_id = response["output"][0]["id"]
        sent = b"".join(client.audio(response["id"]))

        async def truncate(**change: object) -> None:
            fields: Mapping[str, object] = {
                "item_id": item_id,
                "content_index": 0,
                "audio_end_ms": 750,
                **change,
            }
            await client.send("conversation.item.truncate", **fields)

        await truncate()
        truncated = await client.until("conversation.item.truncated")
        assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, 750)
        await client.send("conversation.item.retrieve", item_id=item_id)
        (part,) = (await client.until("conversation.item.retrieved"))["item"]["content"]
        assert "transcript" not in part
        assert base64.b64decode(part["audio"]) == sent[: PCM.bytes_for_ms(750)]
        assert len(sent) == PCM.bytes_for_ms(1500)
        await truncate(item_id="gone")
        assert (await client.error())["code"] == "item_truncate_invalid_item_id"
        await truncate(audio_end_ms=100_000)
        assert (await client.error())["code"] == "invalid_value"
        user = (await client.add_text("hello"))["item"]["id"]
        await truncate(item_id=user)
        assert (await client.error())["code"] == "unsupported_content_type"


async def test_check_40_what_was_cut_off_is_not_known_any_more(house_door: Door) -> None:
    """Asked to say it again, the assistant says what was heard of it."""
    async with house_door.connect() as client:
        response = await client.type_in("what time is it")
        said = response["output"][0]["content"][0]["transcript"]
        again = await client.type_in("say that again")
        assert again["output"][0]["content"][0]["transcript"] == said
        item_id = again["output"][0]["id"]
        await client.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=375
        )
        await client.until("conversation.item.truncated")
        again = await client.type_in("say that again", output_modalities=["text"])
        left = again["output"][0]["content"][0]["text"]
        assert 0 < len(left) < len(said)
        assert said.startswith(left)


async def test_check_41_truncate_in_the_middle_of_a_response(door: Door) -> None:
    async with door.connect() as client:
        await client.add_text("hello")
        await client.send("response.create")
        delta = await client.until("response.output_audio.delta")
        item_id = delta["item_id"]
        await client.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50
        )
        await client.send("response.cancel")
        await client.until("conversation.item.truncated")
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
