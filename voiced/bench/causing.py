"""A whole daemon in which something happens all the time: `python -m voiced.bench.causing serve`.

It is `voiced serve`, with one task more that tells the insights hub what parts of the daemon tell
it, `CAUSES_S` times a second, each message stamped with the monotonic clock, which is one for all
processes of a machine.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.daemon import open_app
from voiced.settings_loader import load_settings
from voiced.systemd.notify import Notifier
from voiced.telemetry.insights import Fault, Frame, PluginStatus, Progress, Warning_
from voiced.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.settings import Settings
    from voiced.telemetry.insights import Insights

CAUSES_S: Final = 20.0
"""What a daemon with a job and a few sessions tells in a second, and more."""

CODE: Final = "bench"


class Stamp(msgspec.Struct, frozen=True):
    """In the words of each message: its number, and when it was caused, by `time.monotonic_ns`."""

    number: int
    at_ns: int


def stamp(number: int) -> str:
    """The words of a message that is caused now."""
    return msgspec.json.encode(Stamp(number, time.monotonic_ns())).decode()


def kinds_of(insights: Insights) -> list[Callable[[int], None]]:
    """A way to tell of each type: as parts do, all jobs and engines different from each other."""

    def warning(number: int) -> None:
        insights.warning(Warning_(code=CODE, message=stamp(number)))

    def error(number: int) -> None:
        insights.error(Fault(code=CODE, message=stamp(number)))

    def progress(number: int) -> None:
        told = Progress(
            job_id=f"{CODE}_{number % 7}",
            kind="transcription",
            status="running",
            percent=number % 101,
            reason=stamp(number),
        )
        insights.progress(told)

    def frame(number: int) -> None:
        text = stamp(number)
        insights.frame(
            Frame(job_id=f"{CODE}_{number % 7}", index=number, start_s=0.0, end_s=1.0, text=text)
        )

    def plugin_status(number: int) -> None:
        told = PluginStatus(kind="llm", name=CODE, state="ready", reason=stamp(number))
        insights.plugin_status(told)

    return [warning, progress, error, frame, plugin_status]


async def cause(insights: Insights) -> None:
    """Tell of something `CAUSES_S` times a second, until cancelled."""
    kinds = kinds_of(insights)
    due = trio.current_time()
    for number in itertools.count():
        due += 1 / CAUSES_S
        await trio.sleep_until(due)
        kinds[number % len(kinds)](number)


async def run(settings: Settings) -> None:
    """Run until SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_app(settings, Notifier()) as app, trio.open_nursery() as nursery:
            nursery.start_soon(cause, app.insights)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel(reason="told to stop")


def main() -> int:
    """`serve --config FILE`, as `voiced` has it."""
    settings = load_settings(Path(sys.argv[sys.argv.index("--config") + 1]))
    configure_logs(settings.log)
    trio.run(run, settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
