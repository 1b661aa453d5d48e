"""One exchange with a daemon: connect, ask for audio and transcripts, take one turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from voiced.client.connection import open_client
from voiced.client.turn import TurnRecorder, run_spoken_turn, run_typed_turn

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.client.microphone import Microphone

SPOKEN_SESSION: Final[dict[str, Any]] = {
    "output_modalities": ["audio"],
    "audio": {"input": {"transcription": {"model": "voiced"}}},
}


async def exchange(
    url: str, token: str, said: str | Microphone, ca: Path | None = None
) -> TurnRecorder:
    """Say `said`, typed or spoken, to the daemon at `url`, and take its answer.

    `ca` is a PEM file of authorities to trust with `wss`. Raises `ClientError`. Deadlines are the
    caller's scope; leaves no connection behind.
    """
    async with open_client(url, token, ca=ca) as client:
        await client.configure(SPOKEN_SESSION)
        if isinstance(said, str):
            return await run_typed_turn(client, said)
        return await run_spoken_turn(client, said)
