"""The beginning that conversations share, read before there is any: instructions and tools.

A session has it read when it opens, and somebody who asks at once waits for all of that. So the
daemon has it read once by itself, and again by each process of the model that replaces another: its
context is empty then. A session takes over what was read, see `voiced.realtime.ahead`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import trio

from voiced.conversation.core import begin
from voiced.errors import EngineCrashed, EngineError
from voiced.realtime.ahead import question_of, read_ahead, reader_of
from voiced.realtime.hub import default_config
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.host import EngineHost
    from voiced.engines.ports import Llm
    from voiced.settings import Settings
    from voiced.thermal.heat import Heat
    from voiced.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_first_reading(
    settings: Settings, llm: Llm, host: EngineHost | None, toolbox: Toolbox, heat: Heat
) -> AsyncIterator[trio.Event]:
    """Read in the background, from when the event that this yields is set: nobody is to wait for
    it who waits for the daemon. `host` is the process of the model, None where servers answer.
    Leaving the context cancels what is being read."""
    start = trio.Event()
    async with trio.open_nursery() as nursery:
        if host is not None and settings.llm.prefill:
            nursery.start_soon(_serve, start, settings, llm, host, toolbox, heat)
        yield start
        nursery.cancel_scope.cancel(reason="the daemon stops")


async def _serve(
    start: trio.Event,
    settings: Settings,
    llm: Llm,
    host: EngineHost,
    toolbox: Toolbox,
    heat: Heat,
) -> None:
    """Once for each process that becomes ready; told by how many there were before it."""
    await start.wait()
    done = -1
    while True:
        await heat.wait_until(lambda level: level < Level.CRITICAL)
        life = host.restarts
        if host.state != "ready" or life <= done:
            await host.wait_change()
            continue
        try:
            await _read(settings, llm, toolbox)
            done = life
        except EngineCrashed:
            # Perhaps of this: a process is not to end so again and again while nobody asks.
            done = life + 1
        except EngineError as exc:  # the first session reads for itself
            log.debug("could not read the instructions ahead", reason=str(exc))
            done = life


async def _read(settings: Settings, llm: Llm, toolbox: Toolbox) -> None:
    """Have the model read what a session with the daemon's own configuration begins with."""
    reader = reader_of(settings.llm, llm)
    if reader is None:
        return
    config = default_config(settings, "first", None)
    state, _ = begin(config, seed="first", history_items=settings.session.history_items)
    began = trio.current_time()
    tokens = await read_ahead(reader, toolbox, question_of(state))
    seconds = round(trio.current_time() - began, 1)
    log.info("read the instructions ahead", tokens=tokens, seconds=seconds)
