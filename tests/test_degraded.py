"""A whole daemon with engines that are other servers, and what is left when these fail."""

from __future__ import annotations

import json
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.engines.http_peer import Exchange, HttpPeer, answer, chunk, http_peer, says
from tests.patience import CEILING_S
from tests.realtime.live import (
    Client,
    Daemon,
    connected,
    end_daemon,
    make_speech,
    start_daemon,
)
from tests.web.harness import ask, get, status_of
from voiced.settings_text import toml_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def served(folder: Path, **environ: str) -> AsyncIterator[Daemon]:
    """A daemon that is ready, while the servers of this process go on to serve."""
    running = start_daemon(folder, **environ)
    with trio.fail_after(2 * CEILING_S):
        try:
            await trio.to_thread.run_sync(running.told, "READY=1")
            yield running
        finally:
            with trio.CancelScope(deadline=trio.current_time() + CEILING_S, shield=True):
                await trio.to_thread.run_sync(end_daemon, running)


def at(peer: HttpPeer, **settings: object) -> str:
    return toml_of([{"url": peer.url, "name": "there", **settings}])


async def readiness(running: Daemon) -> dict[str, Any]:
    response = await ask(running.port, get("/ready"))
    told: dict[str, Any] = json.loads(response.partition(b"\r\n\r\n")[2])
    assert status_of(response) == (200 if told["ready"] else 503)
    return told


async def written(client: Client, text: str) -> dict[str, Any]:
    """A typed turn that is answered in writing."""
    return await client.type_in(text, output_modalities=["text"])


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


async def test_a_model_elsewhere_answers_what_the_assistant_does_not_know(tmp_path: Path) -> None:
    async with (
        http_peer(says("Because of ", "Rayleigh."), answer(500)) as peer,
        served(tmp_path, VOICED_LLM__ENGINE="assistant", VOICED_LLM__PROVIDERS=at(peer)) as running,
        connected(running.url) as client,
    ):
        # What a tool is for is done at once, and nobody else is asked.
        assert "It is" in text_of(await written(client, "what time is it"))
        assert peer.asked == []
        assert text_of(await written(client, "why is the sky blue")) == "Because of Rayleigh."
        (asked,) = peer.asked
        # The model sees the whole conversation, and the daemon's tools.
        roles = [message["role"] for message in asked.json["messages"]]
        assert roles[-3:] == ["user", "assistant", "user"]
        assert "set_timer" in [tool["function"]["name"] for tool in asked.json["tools"]]
        told = await readiness(running)
        assert told["ready"]
        assert told["providers"] == {"llm": [{"name": "there", "state": "ready"}]}
        assert told["degraded"] == []
        # It fails: the assistant still does what it can.
        assert (await written(client, "why is grass green"))["status"] != "in_progress"
        assert "It is" in text_of(await written(client, "what time is it"))
        told = await readiness(running)
        assert told["ready"]
        assert told["providers"]["llm"] == [
            {"name": "there", "state": "failing", "reason": "it answered with status 500"}
        ]
        assert told["degraded"] == ["llm there: it answered with status 500"]
        await trio.to_thread.run_sync(running.told, "degraded: llm there: it answered")
    assert [line["level"] for line in running.log if line["event"] == "provider failed"] == [
        "warning"
    ]


