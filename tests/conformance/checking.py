"""What the black-box checks of the protocol sheet share.

Each check is a test named by its number. It runs over plain WebSockets and over TLS where it takes
no longer than the answers do. Where somebody has to speak at the pace of speech, it runs over
plain WebSockets alone: the transport was left behind long before audio means anything, and the
vendors' clients (`tests/clients`) speak and interrupt over both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.realtime.fakes import silence
from tests.realtime.live import connected

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.realtime.live import Client, Daemon

REPLY = "This is the first clause. And this is the second one."
"""What the stub says to everything, in two clauses of 0.75 s."""

ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
ANSWER_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


class Door(NamedTuple):
    """One of the two ports of a daemon."""

    daemon: Daemon
    secure: bool

    @property
    def url(self) -> str:
        return self.daemon.secure_url if self.secure else self.daemon.url

    @property
    def ca(self) -> Path | None:
        return self.daemon.ca if self.secure else None

    def connect(self, query: str = "", **options: Any) -> AbstractAsyncContextManager[Client]:  # noqa: ANN401  # handed on
        """A client that has been greeted."""
        return connected(self.url + query, ca=self.ca, **options)


async def spoken_turn(client: Client, spoken: bytes) -> None:
    """Say it at the pace of speech, with quiet around it."""
    await client.speak(silence(300) + spoken + silence(500))


def user_text(text: str) -> dict[str, Any]:
    """A user's message."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content}
