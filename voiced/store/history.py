"""What was said, kept in memory for as long as its session lives.

Items arrive here before anything answers them (invariant 8), and again when they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiced.conversation.items import Item


class History:
    """Items by session, in the order they were first put; the newest version of each."""

    def __init__(self, most_items: int) -> None:
        self._most_items = most_items
        self._sessions: dict[str, dict[str, Item]] = {}

    def put(self, session_id: str, item: Item) -> None:
        """Keep an item; beyond the bound the session's oldest is dropped."""
        items = self._sessions.setdefault(session_id, {})
        items[item.id] = item
        if len(items) > self._most_items:
            del items[next(iter(items))]

    def items(self, session_id: str) -> tuple[Item, ...]:
        """All items of a session, oldest first; empty for an unknown one."""
        return tuple(self._sessions.get(session_id, {}).values())

    def drop(self, session_id: str) -> None:
        """Forget a session; unknown ones are no error."""
        self._sessions.pop(session_id, None)
