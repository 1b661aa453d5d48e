"""The part of the daemon that does background work: opened by `voiced/daemon.py`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog
import trio

from voiced.errors import VoicedError
from voiced.jobs.desk import Desk
from voiced.jobs.ledger import Ledger
from voiced.jobs.runner import Runner
from voiced.jobs.shelf import JOBS_DIRECTORY, Shelf

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from voiced.jobs.kind import JobKind
    from voiced.settings import Jobs as JobsSettings
    from voiced.store.database import Database
    from voiced.telemetry.insights import Insights
    from voiced.thermal.heat import Heat

log = structlog.get_logger(__name__)

SWEEP_EVERY_S: Final = 3600.0
AGAIN_S: Final = 10.0


@asynccontextmanager
async def open_jobs(
    settings: JobsSettings,
    state: Path,
    database: Database,
    kinds: Iterable[JobKind],
    heat: Heat,
    insights: Insights,
) -> AsyncGenerator[Desk, None]:
    """Run jobs, in a nursery of their own, until the block is left: that parks those under way.

    Needs nothing but the directory: while the database cannot be used, jobs are refused.
    """
    by_name = {kind.name: kind for kind in kinds}
    ledger = Ledger(database, insights)
    shelf = Shelf(state / JOBS_DIRECTORY)
    runner = Runner(settings, by_name, ledger, shelf, heat)
    desk = Desk(settings, by_name, ledger, shelf, runner)
    insights.add_source(ledger.reports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, runner)
        nursery.start_soon(_sweep, desk)
        yield desk
        nursery.cancel_scope.cancel(reason="the daemon stops")


async def _serve(runner: Runner) -> None:
    """Begin again where there is a bug: jobs are no reason for a conversation to end."""
    while True:
        try:
            await runner.serve()
        except Exception:
            log.exception("jobs stopped by a fault; they begin again")
            await trio.sleep(AGAIN_S)


async def _sweep(desk: Desk) -> None:
    """Remove what need not be kept, at the start and every hour."""
    while True:
        try:
            if count := await desk.sweep():
                log.info("removed old jobs", count=count)
        except VoicedError as error:
            log.warning("old jobs not removed", cause=str(error))
        except Exception:
            log.exception("old jobs not removed")
        await trio.sleep(SWEEP_EVERY_S)
