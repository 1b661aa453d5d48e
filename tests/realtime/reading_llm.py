"""A model that reads ahead, in memory, and conversations for it to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import trio

from tests.realtime.fakes import FakeLlm
from voiced.conversation import inputs as inp
from voiced.conversation.config import Audio, AudioIn, AudioOut, SessionConfig
from voiced.conversation.core import begin, step
from voiced.conversation.given import NewMessage
from voiced.conversation.items import InputText, OutputText
from voiced.engines.ports import PREFILL, EngineInfo, Priority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voiced.conversation.detection import TurnDetection
    from voiced.conversation.state import State

READ_S = 2.0


class ReadingLlm(FakeLlm):
    """Takes `READ_S` to read, and tells what it read and how that ended."""

    info = EngineInfo(kind="llm", name="fake", version="1", capabilities=(PREFILL,))

    def __init__(self, *scripts: Any, error: Exception | None = None) -> None:  # noqa: ANN401
        super().__init__(*scripts)
        self.read: list[list[Mapping[str, Any]]] = []
        self.tools: list[list[str]] = []
        self.whole = 0
        self.at_once = 0
        self.most_at_once = 0
        self.priorities: set[Priority] = set()
        self.error = error
        self.tokens = 0

    async def prefill(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        priority: Priority = Priority.SPECULATION,
    ) -> int:
        self.read.append(list(messages))
        self.tools.append([str(tool["name"]) for tool in tools])
        self.priorities.add(priority)
        if self.error is not None:
            raise self.error
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(READ_S)
        finally:
            self.at_once -= 1
        self.whole += 1
        return self.tokens

    def said(self, index: int = -1) -> list[str]:
        return [str(message["content"]) for message in self.read[index][1:]]


def conversation(count: int, detection: TurnDetection | None = None) -> State:
    """Typed turns, one after the other."""
    audio = Audio(input=AudioIn(turn_detection=detection), output=AudioOut(voice="v", speed=1.0))
    config = SessionConfig(id="sess_1", model="m", expires_at=0, audio=audio)
    state, _ = begin(config, seed="s", history_items=99)
    for number in range(count):
        part = OutputText(f"Words {number}.") if number % 2 else InputText(f"Words {number}.")
        role: Literal["user", "assistant"] = "assistant" if number % 2 else "user"
        state, _ = step(state, inp.CreateItem(item=NewMessage(role=role, content=(part,))))
    return state
