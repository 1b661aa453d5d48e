"""A whole daemon with engines that are other servers, and what is left when these fail."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from tests.engines.http_peer import HttpPeer, answer, http_peer, says
from tests.patience import CEILING_S
from tests.realtime.live import Client, Daemon, connected, end_daemon, start_daemon
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
