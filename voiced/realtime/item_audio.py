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


class ItemAudio:
    """Audio by item, as it was received or sent, `limit_bytes` of it at most.

    Beyond that the oldest item's goes first, whole: an item has all of its audio or none. What
    is added is kept as it is, not copied. Pure; nothing to close.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
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
        self.size_bytes += len(audio)
        if self.size_bytes > self._limit_bytes:
            self._let_go()

    def cut(self, item_id: str, end_ms: int) -> None:
        """Nothing of that item after `end_ms` is kept any more."""
        sound = self._sounds.get(item_id)
        if sound is not None:
            self.size_bytes -= sound.cut(sound.form.bytes_for_ms(end_ms))

    def forget(self, item_id: str) -> None:
        """The item is gone; twice is fine."""
        sound = self._sounds.pop(item_id, None)
        if sound is not None:
            self.size_bytes -= sound.size_bytes

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
        self.size_bytes = 0

    def _let_go(self) -> None:
        for item_id, sound in self._sounds.items():
            if self.size_bytes <= self._limit_bytes:
                break
            if sound is not None:
                self.size_bytes -= sound.size_bytes
                self._sounds[item_id] = None


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
