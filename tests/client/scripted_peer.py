"""A Realtime server that follows a script: the peer the client is tried against."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio
from trio_websocket import ConnectionClosed, serve_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trio_websocket import WebSocketConnection, WebSocketRequest


class Peer:
    """The server's end of one connection."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.heard_bytes = 0
        self.appends: list[float] = []
        self._count = 0

    async def send(self, kind: str, **fields: object) -> None:
        self._count += 1
        event = {"type": kind, "event_id": f"event_{self._count}", **fields}
        await self.websocket.send_message(json.dumps(event))

    async def greet(self) -> None:
        await self.send("session.created", session={"id": "sess_1", "type": "realtime"})

    async def receive(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.websocket.get_message())
        if event["type"] == "input_audio_buffer.append":
            self.heard_bytes += len(base64.b64decode(event["audio"]))
            self.appends.append(trio.current_time())
        return event

    async def expect(self, kind: str) -> dict[str, Any]:
        """The next event but appends, which must be of type `kind`."""
        while True:
            event = await self.receive()
            if event["type"] == kind:
                return event
            assert event["type"] == "input_audio_buffer.append", event

    async def accept_update(self) -> dict[str, Any]:
        update = await self.expect("session.update")
        await self.send("session.updated", session=update["session"])
        session: dict[str, Any] = update["session"]
        return session

    async def hear(self, audio_bytes: int) -> None:
        """Read appends until that many bytes of audio have come in all."""
        while self.heard_bytes < audio_bytes:
            event = await self.receive()
            assert event["type"] == "input_audio_buffer.append", event

    async def hear_frame(self) -> bytes:
        """The audio of the next append."""
        event = await self.receive()
        assert event["type"] == "input_audio_buffer.append", event
        return base64.b64decode(event["audio"])

    async def commit_speech(self, item: str = "item_u1") -> None:
        """The first half of a spoken turn (sequence C)."""
        await self.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        await self.send("input_audio_buffer.speech_stopped", audio_end_ms=100, item_id=item)
        await self.send("input_audio_buffer.committed", previous_item_id=None, item_id=item)
        content = [{"type": "input_audio", "transcript": None}]
        user = {"id": item, "type": "message", "role": "user", "content": content}
        await self.send("conversation.item.added", previous_item_id=None, item=user)
        await self.send("conversation.item.done", previous_item_id=None, item=user)

    async def transcribe(self, text: str, item: str = "item_u1") -> None:
        await self.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item,
            content_index=0,
            transcript=text,
            usage={"type": "duration", "seconds": 0.1},
        )

    async def begin_response(self, response: str = "resp_1") -> None:
        await self.send("response.created", response={"id": response, "status": "in_progress"})
        item = {"id": "item_a1", "type": "message", "role": "assistant", "content": []}
        await self.send(
            "response.output_item.added", response_id=response, output_index=0, item=item
        )

    async def speak(self, text: str, pcm: bytes, response: str = "resp_1") -> None:
        ids = {
            "response_id": response,
            "item_id": "item_a1",
            "output_index": 0,
            "content_index": 0,
        }
        await self.send("response.output_audio_transcript.delta", delta=text, **ids)
        audio = base64.b64encode(pcm).decode()
        await self.send("response.output_audio.delta", delta=audio, **ids)

    async def end_response(
        self, response: str = "resp_1", status: str = "completed", **fields: object
    ) -> None:
        done = {"id": response, "status": status, "status_details": None, **fields}
        await self.send("response.done", response=done)

    async def linger(self) -> None:
        """Read whatever comes until the client closes."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed:
            return


@asynccontextmanager
async def serve_script(
    script: Callable[[Peer], Awaitable[None]], requests: list[WebSocketRequest] | None = None
) -> AsyncGenerator[str, None]:
    """Serve `script` to every connection; yields the URL."""

    async def handle(request: WebSocketRequest) -> None:
        if requests is not None:
            requests.append(request)
        peer = Peer(await request.accept())
        # A client may leave when it likes, also one that gave up before it was greeted.
        with suppress(ConnectionClosed):
            await script(peer)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            lambda task_status: serve_websocket(
                handle, "127.0.0.1", 0, ssl_context=None, task_status=task_status
            )
        )
        yield f"ws://127.0.0.1:{server.port}/v1/realtime"
        nursery.cancel_scope.cancel(reason="the test is over")


async def spoken_turn(peer: Peer) -> None:
    """Sequence C: an utterance of 100 ms, its transcript, and an answer with audio."""
    await peer.greet()
    await peer.accept_update()
    await peer.hear(4800)
    await peer.commit_speech()
    await peer.begin_response()
    await peer.transcribe("what time is it")
    await peer.speak("It is ", b"\x01\x00" * 2400)
    await peer.speak("noon.", b"\x02\x00" * 2400)
    timing = {"stt": 5.0, "llm_first_text": 6.0, "tts_first_audio": 7.0, "total": 9.0}
    await peer.end_response(voiced={"timing_ms": timing})
    await peer.linger()


async def typed_turn(peer: Peer) -> None:
    """Sequence B, answered with audio."""
    await peer.greet()
    await peer.accept_update()
    created = await peer.expect("conversation.item.create")
    said = created["item"]["content"][0]["text"]
    await peer.expect("response.create")
    await peer.begin_response()
    await peer.speak(f"You typed: {said}", b"\x03\x00" * 2400)
    await peer.end_response()
    await peer.linger()
