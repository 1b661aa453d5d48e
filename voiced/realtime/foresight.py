"""Has the model read a conversation before it is to answer.

A language model spends most of the time to its first word on reading: the instructions, the tools,
what was said. All of that is known before the user has spoken, or while they speak. So one task of
each session has it read then, at a priority below everybody who waits for an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from voiced.conversation.config import Rejected
from voiced.conversation.context import build_messages
from voiced.conversation.snapshot import plan_response
from voiced.engines.ports import PREFILL, Reader
from voiced.errors import EngineError
from voiced.realtime.reply import functions
from voiced.tools.rounds import Question, offered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from voiced.conversation.state import State
    from voiced.realtime.reply import Speaker
    from voiced.settings import Llm as LlmSettings
    from voiced.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)


def open_foresight(settings: LlmSettings, speaker: Speaker) -> Foresight | None:
    """For a session with this model; None where it cannot read ahead, or is not to."""
    llm = speaker.llm
    if not settings.prefill or not isinstance(llm, Reader):
        return None
    return Foresight(llm, speaker.toolbox) if PREFILL in llm.info.capabilities else None


class Foresight:
    """Follows one conversation. `look` never waits; `run` is the one task that does."""

    def __init__(self, llm: Reader, toolbox: Toolbox) -> None:
        self._llm = llm
        self._toolbox = toolbox
        self._state: State | None = None
        self._seen: object = None
        self._changed = trio.Event()
        self._reading: trio.CancelScope | None = None

    def look(self, state: State, *, speaking: bool = False) -> None:
        """The conversation is now like this. Nothing is read again that was, unless somebody
        begins to speak: others may have driven it out in the meantime.

        While the model answers there is nothing to foresee, and what is being read stops: the
        answer reads on by itself. While the last words are still being recognised, it goes on.
        """
        seen = (state.entries, state.config)
        if state.closed or any(not response.waiting_for for response in state.responses):
            self._stop()
            self._seen = self._state = None
        elif speaking or self._seen is None or not _same(self._seen, seen):
            self._seen = seen
            self._state = state
            self._stop()
            self._changed.set()

    async def run(self) -> None:
        """Have the model read, until cancelled. An engine that is busy is let be."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            if self._state is None:
                continue
            with trio.CancelScope() as self._reading:
                await self._read(self._state)

    async def _read(self, state: State) -> None:
        try:
            question = question_of(state)
            tools = offered(question, self._toolbox)
            await self._llm.prefill(question.messages, tools=tools)
        except (EngineError, Rejected) as exc:
            log.debug("could not read ahead", reason=str(exc))

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel(reason="the conversation went on")


def question_of(state: State) -> Question:
    """What the model would be asked if a response began now, with nothing more said."""
    options = plan_response(state, {}).options
    entries = tuple(map(state.live, state.entries))
    messages: tuple[Mapping[str, Any], ...] = build_messages(entries, options.instructions)
    return Question(messages=messages, tools=functions(options))


def _same(seen: object, now: object) -> bool:
    assert isinstance(seen, tuple)
    assert isinstance(now, tuple)
    return all(a is b for a, b in zip(seen, now, strict=True))
