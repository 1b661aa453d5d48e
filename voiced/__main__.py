"""The command line: `voiced COMMAND …`. Only the chosen command's module is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, cast

from voiced import __version__
from voiced.errors import VoicedError, leaves
from voiced.streams import open_missing_streams
from voiced.threads import keep_numpy_single

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Each is a module of voiced.cli with `add_parser(subparsers)` and `run(args) -> int`. The help
# stands here too, so that `voiced --help` need not import them all.
COMMANDS = {
    "serve": "run the daemon",
    "ask": "hold one spoken or typed exchange with a running daemon",
    "say": "turn text into speech",
    "transcribe": "turn speech into text",
    "understand": "show what a sentence is understood as, without acting on it",
    "insights": "show what a running daemon does",
    "doctor": "check this installation and say what to do about each failure",
    "models": "list, add, check, remove and recommend models",
    "config": "check the settings, or show them with their sources",
    "bench": "measure",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 on success, 2 on bad usage or settings, 1 else."""
    open_missing_streams()
    keep_numpy_single(os.environ)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(arguments).parse_args(arguments)
        code = cast("Callable[[argparse.Namespace], int]", args.run)(args)
        sys.stdout.flush()
    except VoicedError as error:
        return _tell(error)
    except BaseExceptionGroup as group:
        # Tasks that fail together come out together. What voiced raised on purpose is told as
        # always, one line each; any other error among them is a bug, and shown as one.
        _, others = group.split(KeyboardInterrupt)
        if others is None:
            return 130
        purposeful, bugs = others.split(VoicedError)
        if bugs is not None or purposeful is None:
            raise
        return max(_tell(error) for error in leaves(purposeful))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would complain once more when
        # it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _tell(error: VoicedError) -> int:
    print(f"voiced: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voiced", description="A voice-conversation daemon for a box of your own."
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen in COMMANDS:
        importlib.import_module(f"voiced.cli.{chosen}").add_parser(subparsers)
    else:
        for name, text in COMMANDS.items():
            subparsers.add_parser(name, help=text, add_help=False)
    return parser


class _Version(argparse.Action):
    """Prints to stdout and exits."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002 - argparse names it so
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        print(f"voiced {__version__}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
