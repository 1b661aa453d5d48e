"""A daemon that speaks with Piper: voices by name on the socket and over HTTP, and a broken one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio

from tests.cli.commands import run_voiced
from tests.models.piper_voice import write_voice
from tests.patience import CEILING_S
from tests.realtime.live import STUBS, connected, daemon
from tests.web.harness import ask, status_of
from tests.web.test_audio_routes import body_of, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.realtime.live import Daemon

RATE = 24_000
REPLY = "The lamp in the kitchen is on, and the door of the house is open."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daemon")
    models = folder / "state" / "models"
    models.mkdir(parents=True)
    write_voice(models, "plain")
    write_voice(models, "choir", speakers=("anna", "bert"))
    write_voice(models, "slow", rounds=400)
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Daemon]:
    settings = {
        **STUBS,
        "VOICED_LLM__REPLY": REPLY,
        "VOICED_TTS__ENGINE": "piper",
        "VOICED_TTS__VOICE": "plain",
    }
    with daemon(folder, **settings) as running:
        yield running


def pitch(pcm: bytes) -> float:
    """Upward crossings of zero in a second: how high the tones are on the whole."""
    signs = np.signbit(np.frombuffer(pcm, "<i2"))
    return float(np.count_nonzero(signs[:-1] & ~signs[1:])) * RATE / len(signs)


async def speech_of(running: Daemon, voice: str) -> bytes:
    with trio.fail_after(CEILING_S):
        request = say(input=REPLY, voice=voice, response_format="pcm")
        response = await ask(running.port, request)
    assert status_of(response) == 200, response
    return body_of(response)


async def test_a_session_speaks_in_the_voice_it_asks_for(running: Daemon) -> None:
    found = {}
    for voice in ("choir+anna", "choir+bert"):
        async with connected(running.url) as client:
            session = await client.configure(audio={"output": {"voice": voice}})
            assert session["audio"]["output"]["voice"] == voice
            response = (await client.type_in("hello"))["id"]
            found[voice] = pitch(b"".join(client.audio(response)))
    assert found["choir+bert"] == pytest.approx(found["choir+anna"] * 1.1, rel=0.03)


async def test_a_request_speaks_in_the_voice_it_asks_for(running: Daemon) -> None:
    anna = pitch(await speech_of(running, "choir"))
    bert = pitch(await speech_of(running, "Choir+Bert"))
    assert bert == pytest.approx(anna * 1.1, rel=0.03)
    assert pitch(await speech_of(running, "nobody")) == pytest.approx(
        pitch(await speech_of(running, "plain")), rel=0.01
    )


async def test_a_reply_that_is_cancelled_ends_and_the_next_one_comes(running: Daemon) -> None:
    pid = running.engine_pid("tts")
    async with connected(running.url) as client:
        await client.configure(audio={"output": {"voice": "slow"}})
        await client.add_text("hello")
        await client.send("response.create")
        await client.until("response.created")
        await client.send("response.cancel")
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "cancelled"
        again = await client.type_in("hello", audio={"output": {"voice": "plain"}})
        assert again["status"] == "completed"
        assert client.audio_ms(again["id"]) > 1_000
    assert running.engine_pid("tts") == pid
    assert "Traceback" not in running.raw_log


async def test_a_voice_that_is_damaged_is_told_before_ready(folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    path = write_voice(models, "torn")
    path.write_bytes(path.read_bytes()[:700])
    told = await run_voiced(
        "serve",
        STATE_DIRECTORY=str(tmp_path),
        VOICED_SERVER__PORT="0",
        VOICED_TTS__ENGINE="piper",
        VOICED_TTS__VOICE="torn",
    )
    assert told.returncode == 1
    said = [line for line in told.stderr.decode().splitlines() if "torn.onnx" in line]
    assert said
    assert "download it again" in said[-1] or "get it again" in said[-1]
