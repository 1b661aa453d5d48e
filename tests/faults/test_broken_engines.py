"""Engine processes that die or stand still in the middle of a turn.

To be met there however slow the machine is, an engine is stopped before it is asked: it cannot be
done with its work when the signal comes. The daemon's ping would find that out after seven seconds.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import trio

from tests.patience import CEILING_S
from tests.realtime.fakes import speech
from tests.realtime.live import Client, Daemon, connected, daemon

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environ() -> dict[str, str]:
    return {"VOICED_LLM__GRACE_S": "0.5", "VOICED_TTS__AUDIO_S": "0.3"}


def freeze(running: Daemon, kind: str) -> int:
    """Stop an engine, which answers nothing from now on; its process id."""
    pid = running.engine_pid(kind)
    os.kill(pid, signal.SIGSTOP)
    return pid


async def ask(client: Client, until: str) -> None:
    """A typed turn up to that event, and until the engine has surely been asked."""
    await client.add_text("hello")
    await client.send("response.create")
    await client.until(until)
    # The engine is asked within a turn of the daemon's loop; two questions take more of them.
    for _ in range(2):
        await client.configure()


async def answer(client: Client) -> dict[str, Any]:
    response: dict[str, Any] = (await client.until("response.done"))["response"]
    return response


def without_tracebacks(running: Daemon) -> bool:
    return "Traceback" not in running.raw_log


@pytest.mark.parametrize(
    ("kind", "until", "who"),
    [
        ("llm", "response.created", "the assistant"),
        ("tts", "response.output_audio_transcript.delta", "speech synthesis"),
    ],
)
async def test_an_engine_is_killed_in_the_middle_of_an_answer(
    tmp_path: Path, environ: dict[str, str], kind: str, until: str, who: str
) -> None:
    with daemon(tmp_path, **environ) as running:
        async with connected(running.url) as client, connected(running.url) as other:
            frozen = freeze(running, kind)
            await ask(client, until)
            os.kill(frozen, signal.SIGKILL)
            # Somebody else asks while there is no engine: waits for it and is answered.
            response = await answer(client)
            assert response["status"] == "failed"
            error = response["status_details"]["error"]
            assert error["code"] == "engine_crashed"
            assert error["message"].startswith(who)
            assert (await other.type_in("hello"))["status"] == "completed"
            assert (await client.type_in("hello"))["status"] == "completed"
        assert without_tracebacks(running)


async def test_speech_recognition_is_killed_in_the_middle_of_a_turn(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """The audio is kept, so that turn is recognised again by the next process and answered."""
    with daemon(tmp_path, **environ) as running:
        async with connected(running.url) as client:
            await client.configure(audio={"input": {"turn_detection": None}})
            for _ in range(2):
                frozen = freeze(running, "stt")
                await client.append(speech(1000))
                await client.send("input_audio_buffer.commit")
                await client.send("response.create")
                await client.until("response.created")
                os.kill(frozen, signal.SIGKILL)
                assert (await answer(client))["status"] == "completed"
        assert without_tracebacks(running)


async def test_other_sessions_go_on_speaking_while_an_engine_is_dead(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    environ["VOICED_TTS__AUDIO_S"] = "2"
    with daemon(tmp_path, **environ) as running:
        async with connected(running.url) as client, connected(running.url) as other:
            await ask(other, "response.output_audio.delta")
            frozen = freeze(running, "llm")
            await ask(client, "response.created")
            os.kill(frozen, signal.SIGKILL)
            assert (await answer(client))["status"] == "failed"
            spoken = await answer(other)
            assert spoken["status"] == "completed"
            assert other.audio_ms(spoken["id"]) == pytest.approx(2000)


async def test_a_cancel_that_the_engine_cannot_hear_frees_the_client_at_once(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with daemon(tmp_path, **environ) as running:
        async with connected(running.url) as client:
            stopped = psutil.Process(freeze(running, "llm"))
            await ask(client, "response.created")
            await client.send("response.cancel")
            response = await answer(client)
            assert response["status_details"]["reason"] == "client_cancelled"
            # After its grace it is killed, and replaced.
            await trio.to_thread.run_sync(stopped.wait, CEILING_S)
            assert (await client.type_in("hello"))["status"] == "completed"
        assert without_tracebacks(running)


async def test_an_engine_that_stands_still_is_replaced(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """Takes as long as the host waits for a sign of life: 2 s to the ping, 5 s to the answer."""
    with daemon(tmp_path, **environ) as running:
        async with connected(running.url) as client:
            freeze(running, "tts")
            await ask(client, "response.output_audio_transcript.delta")
            response = await answer(client)
            assert response["status"] == "failed"
            assert response["status_details"]["error"]["code"] == "engine_crashed"
            assert (await client.type_in("hello"))["status"] == "completed"
        assert without_tracebacks(running)
