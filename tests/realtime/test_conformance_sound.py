"""The black-box checks of the protocol sheet about sound, by their numbers, on a live daemon."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soxr

from tests.realtime.fakes import silence
from tests.realtime.live import Client, connected
from voiced.audio.formats import PCM, PCMA, PCMU, WireFormat

if TYPE_CHECKING:
    from tests.realtime.live import Daemon

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def as_sent(pcm: bytes, form: WireFormat) -> bytes:
    samples = np.frombuffer(pcm, np.int16)
    return form.encode(soxr.resample(samples, PCM.rate_hz, form.rate_hz))


async def append(client: Client, audio: bytes) -> None:
    await client.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())


@pytest.mark.parametrize("form", [PCMU, PCMA], ids=["pcmu", "pcma"])
async def test_18_the_formats_of_the_telephone(
    form: WireFormat, shared_daemon: Daemon, spoken: bytes
) -> None:
    kind = {"type": form.name}
    async with connected(shared_daemon.url) as client:
        audio: dict[str, Any] = {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}
        await client.send("session.update", session={"type": "realtime", "audio": audio})
        error = (await client.until("error"))["error"]
        assert error["code"] == "integer_below_min_value"
        assert error["param"] == "session.audio.input.format.rate"
        audio = {"input": {"format": kind}, "output": {"format": kind}}
        await client.send("session.update", session={"type": "realtime", "audio": audio})
        shown = (await client.until("session.updated"))["session"]["audio"]
        assert shown["input"]["format"] == shown["output"]["format"] == kind
        await append(client, as_sent(silence(300) + spoken + silence(500), form))
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert done["audio"]["output"]["format"] == kind
        sent = b"".join(client.audio(done["id"]))
        # Two clauses, each as long as conftest.py has the stub speak.
        assert form.duration_ms(len(sent)) == pytest.approx(1500, abs=2)


async def test_45_each_committed_item_has_one_transcript(
    shared_daemon: Daemon, spoken: bytes
) -> None:
    async with connected(shared_daemon.url) as client:
        audio = {"input": {"transcription": {"model": "phrases"}, "turn_detection": None}}
        await client.send("session.update", session={"type": "realtime", "audio": audio})
        for pcm in (spoken, silence(500)):
            await append(client, pcm)
            await client.send("input_audio_buffer.commit")
        first = await client.until(f"{TRANSCRIPTION}.completed")
        second = await client.until(f"{TRANSCRIPTION}.completed")
        committed = [e["item_id"] for e in client.events if e["type"].endswith("committed")]
        assert {first["item_id"], second["item_id"]} == set(committed)
        for completed in (first, second):
            assert isinstance(completed["transcript"], str)
            assert completed["usage"]["type"] == "duration"
            assert completed["usage"]["seconds"] > 0.4


async def test_46_a_transcription_session(shared_daemon: Daemon, spoken: bytes) -> None:
    async with connected(f"{shared_daemon.url}?intent=transcription") as client:
        created = client.events[0]["session"]
        assert created["type"] == "transcription"
        assert created["object"] == "realtime.transcription_session"
        audio = {"input": {"transcription": {"model": "phrases", "language": "en"}}}
        await client.send("session.update", session={"type": "transcription", "audio": audio})
        shown = (await client.until("session.updated"))["session"]
        assert shown["audio"]["input"]["transcription"]["language"] == "en"
        await client.speak(silence(300) + spoken + silence(500))
        completed = await client.until(f"{TRANSCRIPTION}.completed")
        kinds = [event["type"] for event in client.events[2:]]
        assert kinds[:5] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        deltas = [e["delta"] for e in client.events if e["type"] == f"{TRANSCRIPTION}.delta"]
        assert "".join(deltas) == completed["transcript"]
        assert completed["transcript"]
        assert not any(kind.startswith("response.") for kind in kinds)
