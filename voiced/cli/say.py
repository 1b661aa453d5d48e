"""`voiced say`: text to a file of speech, by the configured engine, without a daemon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voiced.cli.engines import open_engine, quiet_logs
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.progress import show_progress
from voiced.cli.results import put_in_place, workplace
from voiced.cli.running import run_trio
from voiced.engines.clients import EngineTts
from voiced.errors import UsageError
from voiced.jobs.kind import JobError
from voiced.jobs.memory import MemoryWork
from voiced.jobs.speech import SpeechKind, SpeechRequest, decode_text
from voiced.media.formats import SUFFIXES, Format
from voiced.media.speaking import RATE_HZ
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

    from voiced.settings import Settings


class Spoken(msgspec.Struct, frozen=True):
    """A text that was said: the file, and how long it is."""

    path: Path
    seconds: float


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "say",
        help="turn text into speech",
        description="Speak a text into a file. Needs no running daemon.",
    )
    parser.add_argument(
        "text", nargs="?", metavar="TEXT", help="what to say; - reads standard input"
    )
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="say this text, of any length, plain or Markdown"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"file to write; its name says the format: {', '.join(SUFFIXES)}",
    )
    parser.add_argument(
        "--voice", default="", metavar="NAME", help="voice (default: the settings')"
    )
    parser.add_argument(
        "--speed", type=float, metavar="X", help="0.25 to 4 (default: the settings')"
    )
    add_config_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file. Raises `VoicedError` where engine or file fail; without the whole speech
    nothing is written."""
    settings = load_settings(args.config)
    quiet_logs(settings)
    if args.speed is not None and not 0.25 <= args.speed <= 4.0:
        raise UsageError("--speed must be from 0.25 to 4")
    text = read_text(args)
    if not text.strip():
        raise UsageError("there is no text to say")
    request = SpeechRequest(
        input=text,
        voice=args.voice,
        speed=args.speed,
        response_format=choose_format(args.out),
    )
    with workplace(args.out) as folder:
        spoken = run_trio(_speak, settings, request, folder)
        put_in_place(spoken.path, args.out)
    if args.json:
        report = {
            "out": str(args.out),
            "audio_seconds": round(spoken.seconds, 3),
            "sample_rate": RATE_HZ,
            "engine": settings.tts.engine,
            "voice": args.voice or settings.tts.voice,
        }
        print(msgspec.json.encode(report).decode())
    else:
        print(f"{spoken.seconds:.1f} s of speech saved as {args.out}")
    return 0


def read_text(args: argparse.Namespace) -> str:
    """The text to say. Raises `UsageError` where there is none, or two, and `JobError`, naming
    the file, where that cannot be read."""
    if (args.text is None) == (args.file is None):
        raise UsageError("there must be one text to say: TEXT, or --file FILE")
    if args.text is not None and args.text != "-":
        return str(args.text)
    try:
        piped = args.text == "-" or str(args.file) == "-"
        return decode_text(sys.stdin.buffer.read() if piped else args.file.read_bytes())
    except OSError as exc:
        raise JobError(f"{args.file}: {exc.strerror or exc}") from exc
    except JobError as exc:
        raise JobError(f"{args.file or '-'}: {exc}") from exc


def choose_format(path: Path) -> Format:
    """The format that the file's name asks for. Raises `UsageError` for none that is known."""
    chosen = SUFFIXES.get(path.suffix.lower())
    if chosen is None:
        raise UsageError(f"--out must end in {', '.join(SUFFIXES)}")
    return chosen


async def _speak(settings: Settings, request: SpeechRequest, directory: Path) -> Spoken:
    """The file that was asked for, made in `directory`."""
    async with open_engine(settings, "tts") as host:
        kind = SpeechKind(settings, EngineTts(host), most_characters=sys.maxsize)
        try:
            kind.check(request, has_file=False)
        except JobError as exc:
            raise UsageError(str(exc)) from exc
        with show_progress("speaking", 100.0) as advance:
            work = MemoryWork(request, directory, advance)
            await kind.run(work)
    frames = await work.frames()
    assert work.result is not None
    return Spoken(work.result, frames[-1].end_s or 0.0)
