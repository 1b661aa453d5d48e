"""What was said in a session, as a job keeps it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from voiced.conversation.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Message,
    OutputText,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from voiced.conversation.items import Item, Part

MOST_OUTPUT: Final = 500
"""Characters of what a tool answered."""


class SummaryItem(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that was said, or done."""

    role: Literal["user", "assistant", "system", "tool"]
    text: str


def copy_items(items: Iterable[Item]) -> Iterator[SummaryItem]:
    """What was said in a session, as far as its words are known."""
    for item in items:
        if isinstance(item, Message):
            if text := " ".join(map(words_of, item.content)).strip():
                yield SummaryItem(item.role, text)
        elif isinstance(item, FunctionCall):
            yield SummaryItem("tool", f"{item.name} {item.arguments}"[:MOST_OUTPUT])
        elif isinstance(item, FunctionCallOutput):
            yield SummaryItem("tool", f"answers {item.output}"[:MOST_OUTPUT])


def words_of(part: Part) -> str:
    """What was said or written, "" where that is not known."""
    text = part.text if isinstance(part, InputText | OutputText) else part.transcript
    return text or ""
