"""Idle sessions, silent peers and too much audio, on a mock clock and a socket in memory."""

from __future__ import annotations

import gc
import json
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing
from trio_websocket import CloseReason, ConnectionClosed

from tests.realtime.fakes import FakeLlm, Talk, says, talking
from voiced.conversation.effects import Close
from voiced.realtime.connection import (
    PING_S,
    PONG_S,
    ConnectionLost,
    Signs,
    closed_by,
    read,
    serve_connection,
    write,
)
from voiced.settings import Limits, Settings
from voiced.tools.notice import Notice
from voiced.web.websocket import Upgrade

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    from voiced.web.websocket import DoorSocket

IDLE_S = 1800.0


class FakeSocket:
    """What `read` and `write` use of a WebSocket."""

    def __init__(self, *, pongs: bool = True) -> None:
        self._send, self._receive = trio.open_memory_channel[str](1000)
        self._pongs = pongs
        self.heard_at = trio.current_time()
        self.pings: list[bytes] = []
        self.on_pong: Callable[[bytes], None] = lambda payload: None
        self.sent: list[dict[str, Any]] = []
        self.close = Close(0, "not closed")

    def say(self, kind: str, **fields: object) -> None:
        self._send.send_nowait(json.dumps({"type": kind, **fields}))

    def say_raw(self, message: str) -> None:
        self._send.send_nowait(message)

    def vanish(self) -> None:
        self._send.close()

    async def get_message(self) -> str:
        try:
            message = await self._receive.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed(None) from None
        self.heard_at = trio.current_time()
        return message

    async def send_ping(self, payload: bytes = b"") -> None:
        self.pings.append(payload)
        if self._pongs:
            self.heard_at = trio.current_time()
            self.on_pong(payload)

    async def send_message(self, message: str) -> None:
        self.sent.append(json.loads(message))

    async def aclose(self, code: int, reason: str) -> None:
        self.close = Close(code, reason)

    @property
    def websocket(self) -> DoorSocket:
        return cast("DoorSocket", self)


async def served(
    talk: Talk, socket: FakeSocket, client: Callable[[], Awaitable[None]]
) -> tuple[float, Close]:
    """Serve the session until it is closed; when, from now, and how."""
    signs = Signs(IDLE_S)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, socket.websocket, talk.session, Limits(), signs)
        nursery.start_soon(client)
        with trio.fail_after(100_000), pytest.raises(ConnectionLost, match="closed with"):
            await write(socket.websocket, talk.session, 10, signs)
        ended = trio.current_time() - began
        nursery.cancel_scope.cancel(reason="closed")
    talk.events += socket.sent
    return ended, socket.close


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (CloseReason(1000, None), "closed with 1000: no reason given"),
        (CloseReason(3001, "enough"), "closed with 3001: enough"),
        (CloseReason(1006, None), "the connection broke"),
        (None, "the connection broke"),
    ],
)
def test_the_end_of_a_connection_is_put_into_words(reason: CloseReason | None, said: str) -> None:
    assert closed_by(ConnectionClosed(reason)) == said


async def test_a_session_that_is_told_nothing_is_closed_with_a_reason(
    autojump_clock: MockClock,
) -> None:
    async def say_nothing() -> None:
        pass

    async with talking() as talk:
        after, close = await served(talk, FakeSocket(), say_nothing)
    assert after == pytest.approx(IDLE_S)
    assert close.code == 1001
    assert close.reason == "no client event for 1800 s"


@pytest.mark.parametrize(
    ("message", "keeps"),
    [
        ('{"type":"input_audio_buffer.append","audio":"AAA="}', True),
        ('{"type":"session.update","session":{"type":"realtime"}}', True),
        ('{"type":"response.cancel"}', True),
        ("garbage", False),
    ],
)
async def test_any_event_counts_silence_too_but_no_garbage(
    message: str, keeps: bool, autojump_clock: MockClock
) -> None:
    socket = FakeSocket()

    async def say_it_once() -> None:
        await trio.sleep(1000)
        socket.say_raw(message)

    async with talking() as talk:
        after, _ = await served(talk, socket, say_it_once)
    assert after == pytest.approx(IDLE_S + (1000 if keeps else 0))


