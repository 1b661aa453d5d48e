"""`voiced serve`: run the daemon in the foreground."""

from __future__ import annotations

import faulthandler
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.options import add_config_option

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser("serve", help="run the daemon in the foreground")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until a signal; 0 after an orderly stop."""
    import trio

    from voiced.faults import load_faultless
    from voiced.service import run_daemon
    from voiced.telemetry.logs import configure_logs

    settings = load_faultless(args.config).settings
    faulthandler.enable()
    configure_logs(settings.log)
    trio.run(run_daemon, settings, greet)
    return 0


def greet(urls: list[str]) -> None:
    """Write to standard output where it listens, and for a person at a terminal what to do next.

    Not into the journal, which has it from the log. An output that takes nothing is no reason to
    end.
    """
    from voiced.telemetry.logs import is_journal

    output = sys.stdout
    if is_journal(output):
        return
    lines = f"voiced listens at {', '.join(urls)}\n"
    if output.isatty():
        voiced = Path(sys.argv[0]).absolute()
        lines += (
            f'Try, in another terminal: {voiced} ask --url {urls[0]} --text "what time is it"\n'
        )
    with suppress(OSError):
        # Around Python's buffer, which would try again at the exit, and fail there.
        os.write(output.fileno(), lines.encode())
