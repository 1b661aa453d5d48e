"""The load generator against a real WebSocket server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from functools import partial

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import Message

from tests.client.scripted_peer import Peer, serve_script
from tests.patience import CEILING_S
from voiced.bench.daemon import Daemon
from voiced.bench.load import Load, LoadReport, client_frame, encode_frames
from voiced.bench.sessions import run_step
from voiced.client.address import parse_address
from voiced.errors import ClientError

PCM = bytes(range(256)) * 20


def load_for(url: str, sessions: int, seconds: float) -> Load:
    address = parse_address(url)
    return Load(
        host=address.host,
        port=address.port,
        resource=address.resource,
        token="secret",
        sessions=sessions,
        frame_ms=20,
        seconds=seconds,
        pcm=PCM,
        session={"type": "realtime"},
    )


async def run_load(load: Load) -> subprocess.CompletedProcess[bytes]:
    run = partial(
        trio.run_process,
        [sys.executable, "-m", "voiced.bench.load"],
        stdin=msgspec.json.encode(load) + b"\n",
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    with trio.fail_after(CEILING_S):
        return await run()


@given(st.integers(0, 70_000))
def test_frame_is_read_as_one_text_message(size: int) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(client_frame(b"a" * size))
    events = [event for event in server.events() if isinstance(event, Message)]
    assert "".join(event.data for event in events) == "a" * size
    assert events[-1].message_finished


def test_frames_hold_the_audio_in_order() -> None:
    server = Connection(ConnectionType.SERVER)
    heard = b""
    for frame in encode_frames(PCM, 20):
        server.receive_data(frame)
        text = "".join(event.data for event in server.events() if isinstance(event, Message))
        event = json.loads(text)
        assert event["type"] == "input_audio_buffer.append"
        heard += base64.b64decode(event["audio"])
    assert heard == PCM[: len(heard)]
    assert len(PCM) - len(heard) < 960


async def test_sessions_stream_and_are_reported() -> None:
    """The generator's standard input ends at once here, so it ends as soon as all stream."""
    updates: list[dict[str, object]] = []

    async def script(peer: Peer) -> None:
        await peer.greet()
        updates.append(await peer.accept_update())
        await peer.linger()

    async with serve_script(script) as url:
        done = await run_load(load_for(url, 5, 30))
    assert (done.returncode, done.stderr) == (0, b"")
    first, last = done.stdout.splitlines()
    assert json.loads(first) == {"connected": 5}
    report = msgspec.json.decode(last, type=LoadReport)
    assert (report.sessions, report.lost, report.refusals) == (5, 0, 0)
    assert updates == [{"type": "realtime"}] * 5


async def test_lost_sessions_are_counted() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(960)
        await peer.websocket.aclose(1011)

    async with serve_script(script) as url:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "voiced.bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with process.stdin, process.stdout:
            await process.stdin.send_all(msgspec.json.encode(load_for(url, 3, 1.0)) + b"\n")
            output = b""
            with trio.fail_after(CEILING_S):
                while data := await process.stdout.receive_some():
                    output += data
                await process.wait()
    report = msgspec.json.decode(output.splitlines()[-1], type=LoadReport)
    assert report.lost == 3


async def test_refused_connection_is_said() -> None:
    async with trio.open_nursery() as nursery:

        async def refuse(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await stream.aclose()

        serve = partial(trio.serve_tcp, refuse, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        done = await run_load(load_for(f"ws://127.0.0.1:{port}", 1, 1))
        nursery.cancel_scope.cancel(reason="the test is over")
    assert done.returncode == 1
    assert b"403" in done.stderr


async def test_step_gives_up_when_sessions_cannot_be_opened() -> None:
    with pytest.raises(ClientError, match="gave up"):
        await run_step(
            1, frame_ms=20, seconds=1, pcm=PCM, daemon=Daemon("ws://127.0.0.1:1/v1/realtime")
        )