async def test_what_goes_on_when_the_idle_session_is_closed_is_closed_too(
    autojump_clock: MockClock,
) -> None:
    socket = FakeSocket()

    async def ask() -> None:
        socket.say("response.create", response={"output_modalities": ["text"]})

    async with talking(llm=FakeLlm([1e6, *says("Late.")])) as talk:
        await served(talk, socket, ask)
        assert talk.types() == ["session.created", "response.created", "response.done"]


async def test_a_silent_peer_is_pinged_and_given_up(autojump_clock: MockClock) -> None:
    socket = FakeSocket(pongs=False)
    began = trio.current_time()
    async with talking() as talk:
        with pytest.raises(ConnectionLost, match="no pong"):
            await write(socket.websocket, talk.session, 10, Signs())
    assert trio.current_time() - began == pytest.approx(PING_S + PONG_S)
    assert socket.pings == [b""]


async def test_a_peer_that_answers_is_not(autojump_clock: MockClock) -> None:
    socket = FakeSocket()
    async with talking() as talk:
        with trio.move_on_after(3_000) as waited:
            await write(socket.websocket, talk.session, 10, Signs())
    assert waited.cancelled_caught
    assert len(socket.pings) == pytest.approx(3_000 / PING_S, abs=1)


async def test_check_9_a_minute_of_silence_has_pings_and_no_data(
    autojump_clock: MockClock,
) -> None:
    socket = FakeSocket()
    async with talking() as talk:
        with trio.move_on_after(60.5):
            await write(socket.websocket, talk.session, 10, Signs())
    assert len(socket.pings) >= 2
    assert socket.sent == []


async def test_a_pong_stuck_behind_audio_is_forgiven(autojump_clock: MockClock) -> None:
    """The peer sends now and then; its pong waits behind what it sent."""
    socket = FakeSocket(pongs=False)

    async def hear() -> None:
        while True:
            await trio.sleep(PING_S + 1)
            socket.heard_at = trio.current_time()

    async with talking() as talk, trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        with trio.move_on_after(3_000) as waited:
            await write(socket.websocket, talk.session, 10, Signs())
        nursery.cancel_scope.cancel(reason="the test is over")
    assert waited.cancelled_caught
    assert len(socket.pings) > 1


async def test_audio_is_read_at_twice_real_time_once_the_burst_is_used(
    autojump_clock: MockClock,
) -> None:
    """Slowed down, but none of it lost: who sends a file faster than it plays."""
    socket = FakeSocket()
    second = "AAAA" * 16_000  # 48,000 bytes
    async with talking() as talk, trio.open_nursery() as nursery:
        talk.configure(audio={"input": {"turn_detection": None}})
        began = trio.current_time()
        nursery.start_soon(read, socket.websocket, talk.session, Limits(), Signs())
        for _ in range(200):
            socket.say("input_audio_buffer.append", audio=second)
        socket.say("input_audio_buffer.commit")
        await talk.until("input_audio_buffer.committed")
        assert trio.current_time() - began == pytest.approx((200 - 60) / 2, abs=1)
        nursery.cancel_scope.cancel(reason="the test is over")
    assert talk.session.pipeline.dropped_bytes == 0
    assert "error" not in talk.types()