async def test_another_daemon_hears_answers_and_speaks(tmp_path: Path) -> None:
    """All three kinds over HTTP, with its token as the key; then that daemon goes away."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    heard = await trio.to_thread.run_sync(make_speech, tmp_path)
    locked = {"VOICED_AUTH__TOKEN": "s3cret", "VOICED_AUTH__TOKEN_ON_LOOPBACK": "true"}
    async with served(tmp_path / "one", VOICED_LLM__REPLY="I am far away.", **locked) as far:
        there = HttpPeer(f"http://127.0.0.1:{far.port}/v1", [])
        servers = at(there, key_file=str(key), name="far")
        environ = {
            f"VOICED_{kind}__{name}": value
            for kind in ("STT", "LLM", "TTS")
            for name, value in (("ENGINE", "none"), ("PROVIDERS", servers))
        }
        async with (
            served(tmp_path / "two", **environ) as near,
            connected(near.url) as client,
        ):
            await client.configure(audio={"input": {"transcription": {}}})
            response = await spoken(client, heard)
            done = transcribed(client)
            assert done["transcript"] == "stub transcript"
            assert response["status"] == "completed"
            assert response["output"][0]["content"][0]["transcript"] == "I am far away."
            assert client.audio_ms(response["id"]) == pytest.approx(1000, abs=50)
            assert (await readiness(near))["degraded"] == []

            await trio.to_thread.run_sync(far.stop)
            # Nobody hears: the item says so, and so does the response.
            response = await spoken(client, heard)
            error = transcribed(client)["error"]
            assert error["code"] == "provider_failed"
            assert response["status"] == "failed"
            # Nobody answers, and nobody speaks: there is an apology, to read.
            response = await client.type_in("why is the sky blue")
            assert response["status"] == "completed"
            assert response["voiced"]["missing"] == {
                "llm": "engine_unavailable",
                "tts": "provider_failed",
            }
            apology = "Sorry, I cannot answer that at the moment."
            assert response["output"][0]["content"][0]["transcript"] == apology
            assert client.audio(response["id"]) == []
            # The assistant, in front of the model, is here and does what a tool is for.
            response = await client.type_in("what time is it")
            assert response["voiced"]["missing"] == {"tts": "provider_failed"}
            assert "It is" in response["output"][0]["content"][0]["transcript"]
            told = await readiness(near)
            assert told["engines"]["assistant"]["state"] == "ready"
            assert [line.partition(":")[0] for line in told["degraded"]] == [
                "stt far",
                "llm far",
                "tts far",
            ]
            # Four failures more, and nobody can be asked any more.
            for _ in range(5):
                await client.type_in("why is the sky blue")
            told = await readiness(near)
            assert not told["ready"]
            assert told["providers"]["llm"][0]["state"] == "open"
            reasons = [line for line in near.log if line["event"] == "provider failed"]
            assert {line["engine"] for line in reasons} == {"stt.far", "llm.far", "tts.far"}
            assert "s3cret" not in near.raw_log


async def test_engines_of_our_own_take_over(tmp_path: Path) -> None:
    async with http_peer(answer(500)) as peer:
        environ = {f"VOICED_{kind}__PROVIDERS": at(peer) for kind in ("STT", "LLM", "TTS")}
        environ["VOICED_LLM__REPLY"] = "I am here."
        heard = await trio.to_thread.run_sync(make_speech, tmp_path)
        async with served(tmp_path, **environ) as running, connected(running.url) as client:
            response = await spoken(client, heard)
            assert response["output"][0]["content"][0]["transcript"] == "I am here."
            assert "missing" not in response["voiced"]
            assert client.audio_ms(response["id"]) == pytest.approx(1000, abs=50)
            told = await readiness(running)
            assert told["ready"]
            assert sorted(line.partition(":")[0] for line in told["degraded"]) == [
                "llm there",
                "stt there",
                "tts there",
            ]
    assert {exchange.path for exchange in peer.asked} == {
        "/v1/audio/transcriptions",
        "/v1/chat/completions",
        "/v1/audio/speech",
    }


async def test_engines_of_our_own_can_go_first(tmp_path: Path) -> None:
    """The servers are asked where these fail: here the language model, whose process is killed."""
    async with http_peer(says("I am there.")) as peer:
        environ = {f"VOICED_{kind}__PROVIDERS": at(peer) for kind in ("STT", "LLM", "TTS")}
        environ["VOICED_LLM__FAST_PATH"] = "false"
        environ |= {f"VOICED_{kind}__ENGINE_FIRST": "true" for kind in ("STT", "LLM", "TTS")}
        environ["VOICED_LLM__REPLY"] = "I am here."
        heard = await trio.to_thread.run_sync(make_speech, tmp_path)
        async with served(tmp_path, **environ) as running, connected(running.url) as client:
            response = await spoken(client, heard)
            assert response["output"][0]["content"][0]["transcript"] == "I am here."
            assert peer.asked == []
            # One that is frozen has been asked, and does not answer any more.
            frozen = running.engine_pid("llm")
            os.kill(frozen, signal.SIGSTOP)
            await client.add_text("hello")
            await client.send("response.create")
            await client.until("response.created")
            await client.configure()  # another turn of the loop: it has been asked
            os.kill(frozen, signal.SIGKILL)
            response = (await client.until("response.done"))["response"]
            assert response["output"][0]["content"][0]["transcript"] == "I am there."
            assert [exchange.path for exchange in peer.asked] == ["/v1/chat/completions"]


async def test_what_was_heard_is_not_answered_a_second_time(tmp_path: Path) -> None:
    """A server dies in the middle, with sound sent already; another one would be there."""
    heard = trio.Event()

    async def dies(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        await exchange.events(chunk("The sky is blue. It is "), done=False)
        await heard.wait()
        await exchange.break_off()

    async with http_peer(dies) as bad, http_peer(says("I am there.")) as good:
        servers = [{"url": bad.url, "name": "bad"}, {"url": good.url, "name": "good"}]
        environ = {"VOICED_LLM__PROVIDERS": toml_of(servers), "VOICED_LLM__FAST_PATH": "false"}
        async with served(tmp_path, **environ) as running, connected(running.url) as client:
            await client.add_text("why is the sky blue")
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            heard.set()
            response = (await client.until("response.done"))["response"]
            assert response["status"] == "failed"
            assert response["status_details"]["error"]["code"] == "provider_failed"
            [item] = response["output"]
            assert item["content"][0]["transcript"].startswith("The sky is blue.")
            assert good.asked == []
            # The next turn is the other one's: this one has just failed.
            response = await client.type_in("and the grass")
            assert response["output"][0]["content"][0]["transcript"] == "I am there."
            assert len(bad.asked) == 1


async def spoken(client: Client, pcm: bytes) -> dict[str, Any]:
    """A spoken turn and its finished response."""
    client.events.clear()
    await client.speak(pcm + bytes(48_000))
    finished: dict[str, Any] = (await client.until("response.done"))["response"]
    return finished


def transcribed(client: Client) -> dict[str, Any]:
    """What became of the transcript of the last turn; it has come before the response was done."""
    ends = ("completed", "failed")
    (event,) = (
        e
        for e in client.events
        if e["type"].startswith("conversation.item.input_audio_transcription.")
        and e["type"].endswith(ends)
    )
    return event
