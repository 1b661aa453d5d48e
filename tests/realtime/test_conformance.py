"""The black-box checks of the protocol sheet that this daemon covers, by their numbers.

Where somebody speaks, it takes as long as that does: audio comes at real-time pace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.realtime.fakes import silence
from tests.realtime.live import Client, Daemon, connected, open_socket

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "openai-insecure-api-key.abcDEF123"
ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
ANSWER_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
REPLY = "This is the first clause. And this is the second one."


async def spoken_turn(client: Client, spoken: bytes) -> None:
    await client.speak(silence(300) + spoken + silence(500))


async def test_1_the_server_speaks_first(shared_daemon: Daemon) -> None:
    url = f"{shared_daemon.url}?model=x"
    async with connected(url, headers={"Authorization": "Bearer k"}) as client:
        assert client.events[0]["type"] == "session.created"


async def test_2_one_of_the_offered_subprotocols_is_chosen_and_never_the_key(
    shared_daemon: Daemon,
) -> None:
    async with connected(shared_daemon.url, protocols=("realtime", SECRET)) as client:
        assert client.websocket.subprotocol == "realtime"
        assert all(SECRET.encode() not in v for _, v in client.websocket.handshake_headers)
    assert "abcDEF123" not in shared_daemon.raw_log


async def test_3_no_subprotocol_offered_none_chosen(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        assert client.websocket.subprotocol is None


async def test_4_without_a_model_there_is_a_default_one(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        assert client.events[0]["session"]["model"]
    async with connected(f"{shared_daemon.url}?model=gpt-realtime") as client:
        assert client.events[0]["session"]["model"] == "gpt-realtime"


async def test_10_a_burst_before_anything_was_read(shared_daemon: Daemon) -> None:
    content = [{"type": "input_text", "text": "hello"}]
    item = {"type": "message", "role": "user", "content": content}
    burst: list[dict[str, Any]] = [
        {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create"},
    ]
    async with open_socket(shared_daemon.url) as websocket:
        for event in burst:
            await websocket.send_message(json.dumps(event))
        client = Client(websocket)
        await client.until("response.done")
        assert client.types()[:6] == [
            "session.created",
            "session.updated",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
        ]


async def test_11_session_created_has_every_key(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        session = client.events[0]["session"]
        assert list(session) == [
            *("type", "object", "id", "model", "output_modalities", "instructions", "tools"),
            *("tool_choice", "max_output_tokens", "tracing", "truncation", "prompt"),
            *("expires_at", "audio", "include"),
        ]
        audio = session["audio"]
        assert set(audio["input"]) == {
            *("format", "transcription", "noise_reduction", "turn_detection")
        }
        assert set(audio["output"]) == {"format", "voice", "speed"}
        assert set(audio["input"]["turn_detection"]) == {
            *("type", "threshold", "prefix_padding_ms", "silence_duration_ms"),
            *("idle_timeout_ms", "create_response", "interrupt_response"),
        }
        assert audio["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_12_an_update_changes_what_it_names_and_nothing_else(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        before = client.events[0]["session"]
        after = await client.configure(instructions="Answer in rhyme.")
        assert after == {**before, "instructions": "Answer in rhyme."}


async def test_13_an_update_without_a_type(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        before = client.events[0]["session"]
        await client.send("session.update", session={"instructions": "x"}, event_id="e1")
        error = await client.error()
        assert error["code"] == "missing_required_parameter"
        assert (error["param"], error["event_id"]) == ("session.type", "e1")
        assert await client.configure() == before


async def test_14_all_or_nothing(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        before = client.events[0]["session"]
        change = {
            "type": "realtime",
            "instructions": "x",
            "audio": {"input": {"turn_detection": {"type": "server_vad", "treshold": 0.9}}},
        }
        await client.send("session.update", session=change)
        error = await client.error()
        assert error["code"] == "unknown_parameter"
        assert error["param"] == "session.audio.input.turn_detection.treshold"
        assert await client.configure() == before


async def test_16_part_of_the_turn_detection_keeps_the_rest(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        before = client.events[0]["session"]["audio"]["input"]["turn_detection"]
        part = {"type": "server_vad", "silence_duration_ms": 400}
        after = await client.configure(audio={"input": {"turn_detection": part}})
        assert after["audio"]["input"]["turn_detection"] == {**before, **part}
        off = await client.configure(audio={"input": {"turn_detection": None}})
        assert off["audio"]["input"]["turn_detection"] is None


async def test_17_tracing_is_accepted(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        await client.configure(tracing="auto")
        await client.send("session.update", session={"type": "realtime", "tracing": None})
        assert (await client.next())["type"] == "session.updated"


async def test_19_the_voice_is_fixed_once_it_was_heard(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        voice = client.events[0]["session"]["audio"]["output"]["voice"]
        await client.type_in("hello")
        await client.send(
            "session.update",
            session={"type": "realtime", "audio": {"output": {"voice": "another"}}},
        )
        assert (await client.error())["code"] == "cannot_update_voice"
        await client.configure(audio={"output": {"voice": voice}})


async def test_21_a_text_item(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        first = await client.add_text("one")
        second = await client.add_text("two")
        assert client.types() == [
            "session.created",
            *["conversation.item.added", "conversation.item.done"] * 2,
        ]
        assert first["previous_item_id"] is None
        assert second["previous_item_id"] == first["item"]["id"]
        assert second["item"]["status"] == "completed"


async def test_22_items_go_where_they_are_told(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_25_a_text_turn_in_order(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_26_a_spoken_turn_in_order(shared_daemon: Daemon, spoken: bytes) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_27_the_audio_is_as_long_as_announced(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        response = await client.type_in("hello")
        deltas = client.audio(response["id"])
        assert all(len(delta) % 2 == 0 for delta in deltas)
        assert sum(map(len, deltas)) / 48 == pytest.approx(1500)
        created = next(e for e in client.events if e["type"] == "response.created")
        assert created["response"]["audio"]["output"]["format"] == {
            "type": "audio/pcm",
            "rate": 24000,
        }


async def test_28_text_for_one_response_only(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        text = await client.type_in("hello", output_modalities=["text"])
        assert not client.audio(text["id"])
        voice = await client.type_in("hello")
        assert client.audio(voice["id"])


async def test_30_one_response_at_a_time(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_31_metadata_comes_back(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        response = await client.type_in("hello", metadata={"topic": "lamps"})
        created = next(e for e in client.events if e["type"] == "response.created")
        assert created["response"]["metadata"] == response["metadata"] == {"topic": "lamps"}


async def test_33_push_to_talk(shared_daemon: Daemon, spoken: bytes) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_34_there_must_be_something_to_commit(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_35_bad_base64_and_a_long_append(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_36_barge_in(shared_daemon: Daemon, spoken: bytes) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_37_interruptions_may_be_switched_off(shared_daemon: Daemon, spoken: bytes) -> None:
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    async with connected(shared_daemon.url) as client:
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


async def test_38_answers_may_be_switched_off(shared_daemon: Daemon, spoken: bytes) -> None:
    detection = {"type": "server_vad", "create_response": False}
    async with connected(shared_daemon.url) as client:
        await client.configure(
            audio={"input": {"turn_detection": detection, "transcription": {"model": "whisper-1"}}}
        )
        await spoken_turn(client, spoken)
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.nothing_comes()
        assert "response.created" not in client.types()


async def test_39_cancel(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_40_truncate(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        response = await client.type_in("hello")
        item_id = response["output"][0]["id"]

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
        item = (await client.until("conversation.item.retrieved"))["item"]
        assert "transcript" not in item["content"][0]
        await truncate(item_id="gone")
        assert (await client.error())["code"] == "item_truncate_invalid_item_id"
        await truncate(audio_end_ms=100_000)
        assert (await client.error())["code"] == "invalid_value"
        user = (await client.add_text("hello"))["item"]["id"]
        await truncate(item_id=user)
        assert (await client.error())["code"] == "unsupported_content_type"


async def test_41_truncate_in_the_middle_of_a_response(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
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


async def test_47_garbage_and_then_a_turn(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        bad: list[tuple[str | bytes, str]] = [
            ("nonsense", "invalid_json"),
            ("[]", "invalid_event"),
            (b'{"type":"response.create"}', "invalid_event"),
            ('{"type":"nonsense"}', "invalid_value"),
            ("{}", "invalid_event"),
        ]
        for message, code in bad:
            await client.send_raw(message)
            assert (await client.error())["code"] == code
        assert (await client.type_in("hello"))["status"] == "completed"


async def test_50_who_drops_the_connection_stops_the_work(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        await client.add_text("hello")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await trio.aclose_forcefully(client.websocket._stream)
    async with connected(shared_daemon.url) as client:
        assert (await client.type_in("hello"))["status"] == "completed"
