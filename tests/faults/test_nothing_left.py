"""After many connections that ended in every way: no task, no descriptor, no session is left."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import psutil
import trio

from tests.patience import CEILING_S
from tests.realtime.live import Client, connected, daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.realtime.live import Daemon

CONNECTIONS = 60
AT_ONCE = 6


async def asked(running: Daemon, path: str) -> dict[str, Any]:
    async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        await stream.send_all(request.encode())
        answer = b"".join([data async for data in stream])
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


async def held(running: Daemon) -> tuple[int, int]:
    """Tasks and descriptors once nobody is connected but who asks."""
    process = psutil.Process(running.process.pid)
    while True:
        health = await asked(running, "/health")
        if health["sessions"] == 0 and health["connections"] == 1:
            return health["tasks"], process.num_fds()


async def at_rest(running: Daemon) -> tuple[int, int]:
    """What is held when that stays as it is: the question itself takes a connection, whose
    socket is closed a moment after the answer."""
    seen: list[tuple[int, int]] = []
    while len(seen) < 3 or len(set(seen[-3:])) > 1:
        seen.append(await held(running))
        await trio.sleep(0.05)
    return seen[-1]


async def back_to(running: Daemon, before: tuple[int, int]) -> None:
    """Wait until no more is held than before; fails with what remains."""
    tasks, descriptors = before
    with trio.move_on_after(CEILING_S):
        while True:
            now = await held(running)
            if now[0] <= tasks and now[1] <= descriptors:
                return
            await trio.sleep(0.05)
    raise AssertionError(f"(tasks, descriptors) were {before} and stay {now}")


async def one_way_or_another(client: Client, chance: random.Random, spoken: bytes) -> None:
    """Get as far as chance has it, and leave as rudely."""
    way = chance.randrange(6)
    if way == 0:
        await client.type_in("hello")
    elif way <= 2:
        await client.add_text("hello")
        await client.send("response.create")
        await client.until(
            chance.choice(["response.created", "response.output_audio.delta", "response.done"])
        )
    elif way == 3:
        await client.append(spoken)
        await client.until("input_audio_buffer.speech_started")
    elif way == 4:
        await client.add_text("hello")
        await client.send("response.create")
        await client.send("response.cancel")
    if chance.random() < 0.5:
        await trio.aclose_forcefully(client.websocket._stream)


async def test_nothing_of_many_connections_is_left(tmp_path: Path, spoken: bytes) -> None:
    chance = random.Random(1)
    environ = {"VOICED_TTS__AUDIO_S": "0.5", "VOICED_LIMITS__CONNECTIONS_PER_ADDRESS": "100"}
    with daemon(tmp_path, **environ) as running:
        async with connected(running.url) as first:
            await first.type_in("hello")
        with trio.fail_after(CEILING_S):
            before = await at_rest(running)

        async def come_and_go() -> None:
            for _ in range(CONNECTIONS // AT_ONCE):
                async with connected(running.url) as client:
                    await one_way_or_another(client, chance, spoken)

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(come_and_go)
        await back_to(running, before)
        engines = (await asked(running, "/ready"))["engines"]
        assert all(engine["queue"] == 0 for engine in engines.values())
        assert [line["event"] for line in running.log].count("closed session") == CONNECTIONS + 1
        assert "Traceback" not in running.raw_log
        assert [line for line in running.log if line["level"] in {"error", "critical"}] == []
