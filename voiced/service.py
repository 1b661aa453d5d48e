"""The daemon from its start to its end: signals, what systemd is told, and the drain.

What runs in between is `daemon.py`.
"""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import structlog
import trio

from voiced.daemon import open_app
from voiced.systemd.notify import Notifier
from voiced.web.ports import serve_reload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from voiced.settings import Settings

log = structlog.get_logger(__name__)

START_S = 120.0
"""What systemd is asked to allow for loading models."""


async def run_daemon(
    settings: Settings, announce: Callable[[list[str]], None] | None = None
) -> None:
    """Run until SIGTERM or SIGINT, then drain and return; a second signal cuts the drain short.

    A signal before the daemon is ready ends it at once: there is nothing to drain. SIGHUP has the
    certificate read again; at a terminal it means that the terminal has gone, and is a stop.
    `announce` is told, once, in words for a person, that the daemon is ready and where.
    """
    notifier = Notifier()
    ready, stop = trio.Event(), trio.Event()
    at_terminal = os.isatty(0)
    ends = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if at_terminal else [])]
    try:
        with trio.open_signal_receiver(*ends) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_signals, signals, ready, stop, nursery.cancel_scope)
                notifier.extend_timeout(START_S)
                notifier.status("loading engines")
                async with open_app(settings, notifier) as app:
                    if not at_terminal:
                        await nursery.start(serve_reload, app.ports)
                    settle()
                    ready.set()
                    urls = app.status.urls()
                    log.info("ready", urls=urls)
                    notifier.ready(app.status.line())
                    if announce is not None:
                        announce(urls)
                    app.start_reading.set()
                    await stop.wait()
                    notifier.stopping("closing sessions")
                    log.info("stopping", sessions=app.hub.count)
                nursery.cancel_scope.cancel(reason="stopped")
        log.info("stopped")
    finally:
        gc.unfreeze()
        notifier.close()


def settle() -> None:
    """Take what start-up made out of the garbage collector's sight: it lives as long as we do.

    A full collection stops every session, and then takes a few milliseconds in place of tens.
    """
    gc.collect()
    gc.freeze()


async def watch_signals(
    signals: AsyncIterator[int],
    ready: trio.Event,
    stop: trio.Event,
    everything: trio.CancelScope,
) -> None:
    """The first signal asks for a drain, a further one ends everything at once."""
    async for number in signals:
        name = signal.Signals(number).name
        if stop.is_set() or not ready.is_set():
            log.warning("stopping at once", signal=name, ready=ready.is_set())
            everything.cancel(reason=f"signal {name}")
        else:
            log.info("received signal", signal=name)
            stop.set()
