"""Items of the conversation: checks 21 to 24 of the protocol sheet."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.checking import Door


async def test_check_21_a_text_item(door: Door) -> None:
    async with door.connect() as client:
        first = await client.add_text("one")
        second = await client.add_text("two")
        assert client.types() == [
            "session.created",
            *["conversation.item.added", "conversation.item.done"] * 2,
        ]
        assert first["previous_item_id"] is None
        assert second["previous_item_id"] == first["item"]["id"]
        assert second["item"]["status"] == "completed"


async def test_check_22_items_go_where_they_are_told(door: Door) -> None:
    async with door.connect() as client:
        first = await client.add_text("one")
        root = await client.add_text("zero", previous_item_id="root")
        assert root["previous_item_id"] is None
        middle = await client.add_text("half", previous_item_id=root["item"]["id"])
        assert middle["previous_item_id"] == root["item"]["id"]
        last = await client.add_text("two")
        assert last["previous_item_id"] == first["item"]["id"]
        item = {"type": "message", "role": "user", "content": []}
        await client.send("conversation.item.create", item=item, previous_item_id="gone")
        assert (await client.next())["type"] == "error"
        await client.nothing_comes()


async def test_check_22_the_model_sees_the_items_in_that_order(house_door: Door) -> None:
    """What stands last is answered, whenever it was put there."""
    async with house_door.connect() as client:
        await client.add_text("what time is it")
        await client.add_text("what's the date", previous_item_id="root")
        await client.send("response.create", response={"output_modalities": ["text"]})
        response = (await client.until("response.done"))["response"]
        assert response["output"][0]["content"][0]["text"].startswith("It is ")
        assert "day, the" not in response["output"][0]["content"][0]["text"]


async def test_check_23_retrieve_and_delete(door: Door) -> None:
    async with door.connect() as client:
        item = (await client.add_text("hello"))["item"]
        await client.send("conversation.item.retrieve", item_id=item["id"])
        assert (await client.until("conversation.item.retrieved"))["item"] == item
        for act in ("retrieve", "delete"):
            await client.send(f"conversation.item.{act}", item_id="gone", event_id=act)
            error = await client.error()
            assert error["code"] == f"item_{act}_invalid_item_id"
            assert (error["param"], error["event_id"]) == (None, act)
        await client.send("conversation.item.delete", item_id=item["id"])
        assert (await client.until("conversation.item.deleted"))["item_id"] == item["id"]
        await client.send("conversation.item.retrieve", item_id=item["id"])
        assert (await client.error())["code"] == "item_retrieve_invalid_item_id"


async def test_check_24_what_was_said_can_be_had_again(door: Door, spoken: bytes) -> None:
    async with door.connect() as client:
        await client.configure(
            audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}
        )
        await client.append(spoken)
        await client.send("input_audio_buffer.commit")
        item_id = (await client.until("conversation.item.done"))["item"]["id"]
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["item_id"] == item_id
        await client.send("conversation.item.retrieve", item_id=item_id)
        (part,) = (await client.until("conversation.item.retrieved"))["item"]["content"]
        assert part["type"] == "input_audio"
        assert base64.b64decode(part["audio"]) == spoken
        assert part["transcript"] == heard["transcript"] != ""
