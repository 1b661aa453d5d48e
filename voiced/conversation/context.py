"""What the model is shown: the conversation as it was really heard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import structs

from voiced.conversation.items import Entry, InputAudio, InputText, OutputAudio, OutputText
from voiced.conversation.summary import instructions_with, shown_entries
from voiced.conversation.tool_rounds import Round, in_rounds, joined, length_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiced.conversation.items import Item
    from voiced.conversation.summary import Summary

WORD = re.compile(r"\S+")

ROUNDING = 1e-9

MOST_CONTEXT = 131_072
"""Characters of conversation that a model is shown: about 32,000 tokens. The oldest items beyond
it stay in the conversation and out of the prompt."""

SILENCE = "silence"
"""`name` of the message that tells of a silence, for engines that do not read."""

SILENCE_NOTE = (
    "The user has been silent for a while. Ask once, in one short sentence, whether they are still "
    "there or need anything else."
)
"""What a model is told of a turn in which nobody spoke, as long as it is the last."""

NOTHING_MS = 1.0
"""Less than this is rounding, not audio: truncations count whole milliseconds."""


def build_messages(
    entries: Sequence[Entry], instructions: str, summary: Summary | None = None
) -> tuple[dict[str, Any], ...]:
    """Messages in the OpenAI chat shape, oldest first, system instructions in front.

    Speech of which nothing was recognised is an empty message, so that the model can say so;
    speech whose words are still to come is left out. Every function call is followed by its
    output: see `in_rounds`. Items of which there is a summary are shown by that.
    """
    instructions = instructions_with(instructions, summary)
    entries = shown_entries(entries, summary)
    turns = [
        turn.messages() if isinstance(turn, Round) else message_of(turn)
        for turn in in_rounds(entries)
        if isinstance(turn, Round) or not turn.silent
    ]
    if entries and entries[-1].silent:
        turns.append([{"role": "system", "name": SILENCE, "content": SILENCE_NOTE}])
    kept: list[list[dict[str, Any]]] = []
    left = MOST_CONTEXT
    for turn in reversed(turns):
        left -= sum(map(length_of, turn))
        if left < 0 and kept:
            break
        kept.append(turn)
    if instructions:
        kept.append([{"role": "system", "content": instructions}])
    return tuple(joined(message for turn in reversed(kept) for message in turn))


def message_of(entry: Entry) -> list[dict[str, Any]]:
    """A message item as the model is shown it; nothing where it says nothing."""
    text = text_of(entry)
    if text or (entry.role == "user" and not entry.transcribing):
        return [{"role": entry.role, "content": text}]
    return []


def text_of(entry: Entry) -> str:
    """The words of an item as the conversation's partner knows them."""
    if entry.spans:
        return heard_text(entry)
    words = []
    for part in entry.content:
        if isinstance(part, InputText | OutputText):
            words.append(part.text)
        elif isinstance(part, InputAudio) and part.transcript:
            words.append(part.transcript)
    return " ".join(words)


def heard_text(entry: Entry) -> str:
    """The part of a spoken reply that reached the listener (invariant 10).

    What was sent counts as heard unless the client truncated; a reply that ended by itself was
    sent whole, and clauses of it without audio (a mark alone, a voice that failed) were read.
    """
    if entry.heard_ms is not None:
        left_ms = entry.heard_ms
    elif entry.item.status == "completed":
        return "".join(span.text for span in entry.spans).strip()
    else:
        left_ms = entry.sent_ms
    heard: list[str] = []
    for span in entry.spans:
        if left_ms < NOTHING_MS:
            break
        reached_ms = min(left_ms, span.sent_ms)
        whole_ms = max(span.sent_ms, span.whole_ms)
        if reached_ms > whole_ms - NOTHING_MS:
            heard.append(span.text)
        else:
            heard.append(start_of(span.text, reached_ms / whole_ms))
        left_ms -= span.sent_ms
    return "".join(heard).strip()


def start_of(text: str, share: float) -> str:
    """The first words of a clause of which that share was heard, rounded down."""
    words = list(WORD.finditer(text))
    whole = int(len(words) * share + ROUNDING)
    return text if whole >= len(words) else text[: words[whole].start()] if whole else ""


def as_heard(entry: Entry) -> Item:
    """The item for the history: with the words of a spoken reply that were heard."""
    if not entry.spans:
        return entry.item
    return structs.replace(entry.item, content=(OutputAudio(heard_text(entry)),))
