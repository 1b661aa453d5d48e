"""What a session is and how it is changed: checks 11 to 20 of the protocol sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soxr

from tests.realtime.fakes import silence
from voiced.audio.formats import PCM, PCMA, PCMU, WireFormat

if TYPE_CHECKING:
    from tests.conformance.checking import Door


async def test_check_11_session_created_has_every_key(door: Door) -> None:
    async with door.connect() as client:
        session = client.events[0]["session"]
        assert list(session) == [
            *("type", "object", "id", "model", "output_modalities", "instructions", "tools"),
            *("tool_choice", "max_output_tokens", "tracing", "truncation", "prompt"),
            *("expires_at", "audio", "include"),
            "voiced",  # our own
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


async def test_check_12_an_update_changes_what_it_names_and_nothing_else(door: Door) -> None:
    async with door.connect() as client:
        before = client.events[0]["session"]
        after = await client.configure(instructions="Answer in rhyme.")
        assert after == {**before, "instructions": "Answer in rhyme."}


async def test_check_13_an_update_without_a_type(door: Door) -> None:
    async with door.connect() as client:
        before = client.events[0]["session"]
        await client.send("session.update", session={"instructions": "x"}, event_id="e1")
        error = await client.error()
        assert error["code"] == "missing_required_parameter"
        assert (error["param"], error["event_id"]) == ("session.type", "e1")
        assert await client.configure() == before


async def test_check_14_all_or_nothing(door: Door) -> None:
    async with door.connect() as client:
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


async def test_check_15_semantic_vad_is_echoed_with_all_its_keys(door: Door) -> None:
    async with door.connect() as client:
        wanted = {"type": "semantic_vad"}
        after = await client.configure(audio={"input": {"turn_detection": wanted}})
        assert after["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": "auto",
            "create_response": True,
            "interrupt_response": True,
        }


async def test_check_16_part_of_the_turn_detection_keeps_the_rest(door: Door) -> None:
    async with door.connect() as client:
        before = client.events[0]["session"]["audio"]["input"]["turn_detection"]
        part = {"type": "server_vad", "silence_duration_ms": 400}
        after = await client.configure(audio={"input": {"turn_detection": part}})
        assert after["audio"]["input"]["turn_detection"] == {**before, **part}
        off = await client.configure(audio={"input": {"turn_detection": None}})
        assert off["audio"]["input"]["turn_detection"] is None


async def test_check_17_tracing_is_accepted(door: Door) -> None:
    async with door.connect() as client:
        await client.configure(tracing="auto")
        await client.send("session.update", session={"type": "realtime", "tracing": None})
        assert (await client.next())["type"] == "session.updated"


async def test_check_18_no_other_rate_than_24_khz(door: Door) -> None:
    async with door.connect() as client:
        wrong = {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}
        await client.send("session.update", session={"type": "realtime", "audio": wrong})
        error = await client.error()
        assert error["code"] == "integer_below_min_value"
        assert error["param"] == "session.audio.input.format.rate"


@pytest.mark.parametrize("form", [PCMU, PCMA], ids=["pcmu", "pcma"])
async def test_check_18_telephone_audio_both_ways(
    form: WireFormat, door: Door, spoken: bytes
) -> None:
    async with door.connect() as client:
        both = {"format": {"type": form.name}}
        after = await client.configure(audio={"input": both, "output": both})
        assert after["audio"]["input"]["format"] == both["format"]
        assert after["audio"]["output"]["format"] == both["format"]
        samples = np.frombuffer(silence(300) + spoken + silence(500), np.int16)
        await client.append(form.encode(soxr.resample(samples, PCM.rate_hz, form.rate_hz)))
        response = (await client.until("response.done"))["response"]
        assert response["status"] == "completed"
        assert response["audio"]["output"]["format"] == both["format"]
        sent = b"".join(client.audio(response["id"]))
        assert form.duration_ms(len(sent)) == pytest.approx(1500, abs=2)


async def test_check_19_the_voice_is_fixed_once_it_was_heard(door: Door) -> None:
    async with door.connect() as client:
        voice = client.events[0]["session"]["audio"]["output"]["voice"]
        await client.type_in("hello")
        await client.send(
            "session.update",
            session={"type": "realtime", "audio": {"output": {"voice": "another"}}},
        )
        assert (await client.error())["code"] == "cannot_update_voice"
        await client.configure(audio={"output": {"voice": voice}})


async def test_check_20_what_agents_realtime_sends_by_default(door: Door) -> None:
    """As captured of version 0.20.0: the whole configuration, and then its tracing alone."""
    pcm = {"type": "audio/pcm", "rate": 24000}
    given: dict[str, Any] = {
        "type": "realtime",
        "instructions": "Be brief.",
        "model": "gpt-realtime-2.1",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": pcm,
                "noise_reduction": None,
                "transcription": {"model": "gpt-4o-mini-transcribe"},
                "turn_detection": {"type": "semantic_vad"},
            },
            "output": {"format": pcm, "speed": 1},
        },
    }
    async with door.connect() as client:
        for session in (given, {"type": "realtime", "tracing": "auto"}):
            await client.send("session.update", session=session)
            updated = await client.next()
            assert updated["type"] == "session.updated"
        assert updated["session"]["instructions"] == "Be brief."
        audio = updated["session"]["audio"]
        assert audio["input"]["turn_detection"]["interrupt_response"] is True
        assert audio["input"]["transcription"]["model"] == "gpt-4o-mini-transcribe"
