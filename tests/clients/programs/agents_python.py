"""The openai-agents package: python agents_python.py URL FOLDER

A typed turn; a spoken command, for which the agent calls a function; and a question that
interrupts its answer. Everything but the microphone is the package's own doing, with its default
settings (semantic_vad). Talks ws and wss; SSL_CERT_FILE names an authority to trust.
FOLDER holds command.pcm and question.pcm, PCM16 mono at 24 kHz.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents.realtime import RealtimeSession, RealtimeSessionEvent

BYTES_PER_MS = 48
PORTION_MS = 40
OUTPUT = "The lamps above the stove are burning now, and the one over the table is dimmed to half."


class Microphone:
    """Streams what is said, and silence in between, at the pace of talking."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.said = b""

    async def run(self) -> None:
        size = PORTION_MS * BYTES_PER_MS
        due = time.monotonic()
        while True:
            portion, self.said = self.said[:size], self.said[size:]
            await self.session.send_audio(portion.ljust(size, b"\0"))
            due += PORTION_MS / 1000
            await asyncio.sleep(due - time.monotonic())


async def until(events: AsyncIterator[RealtimeSessionEvent], *kinds: str) -> None:
    """Read until there was one event of each kind."""
    seen: set[str] = set()
    while not set(kinds) <= seen:
        event = await anext(events)
        if event.type == "error":
            raise RuntimeError(event.error)
        seen.add(event.type)


def words(item: Any) -> str:  # noqa: ANN401 - a user's or an assistant's
    """What was said in an item of the session's history."""
    spoken = (getattr(p, "transcript", None) or getattr(p, "text", None) for p in item.content)
    return "".join(filter(None, spoken))


async def main(url: str, folder: Path) -> None:
    report: dict[str, Any] = {"called": []}

    @function_tool
    def set_light(room: str, state: str) -> str:
        """Switch the lights of a room."""
        report["called"].append({"name": "set_light", "room": room, "state": state})
        return OUTPUT

    agent = RealtimeAgent(name="House", instructions="Be brief.", tools=[set_light])
    runner = RealtimeRunner(agent)
    config: Any = {"url": url, "api_key": "local"}
    async with await runner.run(model_config=config) as session:
        events = aiter(session)
        await session.send_message("what time is it")
        await until(events, "audio_end", "agent_end")

        microphone = Microphone(session)
        streaming = asyncio.create_task(microphone.run())
        microphone.said = (folder / "command.pcm").read_bytes()
        await until(events, "tool_end")
        await until(events, "audio")
        microphone.said = (folder / "question.pcm").read_bytes()
        await until(events, "audio_interrupted")
        report["interrupted"] = "audio_interrupted"
        await until(events, "agent_end")
        await until(events, "audio_end", "agent_end")
        streaming.cancel()
        await asyncio.wait([streaming])
        history = [item for item in session._history if item.type == "message"]
        report["history"] = [{"role": item.role, "words": words(item)} for item in history]
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
