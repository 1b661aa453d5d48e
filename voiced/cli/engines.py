"""Engines for commands that need no daemon: one child process, for as long as it is used."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from voiced.cli.progress import show_progress
from voiced.engines.host import EngineHost
from voiced.engines.registry import configured
from voiced.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from voiced.engines.registry import ServedKind
    from voiced.settings import Settings


def quiet_logs(settings: Settings) -> None:
    """Log warnings and worse only: on a terminal the answer is what matters."""
    log = settings.log
    if log.level in ("debug", "info"):
        log = msgspec.structs.replace(log, level="warning")
    configure_logs(log)


@asynccontextmanager
async def open_engine(settings: Settings, kind: ServedKind) -> AsyncGenerator[EngineHost, None]:
    """The configured engine of `kind`, loaded and warm; ended with the context.

    Raises `ModelError` or `SettingsError` where it cannot be started.
    """
    host = EngineHost(configured(settings, kind))
    async with trio.open_nursery() as nursery:
        with show_progress(f"loading {kind}.{host.spec.name}"):
            await nursery.start(host.serve)
        yield host
        nursery.cancel_scope.cancel(reason="the engine is no longer needed")
