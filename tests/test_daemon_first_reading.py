"""A daemon whose model has read the instructions before anybody came, with llama.cpp.

It is critically hot for whoever comes: their sessions read nothing ahead then, so that what the
answer need not compute was read by the daemon.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import trio
from structlog.testing import capture_logs

from tests.engines.llama_helpers import needs_llama
from tests.models.llama_model import write_scripted
from tests.patience import CEILING_S
from tests.realtime.live import connected
from tests.web.harness import until
from voiced.daemon import App, open_app
from voiced.settings import Llm, Server, Settings, Store, Stt, Thermal, Tts
from voiced.systemd.notify import Notifier
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.engines.host import EngineHost

LLAMA = Llm(engine="llama", model="scripted", context=8192, temperature=0.0, threads=1)


async def cached_when_hot(app: App) -> int:
    """Of the first answer of a session: how many tokens were known already."""
    app.heat.tell(Level.CRITICAL, 90.0, "a sensor", ())
    async with connected(app.status.urls()[0]) as client:
        await client.configure(output_modalities=["text"])
        done = await client.type_in("tell me of the zebra")
    assert done["status"] == "completed", done
    cached: int = done["usage"]["input_token_details"]["cached_tokens"]
    return cached


async def replaced(host: EngineHost) -> None:
    """Kill the process, and wait for the next one."""
    assert host.pid is not None
    os.kill(host.pid, signal.SIGKILL)
    while await host.wait_change() != "ready":
        pass


def told(logs: list[Any]) -> list[int]:
    return [line["tokens"] for line in logs if line["event"] == "read the instructions ahead"]


@needs_llama
async def test_the_first_answer_of_each_process_need_not_read_the_instructions(
    tmp_path: Path,
) -> None:
    (tmp_path / "state/models").mkdir(parents=True)
    write_scripted(
        tmp_path / "state/models/scripted.gguf", {"zebra": ["It is ", "striped."]}, context=8192
    )
    settings = Settings(
        server=Server(port=0),
        stt=Stt(engine="stub"),
        llm=LLAMA,
        tts=Tts(engine="stub"),
        thermal=Thermal(enabled=False),
        store=Store(directory=str(tmp_path / "state")),
    )
    with capture_logs() as logs, trio.fail_after(CEILING_S):
        async with open_app(settings, Notifier()) as app:
            host = app.engines.llm_host
            assert host is not None
            app.start_reading.set()
            await until(lambda: len(told(logs)) == 1)
            [tokens] = told(logs)
            assert tokens > 100  # the daemon's tools are told too
            assert await cached_when_hot(app) == tokens

            await replaced(host)
            assert await cached_when_hot(app) == 0  # nobody has read to this one, for the heat

            app.heat.tell(Level.NORMAL, 50.0, "a sensor", ())
            await until(lambda: len(told(logs)) == 2)
            await replaced(host)
            await until(lambda: len(told(logs)) == 3)
            assert await cached_when_hot(app) == tokens
    assert told(logs) == [tokens] * 3
