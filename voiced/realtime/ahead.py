"""What the model does for a conversation before it is to answer: it reads, and sums up.

A language model spends most of the time to its first word on reading: the instructions, the tools,
what was said. All of that is known before the user has spoken, or while they speak. So one task of
each session has it read then, at a priority below everybody who waits for an answer, and what the
user has said so far with it. And when a conversation has filled much of the model's context, its
oldest turns are summed up first, below even that: see `voiced.conversation.summary`.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import structlog
import trio
from msgspec import Struct

from voiced.conversation import inputs as inp
from voiced.conversation.config import Rejected
from voiced.conversation.context import build_messages, text_of
from voiced.conversation.foresight import answers_next, awaits_words, entries_with
from voiced.conversation.snapshot import plan_response
from voiced.conversation.summary import (
    fewer_turns,
    oldest_turns,
    question_about,
    shown_entries,
)
from voiced.engines.ports import PREFILL, Priority, Reader, TextDelta
from voiced.errors import ContextExceeded, EngineError, EnginePreempted
from voiced.realtime.reply import choice_of, functions
from voiced.thermal.level import Level
from voiced.tools.rounds import Question, offered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from voiced.conversation.items import Entry
    from voiced.conversation.state import State
    from voiced.conversation.summary import Summary
    from voiced.engines.ports import Llm
    from voiced.realtime.reply import Speaker
    from voiced.settings import Llm as LlmSettings
    from voiced.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)


FULL = 0.6
"""Share of the model's context from which on the oldest turns are summed up. The engine leaves a
prompt three quarters of it, so that a long turn still fits before that is done."""

SUMMARY_TOKENS = 400

LEAST_HEARD = 12
"""Characters, two or three words: fewer are not read for themselves. The model is gone through once
for however few there are, while the recogniser needs the processor, too."""

MOST_CUT_SHORT = 6
"""How often the turns to sum up are halved, at most: more are hardly ever left by then."""


def open_ahead(
    settings: LlmSettings, speaker: Speaker, apply: Callable[[inp.Input], None]
) -> Ahead | None:
    """For a session with this model; None where there is nothing to be done ahead for it."""
    llm = speaker.llm
    info = llm.info
    reads = reader_of(settings, llm) is not None
    if not reads and not info.context_tokens:
        return None
    return Ahead(llm, speaker.toolbox, apply, reads=reads)


class Heard(Struct, frozen=True):
    """What was said so far in a turn whose end, or whose transcript, is still to come."""

    item_id: str
    words: str


class Ahead:
    """Follows one conversation. `look` and `hear` never wait; `run` is the one task that does.

    `reads` is whether the model reads ahead; `used_tokens` is how much of its context the
    conversation took when it last answered, or read.
    """

    def __init__(
        self, llm: Llm, toolbox: Toolbox, apply: Callable[[inp.Input], None], *, reads: bool
    ) -> None:
        self._llm = llm
        self._toolbox = toolbox
        self._apply = apply
        self.reads = reads
        self.used_tokens = 0
        self._state: State | None = None
        self._seen: object = None
        self._heard: Heard | None = None
        self._changed = trio.Event()
        self._reading: trio.CancelScope | None = None
        self._level = Level.UNKNOWN
        self._summing_up = False
        self._cut_short = 0
        self._told_failure = False

    def follow_heat(self, level: Level) -> None:
        """While it is hot nothing is summed up. Reading goes on: it is work that the answer needs
        anyway, and none of it is lost. Where it is too hot for that, too, engines refuse it. Words
        are not read in pieces from warm on, since that is more work than all of them at once."""
        self._level = level

    def look(self, state: State, *, speaking: bool = False) -> None:
        """The conversation is now like this. Nothing is read again that was, unless somebody
        begins to speak: others may have driven it out in the meantime.

        While the model answers there is nothing to foresee, and what is being read stops: the
        answer reads on by itself. While the last words are still being recognised, it goes on: a
        turn whose words are still to come changes nothing in what the model is shown.
        """
        fell_away = self._heard is not None and not awaits_words(state, self._heard.item_id)
        if fell_away:
            self._heard = None
        if state.closed or any(not response.waiting_for for response in state.responses):
            self._stop()
            self._seen = self._state = None
            return
        shown = tuple(entry for entry in state.entries if not entry.transcribing)
        seen = (shown, state.config, state.summary)
        if fell_away or seen != self._seen:
            self._seen = seen
            self._begin(state)
        elif speaking and not self._summing_up:
            self._begin(state)

    def hear(self, state: State, words: str) -> None:
        """Somebody speaks, and has said that so far: it is read, too, where the next answer will be
        about it.

        What is being read is not stopped, since it is the beginning of this as a rule, and what was
        computed of a batch would be lost; of what is heard meanwhile only the newest is read then.
        """
        if (
            not self.reads
            or self._level >= Level.WARM
            or state.prepared is not None
            or not answers_next(state)
        ):
            return
        assert state.speech_item is not None
        heard = Heard(state.speech_item, words)
        if words_added(self._heard, heard) >= LEAST_HEARD:
            self._heard = heard
            self._changed.set()

    def _begin(self, state: State) -> None:
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
        """Where something was summed up, what the model is shown has changed, and is looked at
        anew."""
        if self._full and self._heard is None and await self._sum_up(state):
            return
        if not self.reads or not isinstance(self._llm, Reader):
            return
        try:
            question = question_of(state, self._heard)
            self.used_tokens = await read_ahead(self._llm, self._toolbox, question)
        except (EngineError, Rejected) as exc:
            log.debug("could not read ahead", reason=str(exc))
            return
        if self._full and self._heard is None:
            await self._sum_up(state)

    @property
    def _full(self) -> bool:
        limit = self._llm.info.context_tokens
        return bool(limit) and self.used_tokens > limit * FULL

    async def _sum_up(self, state: State) -> bool:
        """Have the oldest turns summed up, as a job; whether that was done.

        Where it fails, the engine leaves out the oldest turns itself, and says so with the answer.
        """
        entries = shown_entries(state.entries, state.summary)
        oldest = oldest_turns(entries, [len(text_of(entry)) for entry in entries])
        for _ in range(self._cut_short):
            oldest = fewer_turns(oldest) or oldest
        if not oldest:
            return False
        if self._level >= Level.HOT:
            self._tell_failure(f"the processor is {self._level.word}")
            return False
        self._summing_up, whole = True, False
        try:
            oldest, text = await self._ask_about(oldest, state.summary)
            whole = True
        except EnginePreempted:
            return False
        except EngineError as exc:
            whole = True
            self._tell_failure(str(exc))
            return False
        finally:
            self._summing_up = False
            # A conversation that goes on so soon again is summed up in smaller portions.
            self._cut_short = 0 if whole else min(self._cut_short + 1, MOST_CUT_SHORT)
        if not text:
            self._tell_failure("the model wrote nothing")
            return False
        if self._state is not state:
            return False  # it has changed since, and what was summed up may be what was deleted
        self.used_tokens = 0
        self._told_failure = False
        log.info("summed up the oldest turns", items=len(oldest))
        ids = frozenset(entry.item.id for entry in oldest)
        self._apply(inp.Summarised(text=text, item_ids=ids))
        return True

    async def _ask_about(
        self, oldest: list[Entry], summary: Summary | None
    ) -> tuple[list[Entry], str]:
        """The summary of the oldest of these turns, as many as the model has room for."""
        while True:
            asked = question_about(build_messages(oldest, ""), summary)
            try:
                async with self._llm.reply(
                    asked, max_output_tokens=SUMMARY_TOKENS, priority=Priority.JOB
                ) as parts:
                    said = [part.text async for part in parts if isinstance(part, TextDelta)]
            except ContextExceeded:
                fewer = fewer_turns(oldest)
                if not fewer:
                    raise
                oldest = fewer
            else:
                return oldest, "".join(said).strip()

    def _tell_failure(self, reason: str) -> None:
        """Once, until it succeeds again: it is tried after every turn."""
        if not self._told_failure:
            log.warning(
                "could not sum up the oldest turns: those that have no room will not be shown",
                reason=reason,
            )
        self._told_failure = True

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel(reason="the conversation went on")


def reader_of(settings: LlmSettings, llm: Llm) -> Reader | None:
    """This model, where it is to read ahead and the engine that would be asked now can."""
    if settings.prefill and isinstance(llm, Reader) and PREFILL in llm.info.capabilities:
        return llm
    return None


async def read_ahead(reader: Reader, toolbox: Toolbox, question: Question) -> int:
    """Have it read what it will be asked; how many tokens that is. Raises `EngineError`."""
    # One that may not call any is told of none with the question either.
    tools = [] if question.tool_choice == "none" else offered(question, toolbox)
    return await reader.prefill(question.messages, tools=tools)


def question_of(state: State, heard: Heard | None = None) -> Question:
    """What the model would be asked if a response began now, with nothing more said."""
    options = plan_response(state, {}).options
    if heard is None:
        entries = tuple(map(state.live, state.entries))
    else:
        entries = entries_with(state, heard.item_id, heard.words)
    messages: tuple[Mapping[str, Any], ...] = build_messages(
        entries, options.instructions, state.summary
    )
    return Question(messages=messages, tools=functions(options), tool_choice=choice_of(options))


def words_added(before: Heard | None, now: Heard) -> int:
    """How many characters were not heard like that before."""
    known = before.words if before is not None and before.item_id == now.item_id else ""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(known, now.words, strict=False))
    return len(now.words) - sum(1 for _ in alike)
