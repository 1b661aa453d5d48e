"""A whole daemon, and somebody who watches it: what it is, a turn, a crash, and its end."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from tests.realtime.live import connected, daemon, open_socket
from tests.web.harness import read_close
from voiced.telemetry.messages import Message, type_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio_websocket import WebSocketConnection


READ = msgspec.json.Decoder(Message)


class Watcher:
    """Reads, and checks that each message is what its struct says."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self.types: set[str] = set()

    async def next(self) -> dict[str, Any]:
        text = await self._websocket.get_message()
        assert isinstance(text, str)
        self.types.add(type_of(READ.decode(text)))
        message: dict[str, Any] = json.loads(text)
        return message

    async def until(self, kind: str, accepts: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = await self.next()
            payload: dict[str, Any] = message["payload"]
            if message["type"] == kind and accepts(payload):
                return payload


async def test_what_a_daemon_shows_of_itself(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        async with open_socket(f"{running.url}?intent=insights") as websocket:
            watcher = Watcher(websocket)
            metadata = await watcher.until("metadata", lambda _: True)
            assert metadata["engines"] == {"stt": "stub", "llm": "stub", "tts": "stub"}
            assert metadata["settings"]["insights.transcripts"] is False
            parts = [(await watcher.next())["payload"] for _ in range(metadata["snapshot"])]
            assert {part["kind"] for part in parts} >= {"stt", "llm", "tts", "vad"}
            async with connected(running.url) as client:
                await watcher.until("partial_result", lambda told: told["state"] == "opened")
                await client.type_in("what time is it")
                done = await watcher.until("partial_result", lambda told: bool(told["timings_ms"]))
                assert done["text"] is None
                os.kill(running.engine_pid("tts"), signal.SIGKILL)
                ended = await watcher.until("error", lambda told: True)
                assert (ended["code"], ended["subject"]) == ("engine_ended", "tts.stub")
                again = await watcher.until(
                    "plugin_status", lambda told: (told["state"], told["restarts"]) == ("ready", 1)
                )
                assert again["kind"] == "tts"
            await watcher.until("partial_result", lambda told: told["state"] == "closed")
            running.process.send_signal(signal.SIGTERM)
            code, _ = await read_close(websocket)
            assert code == 1001
        assert await trio.to_thread.run_sync(running.process.wait) == 0
