"""Those who watch the daemon, through the front door on loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from tests.web.harness import (
    REMOTE,
    connect,
    make_secrets,
    make_settings,
    read_all,
    read_close,
    running,
    until,
    upgrade,
    websocket,
)
from voiced.realtime.observing import serve_observer
from voiced.realtime.secrets import Attached
from voiced.settings import Insights as InsightsSettings
from voiced.telemetry.insights import Insights, Metadata, PluginStatus, Progress, Warning_
from voiced.web.refusal import tell_of_refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from trio_websocket import WebSocketConnection

    from voiced.settings import Settings
    from voiced.web.websocket import DoorSocket, Upgrade

PATH = "/v1/realtime?intent=insights"


def state_of_things() -> Iterable[Metadata | PluginStatus]:
    yield PluginStatus(kind="tts", name="espeak", state="ready")
    yield Metadata(version="1", uptime_s=2, sessions=0, observers=1, engines={}, heat="normal")


@asynccontextmanager
async def watched(
    settings: Settings | None = None,
    *,
    ping_s: float = 30,
    most: int = 1000,
    **door: Any,  # noqa: ANN401  # handed on
) -> AsyncIterator[tuple[Insights, int]]:
    """A door behind which there is nothing but a hub of insights."""
    settings = settings or make_settings()
    settings = msgspec.structs.replace(settings, insights=InsightsSettings(ping_s=ping_s))
    insights = Insights(most=most)
    insights.add_source(state_of_things)

    async def handler(ws: DoorSocket, request: Upgrade) -> None:
        await serve_observer(ws, request, insights=insights, settings=settings)

    refused = partial(tell_of_refusal, insights)
    async with running(settings, handler=handler, on_refusal=refused, **door) as (_, port):
        yield insights, port


async def following(client: WebSocketConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await client.get_message())
    assert sorted(message) == ["payload", "timestamp", "type"]
    return message


async def greeted(client: WebSocketConnection) -> None:
    """Read the snapshot."""
    first = await following(client)
    assert first["type"] == "metadata"
    for _ in range(first["payload"]["snapshot"]):
        await following(client)


async def refused(
    port: int,
    path: str = PATH,
    **options: Any,  # noqa: ANN401  # handed on
) -> tuple[dict[str, Any], int]:
    """The payload of the one error, and the code of the close behind it."""
    async with websocket(port, path, **options) as client:
        message = await following(client)
        assert message["type"] == "error"
        code, _ = await read_close(client)
        return message["payload"], code


async def test_an_observer_learns_how_things_are_and_then_what_happens() -> None:
    async with watched() as (insights, port), websocket(port, PATH) as client:
        first = await following(client)
        assert (first["type"], first["payload"]["snapshot"]) == ("metadata", 1)
        assert (await following(client))["payload"]["name"] == "espeak"
        insights.warning(Warning_(code="hot", message="The processor is hot."))
        assert (await following(client))["payload"]["code"] == "hot"
    await until(lambda: not insights.observers)


async def test_types_are_chosen_in_the_address() -> None:
    path = f"{PATH}&types=warning,progress"
    async with watched() as (insights, port), websocket(port, path) as client:
        await until(lambda: insights.observers == 1)
        insights.plugin_status(PluginStatus(kind="tts", name="espeak", state="open"))
        insights.warning(Warning_(code="hot", message="The processor is hot."))
        assert (await following(client))["type"] == "warning"


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("&types=warning,gossip", "invalid_value", "'gossip'"),
        ("&model=voiced", "unknown_parameter", "'model'"),
        ("&since=yesterday", "unknown_parameter", "'since'"),
    ],
)
async def test_what_there_is_not_is_refused_in_the_streams_own_form(
    query: str, code: str, says: str
) -> None:
    async with watched() as (_, port):
        error, close = await refused(port, PATH + query)
        assert (error["code"], close) == (code, 4000)
        assert says in error["message"]


async def test_observers_need_the_token_and_a_client_secret_is_none() -> None:
    keys = make_secrets()
    secret = keys.make(Attached(), 60)
    settings = make_settings(token="s3cret")
    async with watched(settings, remote=REMOTE, client_secrets=keys) as (_, port):
        assert (await refused(port))[1] == 3000
        bearer = {"Authorization": "Bearer wrong"}
        assert (await refused(port, headers=bearer))[0]["code"] == "invalid_api_key"
        error, close = await refused(port, headers={"Authorization": f"Bearer {secret}"})
        assert "client secret" in error["message"]
        assert close == 3000
        async with websocket(port, PATH, headers={"Authorization": "Bearer s3cret"}) as client:
            await greeted(client)


async def test_observers_are_limited_and_take_no_place_from_sessions() -> None:
    limits = {"observers": 2, "sessions": 1, "connections_per_address": 2}
    settings = make_settings(limits=limits)
    async with watched(settings) as (insights, port), websocket(port, PATH) as first:
        await greeted(first)
        async with websocket(port, PATH) as second:
            await greeted(second)
            error, close = await refused(port)
            assert (error["code"], close) == ("too_many_connections", 4029)
        await until(lambda: insights.observers == 1)
    settings = make_settings(limits={**limits, "connections_per_address": 5, "observers": 1})
    async with watched(settings) as (_, port), websocket(port, PATH) as first:
        await greeted(first)
        error, close = await refused(port)
        assert (error["code"], close) == ("too_many_observers", 4029)
        async with websocket(port, "/v1/realtime") as session:  # sessions: 1, and that is this one
            assert session.closed is None


async def test_those_who_watch_learn_that_somebody_was_turned_away() -> None:
    settings = make_settings(limits={"observers": 1})
    async with watched(settings) as (_, port), websocket(port, PATH) as client:
        await greeted(client)
        for _ in range(2):
            await refused(port)
        warning = await following(client)
        assert warning["payload"]["code"] == "too_many_observers"
        assert "at most 1" in warning["payload"]["message"]
        await refused(port, PATH + "&types=gossip")  # a mistake of theirs is no news
        await client.send_message('{"type":"ping"}')
        last = await following(client)
        while last["type"] == "warning":
            assert last["payload"]["code"] == "too_many_observers"
            last = await following(client)
        assert last["type"] == "pong"


async def test_a_ping_is_answered_and_garbage_is_answered_until_it_is_too_much() -> None:
    async with watched() as (_, port), websocket(port, PATH) as client:
        await greeted(client)
        await client.send_message('{"type":"ping","payload":{"sequence":7}}')
        pong = await following(client)
        assert (pong["type"], pong["payload"]) == ("pong", {"sequence": 7})
        await client.send_message('{"type":"ping"}')
        assert (await following(client))["type"] == "pong"
        await client.send_message('{"type":"pong"}')  # of itself, which is no harm
        for garbage in ("{", "[]", '{"type":"frame"}', '{"type":"ping","more":1}', "[" * 4000):
            await client.send_message(garbage)
            error = await following(client)
            assert (error["type"], error["payload"]["code"]) == ("error", "invalid_message")
        await client.send_message('{"type":"ping"}')  # one that is none makes up for them
        assert (await following(client))["type"] == "pong"
        for _ in range(21):
            await client.send_message(b"\0")
        code, _ = await read_close(client)
        assert code == 1002


async def test_a_message_longer_than_any_ping_ends_the_connection() -> None:
    async with watched() as (_, port), websocket(port, PATH) as client:
        await greeted(client)
        await client.send_message(" " * 5000)
        code, _ = await read_close(client)
        assert code == 1009


async def test_who_answers_pings_stays_whatever_the_form_of_the_answer() -> None:
    async with watched(ping_s=0.05) as (insights, port), websocket(port, PATH) as client:
        await greeted(client)
        for sequence in range(1, 5):  # its library answers the other ping
            ping = await following(client)
            assert (ping["type"], ping["payload"]) == ("ping", {"sequence": sequence})
        assert insights.observers == 1


async def test_a_peer_that_shows_no_sign_of_life_is_dropped() -> None:
    async with watched(ping_s=0.05) as (insights, port), await connect(port) as stream:
        await stream.send_all(upgrade(PATH))
        received = await read_all(stream)  # which ends
        assert b'"type":"ping"' in received
        await until(lambda: not insights.observers)


async def test_who_never_reads_is_dropped_and_the_others_notice_nothing() -> None:
    settings = make_settings(limits={"send_timeout_s": 0.2})
    async with watched(settings, most=20) as (insights, port), await connect(port) as deaf:
        await deaf.send_all(upgrade(PATH))
        async with websocket(port, f"{PATH}&types=progress") as client:
            await until(lambda: insights.observers == 2)
            sent = 0
            while insights.observers == 2:
                sent += 1
                for job in range(20):
                    # Long, to fill what the kernel keeps for somebody who does not read.
                    about = Progress(
                        job_id=f"job_{job}",
                        kind="speech",
                        status="running",
                        percent=1,
                        reason="r" * 2000,
                    )
                    insights.progress(about)
                got = 0
                while got < 20:
                    got += 1 + (await following(client))["payload"]["coalesced"]
                await trio.lowlevel.checkpoint()
            assert sent > 1
            insights.progress(Progress(job_id="last", kind="speech", status="running", percent=2))
            assert (await following(client))["payload"]["job_id"] == "last"


async def test_goodbye_closes_with_1001() -> None:
    async with watched() as (insights, port), websocket(port, PATH) as client:
        await greeted(client)
        insights.warning(Warning_(code="hot", message="The processor is hot."))
        insights.say_goodbye()
        assert (await following(client))["type"] == "warning"
        code, _ = await read_close(client)
        assert code == 1001
