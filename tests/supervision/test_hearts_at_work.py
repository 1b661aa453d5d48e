"""The hearts of the door and of the hub: they beat while their loops go round, and only then."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio
from trio.testing import wait_all_tasks_blocked

from tests.realtime.fakes import FakeLlm, FakeStt, FakeToolbox, FakeTts, FakeVad
from tests.web.harness import Status, echo, make_app, make_settings
from voiced.engines.tts.voices import Voices
from voiced.realtime.hub import SessionHub
from voiced.realtime.item_audio import AudioBudget
from voiced.realtime.parts import SessionParts
from voiced.realtime.reply import Speaker
from voiced.store.history import History
from voiced.supervision.hearts import BEAT_S, SILENT_S, Hearts
from voiced.web.door import Door, open_door
from voiced.web.streams import open_listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from voiced.tools.toolbox import Toolbox


@asynccontextmanager
async def idle_door(hearts: Hearts) -> AsyncIterator[Door]:
    settings = make_settings()
    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    app = make_app(Status(settings))
    async with open_door(listeners, settings, app=app, handler=echo, hearts=hearts) as door:
        await wait_all_tasks_blocked()
        yield door


@asynccontextmanager
async def idle_hub(hearts: Hearts) -> AsyncIterator[None]:
    settings = make_settings()
    toolbox = cast("Toolbox", FakeToolbox())
    parts = SessionParts(
        settings=settings,
        vad=FakeVad(),
        stt=FakeStt(),
        speaker=Speaker(
            llm=FakeLlm(),
            tts=(tts := FakeTts()),
            toolbox=toolbox,
            voices=Voices(settings.tts, tts),
            lead_ms=400,
        ),
        history=History(settings.session.history_items),
        item_audio=AudioBudget(0),
    )
    hub = SessionHub(parts, hearts)
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.serve_audio)
        await nursery.start(hub.serve_sessions)
        await wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel(reason="the test is over")


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Let `seconds` pass for tasks that have nothing else to do."""
    for _ in range(int(seconds / BEAT_S)):
        clock.jump(BEAT_S)
        await wait_all_tasks_blocked()


async def test_a_door_where_nobody_knocks_is_alive(mock_clock: MockClock) -> None:
    hearts = Hearts()
    async with idle_door(hearts):
        await pass_time(mock_clock, 3 * SILENT_S)
        assert hearts.ages_s().keys() == {"door"}
        assert hearts.stale() == []
    assert hearts.ages_s() == {}


async def test_a_door_that_does_not_go_round_is_stuck(mock_clock: MockClock) -> None:
    hearts = Hearts()
    async with idle_door(hearts):
        mock_clock.jump(SILENT_S + 1.0)
        assert hearts.stale() == ["door"]  # no task of it has run since
        await wait_all_tasks_blocked()
        assert hearts.stale() == []


async def test_a_door_that_accepts_no_more_is_not_missed(mock_clock: MockClock) -> None:
    hearts = Hearts()
    async with idle_door(hearts) as door:
        await door.stop()
        await wait_all_tasks_blocked()
        mock_clock.jump(SILENT_S + 1.0)
        assert hearts.stale() == []


async def test_a_hub_without_sessions_is_alive(mock_clock: MockClock) -> None:
    hearts = Hearts()
    async with idle_hub(hearts):
        await pass_time(mock_clock, 3 * SILENT_S)
        assert hearts.ages_s().keys() == {"audio", "sessions"}
        assert hearts.stale() == []
    assert hearts.ages_s() == {}


async def test_a_hub_that_does_not_go_round_is_stuck(mock_clock: MockClock) -> None:
    hearts = Hearts()
    async with idle_hub(hearts):
        mock_clock.jump(SILENT_S + 1.0)
        assert hearts.stale() == ["audio", "sessions"]
        await wait_all_tasks_blocked()
        assert hearts.stale() == []
