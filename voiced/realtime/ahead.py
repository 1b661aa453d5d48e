"""What the model does for a conversation before it is to answer: it reads, and sums up.

A language model spends most of the time to its first word on reading: the instructions, the tools,
what was said. All of that is known before the user has spoken, or while they speak. So one task of
each session has it read then, at a priority below everybody who waits for an answer. And when a
conversation has filled much of the model's context, its oldest turns are summed up first, below
even that: see `voiced.conversation.summary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from voiced.conversation import inputs as inp
from voiced.conversation.config import Rejected
from voiced.conversation.context import build_messages, text_of
from voiced.conversation.snapshot import plan_response
from voiced.conversation.summary import oldest_turns, question_about, shown_entries
from voiced.engines.ports import PREFILL, Priority, Reader, TextDelta
from voiced.errors import EngineError
from voiced.realtime.reply import functions
from voiced.thermal.level import Level
from voiced.tools.rounds import Question, offered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from voiced.conversation.state import State
    from voiced.engines.ports import Llm
    from voiced.realtime.reply import Speaker
    from voiced.settings import Llm as LlmSettings
    from voiced.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)


FULL = 0.6
"""Share of the model's context from which on the oldest turns are summed up. The engine leaves a
prompt three quarters of it, so that a long turn still fits before that is done."""

SUMMARY_TOKENS = 400


def open_ahead(
    settings: LlmSettings, speaker: Speaker, apply: Callable[[inp.Input], None]
) -> Ahead | None:
    """For a session with this model; None where there is nothing to be done ahead for it."""
    llm = speaker.llm
    info = llm.info
    reads = settings.prefill and isinstance(llm, Reader) and PREFILL in info.capabilities
    if not reads and not info.context_tokens:
        return None
    return Ahead(llm, speaker.toolbox, apply, reads=reads)


class Ahead:
    """Follows one conversation. `look` never waits; `run` is the one task that does.

    `used_tokens` is how much of the model's context the last answer took.
    """

    def __init__(
        self, llm: Llm, toolbox: Toolbox, apply: Callable[[inp.Input], None], *, reads: bool
    ) -> None:
        self._llm = llm
        self._toolbox = toolbox
        self._apply = apply
        self._reads = reads
        self.used_tokens = 0
        self._state: State | None = None
        self._seen: object = None
        self._changed = trio.Event()
        self._reading: trio.CancelScope | None = None
        self._level = Level.UNKNOWN

    def follow_heat(self, level: Level) -> None:
        """While it is hot nothing is summed up. Reading goes on: it is work that the answer needs
        anyway, and none of it is lost. Where it is too hot for that, too, engines refuse it."""
        self._level = level

    def look(self, state: State, *, speaking: bool = False) -> None:
        """The conversation is now like this. Nothing is read again that was, unless somebody
        begins to speak: others may have driven it out in the meantime.

        While the model answers there is nothing to foresee, and what is being read stops: the
        answer reads on by itself. While the last words are still being recognised, it goes on.
        """
        seen = (state.entries, state.config, state.summary)
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
            limit = self._llm.info.context_tokens
            full = limit and self.used_tokens > limit * FULL
            if full and self._level < Level.HOT and await self._sum_up(state):
                return  # what the model is shown has changed, and is looked at anew
            if self._reads and isinstance(self._llm, Reader):
                question = question_of(state)
                tools = offered(question, self._toolbox)
                await self._llm.prefill(question.messages, tools=tools)
        except (EngineError, Rejected) as exc:
            log.debug("could not work ahead", reason=str(exc))

    async def _sum_up(self, state: State) -> bool:
        """Have the oldest turns summed up, as a job; whether that was done."""
        entries = shown_entries(state.entries, state.summary)
        lengths = [len(text_of(entry)) for entry in entries]
        oldest = oldest_turns(entries, lengths)
        if not oldest:
            return False
        asked = question_about(build_messages(oldest, ""), state.summary)
        async with self._llm.reply(
            asked, max_output_tokens=SUMMARY_TOKENS, priority=Priority.JOB
        ) as parts:
            said = [part.text async for part in parts if isinstance(part, TextDelta)]
        text = "".join(said).strip()
        if not text:
            return False
        self.used_tokens = 0
        log.info("summed up the oldest turns", items=len(oldest))
        ids = frozenset(entry.item.id for entry in oldest)
        self._apply(inp.Summarised(text=text, item_ids=ids))
        return True

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel(reason="the conversation went on")


def question_of(state: State) -> Question:
    """What the model would be asked if a response began now, with nothing more said."""
    options = plan_response(state, {}).options
    entries = tuple(map(state.live, state.entries))
    messages: tuple[Mapping[str, Any], ...] = build_messages(
        entries, options.instructions, state.summary
    )
    return Question(messages=messages, tools=functions(options))


def _same(seen: object, now: object) -> bool:
    assert isinstance(seen, tuple)
    assert isinstance(now, tuple)
    return all(a is b for a, b in zip(seen, now, strict=True))
