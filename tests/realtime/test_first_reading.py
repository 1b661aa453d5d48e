"""The first reading: what the daemon has its model read before any conversation, and when not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio
from structlog.testing import capture_logs

from tests.realtime.fakes import FakeLlm, FakeToolbox, talking
from tests.realtime.reading_llm import READ_S, ReadingLlm
from voiced.engines.ports import EngineInfo, Priority
from voiced.errors import EngineBusy, EngineCrashed
from voiced.realtime.first_reading import open_first_reading
from voiced.settings import Llm, Session, Settings
from voiced.thermal.heat import Heat
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from voiced.engines.host import EngineHost
    from voiced.tools.toolbox import Toolbox

READS = Settings(session=Session(instructions="Speak like a pirate."))


class UnableLlm(ReadingLlm):
    """Has the method, and says that it cannot."""

    info = EngineInfo(kind="llm", name="fake", version="1")


class FakeHost:
    """A process that is ready, and is replaced at will."""

    def __init__(self) -> None:
        self.state = "ready"
        self.restarts = 0
        self._changed = trio.lowlevel.ParkingLot()

    def change(self, state: str) -> None:
        self.restarts += state == "restarting"
        self.state = state
        self._changed.unpark_all()

    async def wait_change(self) -> None:
        await self._changed.park()

    async def replace(self) -> None:
        """Let it end, come back, and be read to."""
        self.change("restarting")
        await trio.sleep(READ_S)
        self.change("ready")
        await trio.sleep(READ_S + 1)


@asynccontextmanager
async def reading(
    llm: FakeLlm,
    host: FakeHost | None = None,
    settings: Settings = READS,
    heat: Heat | None = None,
    *,
    started: bool = True,
) -> AsyncIterator[FakeHost]:
    """The daemon's part, left to itself for as long as the model takes to read."""
    host = host or FakeHost()
    async with open_first_reading(
        settings,
        llm,
        cast("EngineHost", host),
        cast("Toolbox", FakeToolbox()),
        heat or Heat(),
    ) as start:
        if started:
            start.set()
        await trio.sleep(READ_S + 1)
        yield host


async def test_it_is_what_the_first_session_will_read(autojump_clock: MockClock) -> None:
    llm, of_a_session = ReadingLlm(), ReadingLlm()
    llm.tokens = 700
    with capture_logs() as logs:
        async with reading(llm):
            assert llm.whole == 1
    async with talking(llm=of_a_session, settings=READS):
        await trio.sleep(READ_S + 1)
    assert llm.read == of_a_session.read
    assert llm.tools == of_a_session.tools
    assert llm.read[0][0]["content"] == "Speak like a pirate."
    assert llm.priorities == {Priority.SPECULATION}
    [told] = logs
    assert told["event"] == "read the instructions ahead"
    assert (told["tokens"], told["seconds"]) == (700, READ_S)


async def test_it_waits_until_the_daemon_is_known_to_be_ready(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with reading(llm, started=False):
        assert llm.read == []


async def test_each_process_is_read_to_once(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with reading(llm) as host:
        host.change("ready")
        await trio.sleep(READ_S + 1)
        assert llm.whole == 1
        await host.replace()
        assert llm.whole == 2
    assert llm.read[0] == llm.read[1]


async def test_it_begins_with_a_process_that_is_not_ready_yet(autojump_clock: MockClock) -> None:
    llm, host = ReadingLlm(), FakeHost()
    host.change("restarting")
    async with reading(llm, host):
        assert llm.read == []
        host.change("ready")
        await trio.sleep(READ_S + 1)
        assert llm.whole == 1


async def test_a_process_that_ended_over_it_is_replaced_by_one_that_is_let_be(
    autojump_clock: MockClock,
) -> None:
    """Else a model that cannot read would be started and ended for ever, with nobody there."""
    llm = ReadingLlm(error=EngineCrashed("killed"))
    async with reading(llm) as host:
        await host.replace()
        assert len(llm.read) == 1
        llm.error = None
        await host.replace()  # for another reason
        assert llm.whole == 1


async def test_a_busy_engine_is_left_to_who_uses_it(autojump_clock: MockClock) -> None:
    llm = ReadingLlm(error=EngineBusy("full"))
    async with reading(llm) as host:
        assert len(llm.read) == 1
        llm.error = None
        await host.replace()
        assert llm.whole == 1


async def test_at_critical_heat_it_waits(autojump_clock: MockClock) -> None:
    llm, heat = ReadingLlm(), Heat()
    heat.tell(Level.CRITICAL, 90.0, "a sensor", ())
    async with reading(llm, heat=heat):
        assert llm.read == []
        heat.tell(Level.HOT, 81.0, "a sensor", ())
        await trio.sleep(READ_S + 1)
        assert llm.whole == 1


async def test_it_is_stopped_with_the_daemon(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with reading(llm) as host:
        host.change("restarting")
        host.change("ready")
        await trio.sleep(READ_S / 2)
        assert llm.at_once == 1
    assert (llm.at_once, llm.whole) == (0, 1)


async def test_nobody_reads_who_is_not_to_or_cannot(autojump_clock: MockClock) -> None:
    unwilling = ReadingLlm()
    async with reading(unwilling, settings=Settings(llm=Llm(prefill=False))):
        assert unwilling.read == []
    unable = UnableLlm()
    async with reading(unable), reading(FakeLlm()):
        assert unable.read == []
    server = ReadingLlm()
    async with open_first_reading(
        READS, server, None, cast("Toolbox", FakeToolbox()), Heat()
    ) as start:
        start.set()
        await trio.sleep(READ_S + 1)
    assert server.read == []
