"""The blocking client of the openai package: python openai_sync.py BASE_URL FOLDER

A typed turn; a spoken command that calls a function of this program; and a question that
interrupts the answer. FOLDER holds command.pcm and question.pcm, PCM16 mono at 24 kHz.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.resources.realtime.realtime import RealtimeConnection
    from openai.types.realtime import RealtimeFunctionToolParam

BYTES_PER_MS = 48
PORTION_MS = 40
SET_LIGHT: RealtimeFunctionToolParam = {
    "type": "function",
    "name": "set_light",
    "description": "Switch the lights of a room",
    "parameters": {
        "type": "object",
        "properties": {"room": {"type": "string"}, "state": {"type": "string"}},
    },
}
OUTPUT = "The lamps above the stove are burning now, and the one over the table is dimmed to half."


class Microphone(threading.Thread):
    """Streams what is said, and silence in between, at the pace of talking."""

    def __init__(self, connection: RealtimeConnection) -> None:
        super().__init__()
        self.connection = connection
        self.said = b""
        self.off = threading.Event()

    def run(self) -> None:
        size = PORTION_MS * BYTES_PER_MS
        due = time.monotonic()
        while not self.off.is_set():
            portion, self.said = self.said[:size], self.said[size:]
            audio = base64.b64encode(portion.ljust(size, b"\0")).decode()
            self.connection.input_audio_buffer.append(audio=audio)
            due += PORTION_MS / 1000
            self.off.wait(due - time.monotonic())


def until(events: Iterator[Any], *kinds: str) -> dict[str, Any]:
    """Read until there was one event of each kind; the first of each."""
    seen: dict[str, Any] = {}
    while not all(kind in seen for kind in kinds):
        event = next(events)
        if event.type == "error":
            raise RuntimeError(event.error.message)
        seen.setdefault(event.type, event)
    return seen


def said(response: Any) -> str:  # noqa: ANN401 - its items are a union
    """The words of a response."""
    return "".join(part.transcript or part.text or "" for part in response.output[0].content)


def main(base_url: str, folder: Path) -> None:
    client = OpenAI(base_url=base_url, api_key="local")
    report: dict[str, Any] = {}
    with client.realtime.connect(model="voiced") as connection:
        events = iter(connection)
        transcription: Any = {"model": "whisper-1"}
        connection.session.update(
            session={
                "type": "realtime",
                "tools": [SET_LIGHT],
                "audio": {"input": {"transcription": transcription}},
            }
        )
        until(events, "session.created", "session.updated")

        connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "what time is it"}],
            }
        )
        connection.response.create(response={"output_modalities": ["text"]})
        report["typed"] = said(until(events, "response.done")["response.done"].response)

        microphone = Microphone(connection)
        microphone.start()
        try:
            microphone.said = (folder / "command.pcm").read_bytes()
            heard = "conversation.item.input_audio_transcription.completed"
            seen = until(events, heard, "response.done")
            call = seen["response.done"].response.output[0]
            report["heard"] = seen[heard].transcript
            report["called"] = {"name": call.name, **json.loads(call.arguments)}

            connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call.call_id, "output": OUTPUT}
            )
            connection.response.create()
            audio = until(events, "response.output_audio.delta")["response.output_audio.delta"]
            playing_since = time.monotonic()
            microphone.said = (folder / "question.pcm").read_bytes()
            until(events, "input_audio_buffer.speech_started")
            played_ms = int((time.monotonic() - playing_since) * 1000)
            connection.conversation.item.truncate(
                item_id=audio.item_id, content_index=0, audio_end_ms=played_ms
            )
            seen = until(events, "response.done", "conversation.item.truncated")
            interrupted = seen["response.done"].response
            report["interrupted"] = interrupted.status_details.reason
            report["answer"] = said(interrupted)
            report["after"] = said(until(events, "response.done")["response.done"].response)
        finally:
            microphone.off.set()
            microphone.join()
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
