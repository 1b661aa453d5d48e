"""A daemon that listens with Whisper: a spoken turn, the REST routes, a model that is broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.cli.commands import run_voiced
from tests.models.whisper_model import WORD_S, Listener, write_listener
from tests.patience import CEILING_S
from tests.realtime.live import connected, daemon, end_daemon, make_speech, start_daemon
from tests.web.harness import ask, status_of
from tests.web.test_audio_routes import body_of, transcribe
from voiced.audio.files import encode_wav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.realtime.live import Daemon

SAID = "please would you turn on the lamp that is in our living room"
"""Longer than what the model's script makes of it, and without a pause."""
HEARD = ("turn", "on", "the", "living", "room", "lamp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daemon")
    write_listener(folder / "state" / "models" / "listener", Listener(words=HEARD, level=0.0))
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Daemon]:
    settings = {
        "VOICED_STT__ENGINE": "whisper",
        "VOICED_STT__COMPUTE_TYPE": "float32",
        "VOICED_LLM__ENGINE": "assistant",
        "VOICED_TURN_DETECTION__TYPE": "semantic_vad",
    }
    with daemon(folder, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """PCM16 at 24 kHz, with silence around."""
    spoken = make_speech(tmp_path_factory.mktemp("speech"), SAID)
    return bytes(24_000) + spoken + bytes(2 * 48_000)


async def post(running: Daemon, speech: bytes, *fields: tuple[str, str]) -> bytes:
    with trio.fail_after(CEILING_S):
        response = await ask(running.port, transcribe(encode_wav(speech, 24_000), *fields))
    assert status_of(response) == 200, response
    return body_of(response)


async def test_a_spoken_turn_is_understood_and_answered(running: Daemon, speech: bytes) -> None:
    async with connected(running.url) as client:
        transcription = {"model": "whisper-1"}
        await client.configure(audio={"input": {"transcription": transcription}})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.speak, speech)
            done = (await client.until("response.done"))["response"]
        (heard,) = (
            event["transcript"]
            for event in client.events
            if event["type"] == "conversation.item.input_audio_transcription.completed"
        )
        assert heard == " ".join(HEARD)
        assert done["status"] == "completed"
        assert "lamp" in done["output"][0]["content"][0]["transcript"]
    assert "Traceback" not in running.raw_log


async def test_a_recording_is_transcribed(running: Daemon, speech: bytes) -> None:
    answer = json.loads(await post(running, speech))
    assert answer["text"] == " ".join(HEARD)


async def test_words_and_segments_have_their_times(running: Daemon, speech: bytes) -> None:
    answer: dict[str, Any] = json.loads(
        await post(
            running,
            speech,
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
        )
    )
    assert answer["language"] == "en"
    assert [word["word"] for word in answer["words"]] == list(HEARD)
    starts = [word["start"] for word in answer["words"]]
    assert starts == sorted(starts)
    # The stretch begins up to 0.3 s before the speech, which begins at about half a second.
    assert starts[0] == pytest.approx(0.35, abs=0.3)
    assert starts[-1] - starts[0] == pytest.approx(5 * WORD_S, abs=0.4)
    (segment,) = answer["segments"]
    assert segment["text"].strip() == answer["text"]
    assert segment["avg_logprob"] > -0.5
    assert segment["no_speech_prob"] < 0.5


async def test_subtitles_have_the_times_of_the_words(running: Daemon, speech: bytes) -> None:
    srt = (await post(running, speech, ("response_format", "srt"))).decode()
    number, times, text = srt.splitlines()[:3]
    assert (number, text) == ("1", " ".join(HEARD))
    assert times.startswith("00:00:00,")


async def test_silence_is_no_text(running: Daemon) -> None:
    assert json.loads(await post(running, bytes(96_000)))["text"] == ""


def test_a_broken_model_keeps_it_from_starting_with_one_line(tmp_path: Path) -> None:
    model = write_listener(tmp_path / "state" / "models" / "listener") / "model.bin"
    model.write_bytes(model.read_bytes()[:50_000])
    running = start_daemon(tmp_path, VOICED_STT__ENGINE="whisper")
    try:
        assert running.process.wait(CEILING_S) == 1
        faults = [line for line in running.raw_log.splitlines() if "model.bin" in line]
        assert len(faults) == 1
        assert "copy or download it again" in faults[0]
        assert "READY=1" not in "".join(running.heard)
        assert "Traceback" not in running.raw_log
    finally:
        end_daemon(running)


async def test_a_file_is_transcribed_without_a_daemon(folder: Path, speech: bytes) -> None:
    path = folder / "speech.wav"
    path.write_bytes(encode_wav(speech, 24_000))
    done = await run_voiced(
        "transcribe",
        str(path),
        VOICED_STT__ENGINE="whisper",
        VOICED_STT__COMPUTE_TYPE="float32",
        VOICED_STORE__DIRECTORY=str(folder / "state"),
    )
    assert done.stdout.decode().strip() == " ".join(HEARD), done.stderr