async def test_who_is_far_ahead_and_goes_on_at_the_pace_of_speech_is_still_heard(
    autojump_clock: MockClock,
) -> None:
    """Its audio is refused for a while, but what it asks for is not held up behind it."""
    socket = FakeSocket()

    async def speak() -> None:
        while True:
            socket.say("input_audio_buffer.append", audio="AAAA" * 320)
            await trio.sleep(0.02)

    async with talking() as talk, trio.open_nursery() as nursery:
        talk.configure(audio={"input": {"turn_detection": None}})
        nursery.start_soon(read, socket.websocket, talk.session, Limits(), Signs())
        socket.say("input_audio_buffer.append", audio="AAAA" * 4_000_000)
        nursery.start_soon(speak)
        await trio.sleep(30)
        asked = trio.current_time()
        socket.say("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        assert trio.current_time() - asked < 1
        assert "error" in talk.types()
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_client_that_does_not_read_its_answers_is_not_read_further(
    autojump_clock: MockClock,
) -> None:
    limits = Limits(outbox_bytes=40_000)
    socket = FakeSocket()
    for number in range(200):
        text = {"type": "input_text", "text": f"{number:03d}" + "x" * 1_000}
        item = {"type": "message", "role": "user", "content": [text]}
        socket.say("conversation.item.create", item=item)
    settings = Settings(limits=limits)
    async with talking(settings=settings) as talk, trio.open_nursery() as nursery:
        nursery.start_soon(read, socket.websocket, talk.session, limits, Signs())
        await trio.testing.wait_all_tasks_blocked()
        assert 20_000 < talk.session.outbox.size_bytes < 25_000
        added = [e for e in await talk.rest() if e["type"] == "conversation.item.added"]
        assert len(added) == 200  # slowed down, and nothing lost or refused
        nursery.cancel_scope.cancel(reason="seen")


async def test_a_response_under_way_is_closed_before_a_faulty_connection(
    autojump_clock: MockClock,
) -> None:
    socket = FakeSocket()

    async def ask_then_talk_nonsense() -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "?"}]}
        socket.say("conversation.item.create", item=item)
        socket.say("response.create")
        await trio.sleep(1)
        for _ in range(30):
            socket.say_raw("nonsense")

    async with talking(llm=FakeLlm([1e6, *says("late")])) as talk:
        _, close = await served(talk, socket, ask_then_talk_nonsense)
        done = [e for e in talk.events if e["type"] == "response.done"]
    assert close.code == 1002
    assert [event["response"]["status"] for event in done] == ["failed"]


async def test_what_a_session_held_is_freed_as_soon_as_its_connection_ends(
    autojump_clock: MockClock,
) -> None:
    """By its last reference, and not some day by the collector, which waits for many more."""
    socket = FakeSocket()
    upgrade = Upgrade(path="/", query={}, headers={}, remote="127.0.0.1", subprotocols=())
    async with talking() as talk:
        gc.disable()
        try:
            async with trio.open_nursery() as nursery:
                serve = partial(serve_connection, hub=talk.hub, limits=Limits(), idle_s=IDLE_S)
                nursery.start_soon(serve, socket.websocket, upgrade)
                await trio.testing.wait_all_tasks_blocked()
                sessions = [weakref.ref(each) for each in talk.hub._sessions.values()]
                pipelines = [weakref.ref(each.pipeline) for each in talk.hub._sessions.values()]
                socket.vanish()
            await trio.testing.wait_all_tasks_blocked()
            assert [session() for session in sessions] == [talk.session, None]
            assert [pipeline() for pipeline in pipelines] == [talk.session.pipeline, None]
        finally:
            gc.enable()


@pytest.mark.parametrize("reads", [True, False])
async def test_what_the_daemon_says_unasked_is_heard_once_the_client_has_read_it(
    reads: bool, autojump_clock: MockClock
) -> None:
    """A client that takes nothing more off its socket still has room in its buffers for it."""
    socket = FakeSocket(pongs=reads)
    settled: list[bool] = []
    async with talking() as talk, trio.open_nursery() as nursery:
        serve = partial(serve_connection, hub=talk.hub, limits=Limits(), idle_s=IDLE_S)
        upgrade = Upgrade(path="", query={}, headers={}, remote="127.0.0.1", subprotocols=())
        nursery.start_soon(serve, socket.websocket, upgrade)
        await trio.testing.wait_all_tasks_blocked()
        (created,) = socket.sent
        said = Notice("Your timer is over.", settled.append)
        talk.hub.announce(created["session"]["id"], said)
        await trio.sleep(10)
        assert socket.sent[-1]["type"] == "rate_limits.updated"
        assert "response.done" in [event["type"] for event in socket.sent]
        assert settled == ([True] if reads else [])
        socket.vanish()
    assert settled == [reads]
