"""What the daemon says unasked in one session, from the wish to the client's receipt.

The core may say it late, begin it again behind an answer, or give it up. It was heard where its
sound was sent, and the client has read it: a ping goes out behind the last of it, and its echo
comes back. What was only written may lie in the buffers of a connection that is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from voiced.tools.notice import Notice

if TYPE_CHECKING:
    from voiced.conversation.items import ResponseResource


class _Spoken(Struct):
    """A notice that a response tells; whether any sound of it went out."""

    notice: Notice
    sounded: bool = False


class Notices:
    """The notices of one session that are not settled yet; nothing of it waits."""

    def __init__(self) -> None:
        self._waiting: list[Notice] = []
        self._spoken: dict[str, _Spoken] = {}
        self._said: dict[int, Notice] = {}

    def add(self, notice: Notice) -> None:
        """The core is about to be told of this one."""
        self._waiting.append(notice)

    def begin(self, response_id: str, text: str) -> None:
        """That response says `text`."""
        for notice in self._waiting:
            if notice.text == text:
                self._waiting.remove(notice)
                self._spoken[response_id] = _Spoken(notice)
                return

    def sound(self, response_id: str) -> None:
        """Audio of that response goes out."""
        if response_id in self._spoken:
            self._spoken[response_id].sounded = True

    def end(
        self, response: ResponseResource, number: int, waiting: tuple[str, ...], *, closed: bool
    ) -> None:
        """A response is done, in the session's event of that number.

        One that was cut off while it sounded, by somebody who speaks or by the client, was heard
        by them; not so where the session is `closed`. The core still has the texts `waiting`.
        """
        spoken = self._spoken.pop(response.id, None)
        if spoken is None:
            return
        cut = response.status == "cancelled"
        if cut and spoken.notice.text in waiting:
            self._waiting.insert(0, spoken.notice)
        elif response.status == "completed" or (cut and spoken.sounded and not closed):
            self._said[number] = spoken.notice
        else:
            spoken.notice.settle(False)

    def keep(self, waiting: tuple[str, ...]) -> None:
        """Settle what the core has given up: it has the texts `waiting`."""
        for notice in [notice for notice in self._waiting if notice.text not in waiting]:
            self._waiting.remove(notice)
            notice.settle(False)

    def wants_receipt(self, number: int) -> bool:
        """Whether the event of that number is the end of a notice: a ping is to go before it."""
        return number in self._said

    def receive(self, receipt: bytes) -> None:
        """The client has echoed a ping: all that went out before that event it has read."""
        if receipt.isdigit():
            for number in [number for number in self._said if number <= int(receipt)]:
                self._said.pop(number).settle(True)

    def lose(self) -> bool:
        """The session is over: nothing else is heard. Whether anything was not."""
        spoken = [one.notice for one in self._spoken.values()]
        lost = [*self._waiting, *spoken, *self._said.values()]
        self._waiting.clear()
        self._spoken.clear()
        self._said.clear()
        for notice in lost:
            notice.settle(False)
        return bool(lost)
