"""Functions of the client, and responses outside of the conversation: checks 42 to 44 of the
protocol sheet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio

from tests.conformance.checking import user_text
from tests.realtime.fakes import silence

if TYPE_CHECKING:
    from tests.conformance.checking import Door
    from tests.realtime.live import Client

SET_LIGHT = {
    "type": "function",
    "name": "set_light",
    "description": "Switch the lights of a room",
    "parameters": {
        "type": "object",
        "properties": {"room": {"type": "string"}, "state": {"type": "string"}},
    },
}
NOTE = {
    "type": "function",
    "name": "note",
    "description": "Write something down",
    "parameters": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
}


async def give_output(client: Client, call_id: str, output: str) -> None:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    await client.send("conversation.item.create", item=item, event_id="output")


async def test_check_42_a_function_of_the_client_is_called(house_door: Door) -> None:
    async with house_door.connect() as client:
        await client.configure(tools=[SET_LIGHT])
        since = len(client.events)
        response = await client.type_in("turn on the kitchen light")
        types = [kind for kind in client.types(since=since) if not kind.endswith(".delta")]
        assert types == [
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        events = {event["type"]: event for event in client.events[since:]}
        added = events["response.output_item.added"]["item"]
        assert (added["status"], added["arguments"]) == ("in_progress", "")
        call = events["response.output_item.done"]["item"]
        assert (call["status"], call["name"]) == ("completed", "set_light")
        assert json.loads(call["arguments"]) == {"room": "kitchen", "state": "on"}
        assert call == {**added, "status": "completed", "arguments": call["arguments"]}
        assert events["conversation.item.added"]["item"] == added
        assert events["conversation.item.done"]["item"] == call
        assert response["output"] == [call]
        done = events["response.function_call_arguments.done"]
        assert (done["name"], done["call_id"]) == (call["name"], call["call_id"])
        deltas = [e["delta"] for e in client.events if e["type"].endswith("arguments.delta")]
        assert "".join(deltas) == done["arguments"] == call["arguments"]

        await give_output(client, call["call_id"], "The kitchen is as bright as day.")
        await client.until("conversation.item.done")
        await client.nothing_comes()
        await client.send("response.create", response={"output_modalities": ["text"]})
        answer = (await client.until("response.done"))["response"]
        assert answer["output"][0]["content"][0]["text"] == "The kitchen is as bright as day."


async def test_check_42_an_output_for_no_call(house_door: Door) -> None:
    async with house_door.connect() as client:
        await give_output(client, "call_unknown", "yes")
        error = await client.error()
        assert (error["code"], error["event_id"]) == ("invalid_tool_call_id", "output")
        await client.nothing_comes()


async def test_check_43_no_function_where_none_is_chosen(house_door: Door) -> None:
    async with house_door.connect() as client:
        await client.configure(tools=[SET_LIGHT], tool_choice="none")
        response = await client.type_in("turn on the kitchen light")
        assert [item["type"] for item in response["output"]] == ["message"]
        again = await client.type_in("turn on the kitchen light", tool_choice="auto")
        assert [item["type"] for item in again["output"]] == ["function_call"]


async def test_check_43_a_function_that_must_be_called(house_door: Door) -> None:
    async with house_door.connect() as client:
        await client.configure(tools=[SET_LIGHT, NOTE])
        forced = {"type": "function", "name": "note"}
        response = await client.type_in("the milk is sour", tool_choice=forced)
        (call,) = response["output"]
        assert call["name"] == "note"
        assert json.loads(call["arguments"]) == {"text": "the milk is sour"}


def beside(reference: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a response
    context = [{"type": "item_reference", "id": reference}]
    return {"conversation": "none", "input": context, "metadata": {"topic": "beside"}, **fields}


async def test_check_44_a_response_beside_the_conversation(house_door: Door) -> None:
    async with house_door.connect() as client:
        item_id = (await client.add_text("what's the date"))["item"]["id"]
        await client.add_text("what time is it")
        since = len(client.events)
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.create", response=beside(item_id))
        ended = [(await client.until("response.done"))["response"] for _ in range(2)]
        (default,) = (r for r in ended if r["conversation_id"] is not None)
        (other,) = (r for r in ended if r["conversation_id"] is None)
        assert other["status"] == default["status"] == "completed"
        assert other["metadata"] == {"topic": "beside"}
        assert "day, the" in other["output"][0]["content"][0]["transcript"]  # it saw that item

        order = [e["response_id"] for e in client.events[since:] if "response_id" in e]
        assert order.index(other["id"]) < len(order) - 1 - order[::-1].index(default["id"])
        added = [e["item"]["id"] for e in client.events if e["type"] == "conversation.item.added"]
        assert other["output"][0]["id"] not in added
        await client.send("conversation.item.retrieve", item_id=other["output"][0]["id"])
        assert (await client.error())["code"] == "item_retrieve_invalid_item_id"


async def test_check_44_is_not_interrupted(plain_door: Door, spoken: bytes) -> None:
    async with plain_door.connect() as client:
        await client.configure(audio={"input": {"turn_detection": QUIET_VAD}})
        await client.add_text("hello")
        await client.speak(silence(300))
        await client.send("response.create")
        await client.send("response.create", response={"conversation": "none", "input": [USER]})
        await client.until("response.output_audio.delta")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.speak, spoken + silence(300))
            ended = [(await client.until("response.done"))["response"] for _ in range(2)]
        status = {r["conversation_id"] is None: r["status"] for r in ended}
        assert status == {False: "cancelled", True: "completed"}


USER = user_text("hello")
QUIET_VAD = {"type": "server_vad", "create_response": False}
