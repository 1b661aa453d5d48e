"""The sound of a session's items, for `conversation.item.retrieve`.

The conversation core knows of it only what it asks to be kept, cut and forgotten. Audio that
belongs to no item never comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from voiced.conversation.items import InputAudio, Message, OutputAudio

if TYPE_CHECKING:
    from voiced.audio.formats import WireFormat
    from voiced.conversation.items import Item


class AudioBudget:
    """What all sessions together may keep, `limit_bytes` of it; whoever keeps most gives first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.size_bytes = 0
        self._keepers: set[ItemAudio] = set()

    def account(self, keeper: ItemAudio, size_bytes: int) -> None:
        """That keeper has so many bytes more, or fewer where it is negative."""
        self._keepers.add(keeper)
        self.size_bytes += size_bytes
        while self.size_bytes > self._limit_bytes:
            max(self._keepers, key=lambda one: one.size_bytes).let_oldest_go()

    def leave(self, keeper: ItemAudio) -> None:
        """That keeper has nothing any more."""
        self._keepers.discard(keeper)


class ItemAudio:
    """Audio by item, as it was received or sent, `limit_bytes` of it at most, and what `budget`
    leaves.

    Beyond that the oldest item's goes first, whole: an item has all of its audio or none. What
    is added is kept as it is, not copied. Pure; `clear` gives the budget its part back.
    """

    def __init__(self, limit_bytes: int, budget: AudioBudget) -> None:
        self._limit_bytes = limit_bytes
        self._budget = budget
        # None for an item whose audio was let go of: what is still to come of it is not kept.
        self._sounds: dict[str, Sound | None] = {}
        self.size_bytes = 0

    def add(self, item_id: str, audio: bytes, form: WireFormat) -> None:
        """More audio of that item, at its end; all in one format."""
        sound = self._sounds.setdefault(item_id, Sound(form))
        if sound is None:
            return
        sound.chunks.append(audio)
        sound.size_bytes += len(audio)
        self._account(len(audio))
        while self.size_bytes > self._limit_bytes:
            self.let_oldest_go()

    def cut(self, item_id: str, end_ms: int) -> None:
        """Nothing of that item after `end_ms` is kept any more."""
        sound = self._sounds.get(item_id)
        if sound is not None:
            self._account(-sound.cut(sound.form.bytes_for_ms(end_ms)))

    def forget(self, item_id: str) -> None:
        """The item is gone; twice is fine."""
        sound = self._sounds.pop(item_id, None)
        if sound is not None:
            self._account(-sound.size_bytes)

    def get(self, item_id: str) -> bytes | None:
        """The item's audio in one piece; None where there is none, or none any more."""
        sound = self._sounds.get(item_id)
        return None if sound is None else b"".join(sound.chunks)

    def put_into(self, item: Item) -> Item:
        """`item` with its audio, if there is some, in the part that is spoken."""
        audio = self.get(item.id)
        if audio is None or not isinstance(item, Message):
            return item
        content = tuple(
            structs.replace(part, audio=audio)
            if isinstance(part, InputAudio | OutputAudio)
            else part
            for part in item.content
        )
        return structs.replace(item, content=content)

    def clear(self) -> None:
        """The session is over: free everything, and keep nothing more."""
        self._limit_bytes = 0
        self._sounds.clear()
        self._account(-self.size_bytes)
        self._budget.leave(self)

    def let_oldest_go(self) -> None:
        """The oldest item that has audio has none any more."""
        for item_id, sound in self._sounds.items():
            if sound is not None:
                self._sounds[item_id] = None
                self._account(-sound.size_bytes)
                break

    def _account(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        self._budget.account(self, size_bytes)


class Sound:
    """One item's audio, in the pieces in which it came."""

    __slots__ = ("chunks", "form", "size_bytes")

    def __init__(self, form: WireFormat) -> None:
        self.form = form
        self.chunks: list[bytes] = []
        self.size_bytes = 0

    def cut(self, size: int) -> int:
        """Keep the first `size` bytes; returns how many went."""
        surplus = max(self.size_bytes - size, 0)
        left = surplus
        while left:
            last = self.chunks.pop()
            if len(last) > left:
                self.chunks.append(last[:-left])
            left -= min(left, len(last))
        self.size_bytes -= surplus
        return surplus
