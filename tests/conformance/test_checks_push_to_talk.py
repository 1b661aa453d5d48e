"""Push-to-talk and the input buffer: checks 33 to 35 of the protocol sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.realtime.fakes import silence

if TYPE_CHECKING:
    from tests.conformance.checking import Door


async def test_check_33_push_to_talk(door: Door, spoken: bytes) -> None:
    async with door.connect() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.append(spoken)
        await client.nothing_comes()
        since = len(client.events)
        await client.send("input_audio_buffer.commit")
        await client.until("conversation.item.done")
        await client.nothing_comes()
        assert client.types(since=since) == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "error",  # the probe's
        ]
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_check_34_there_must_be_something_to_commit(door: Door) -> None:
    async with door.connect() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.send("input_audio_buffer.commit")
        assert (await client.error())["code"] == "input_audio_buffer_commit_empty"
        await client.append(silence(50))
        await client.send("input_audio_buffer.commit")
        assert (await client.error())["code"] == "input_audio_buffer_commit_empty"
        await client.append(silence(60))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.send("input_audio_buffer.commit")
        assert (await client.error())["code"] == "input_audio_buffer_commit_empty"


async def test_check_35_bad_base64_and_a_long_append(door: Door) -> None:
    async with door.connect() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.append(silence(200))
        await client.send("input_audio_buffer.append", audio="@@@", event_id="bad")
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "audio")
        assert error["event_id"] == "bad"
        await client.append(bytes(15 << 20))
        await client.nothing_comes()
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
