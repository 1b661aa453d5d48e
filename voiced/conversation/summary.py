"""The oldest part of a conversation in a few words, in place of itself.

A model's context is bounded. When a conversation has filled much of it, its oldest turns are
summed up by the model, between two turns; from then on it is shown the summary in their place.
The items stay in the conversation; the client sees nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiced.conversation.items import Entry
    from voiced.conversation.state import Draft

KEPT_SHARE = 0.4
"""Of a conversation's text, the newest part that stays as it was said."""

KEPT_ITEMS = 4
"""The newest items stay, however long."""

ORDER = (
    "You are given a conversation between a user and an assistant. Sum it up in at most {words} "
    "words, as notes for the assistant: names, numbers, wishes, what was promised and what is "
    "still open. Write nothing but the notes."
)
WORDS = 150

HEADING = "What was said before, in short:"


class Summary(Struct, frozen=True):
    """`text` stands for the items of these ids."""

    text: str
    item_ids: frozenset[str]


def shown_entries(entries: Sequence[Entry], summary: Summary | None) -> list[Entry]:
    """The entries that the model is shown as they are."""
    covered = frozenset() if summary is None else summary.item_ids
    return [entry for entry in entries if entry.item.id not in covered]


def instructions_with(instructions: str, summary: Summary | None) -> str:
    """The system's words, the summary behind them."""
    if summary is None:
        return instructions
    return "\n\n".join(part for part in (instructions, f"{HEADING}\n{summary.text}") if part)


def oldest_turns(entries: Sequence[Entry], lengths: Sequence[int]) -> list[Entry]:
    """Those to sum up: whole turns, so that what stays begins with the user's words.

    `lengths` are the characters of each entry. Empty where nothing is worth it.
    """
    keep = sum(lengths) * KEPT_SHARE
    kept, cut = 0, 0
    for index in range(len(entries) - 1, 0, -1):
        kept += lengths[index]
        enough = kept >= keep and len(entries) - index >= KEPT_ITEMS
        if enough and entries[index].role == "user":
            cut = index
            break
    oldest = list(entries[:cut])
    settled = all(e.item.status != "in_progress" and not e.transcribing for e in oldest)
    return oldest if settled else []


def fewer_turns(oldest: Sequence[Entry]) -> list[Entry]:
    """The older half of these, in whole turns; empty where they are a single one."""
    starts = [number for number, entry in enumerate(oldest) if number and entry.role == "user"]
    half = len(oldest) / 2
    return list(oldest[: min(starts, key=lambda start: abs(start - half), default=0)])


def question_about(messages: Sequence[dict[str, Any]], summary: Summary | None) -> list[Any]:
    """What the model is asked, to sum up `messages`, and what was summed up before."""
    lines = [] if summary is None else [f"{HEADING} {summary.text}"]
    for message in messages:
        calls = message.get("tool_calls") or ()
        lines += [f"assistant calls {call['function']['name']}" for call in calls]
        if message.get("content"):
            lines.append(f"{message['role']}: {message['content']}")
    return [
        {"role": "system", "content": ORDER.format(words=WORDS)},
        {"role": "user", "content": "\n".join(lines)},
    ]


def forget_summary(draft: Draft, item_id: str) -> None:
    """An item was deleted, or less of it was heard: no summary may tell of it any more."""
    summary = draft.state.summary
    if summary is not None and item_id in summary.item_ids:
        draft.set(summary=None)
