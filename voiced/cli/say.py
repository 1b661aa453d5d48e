"""`voiced say`: text to a file of speech, by the configured engine, without a daemon."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from voiced.audio.files import write_file, write_wav
from voiced.cli.engines import open_engine, quiet_logs
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.progress import show_progress
from voiced.cli.running import run_trio
from voiced.engines.clients import EngineTts
from voiced.errors import UsageError
from voiced.media.formats import SUFFIXES, Format
from voiced.media.speaking import RATE_HZ, Speech, speak_to_file
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

    from voiced.settings import Settings

# A fifth of what an engine takes in one request, since units and the like are spelled out; and
# enough for its melody.
_PIECE_CHARACTERS: Final = 800
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "say",
        help="turn text into speech",
        description="Speak a text into a file. Needs no running daemon.",
    )
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
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
    text = sys.stdin.read() if args.text == "-" else args.text
    speed = settings.tts.speed if args.speed is None else args.speed
    if not 0.25 <= speed <= 4.0:
        raise UsageError("--speed must be from 0.25 to 4")
    pieces = split_text(text)
    if not pieces:
        raise UsageError("there is no text to say")
    file_format = choose_format(args.out)
    speech = Speech(
        pieces=tuple(pieces),
        language=settings.stt.language,
        voice=args.voice or settings.tts.voice,
        speed=speed,
    )
    seconds = run_trio(_speak, settings, speech, file_format, args.out)
    if args.json:
        report = {
            "out": str(args.out),
            "audio_seconds": round(seconds, 3),
            "sample_rate": RATE_HZ,
            "engine": settings.tts.engine,
            "voice": speech.voice,
        }
        print(msgspec.json.encode(report).decode())
    else:
        print(f"{seconds:.1f} s of speech saved as {args.out}")
    return 0


def split_text(text: str, most: int = _PIECE_CHARACTERS) -> list[str]:
    """`text` in pieces of at most `most` characters, at ends of sentences where there are any."""
    pieces: list[str] = []
    rest = text.strip()
    while len(rest) > most:
        ends = [found.end() for found in _SENTENCE_END.finditer(rest, 0, most + 1)]
        space = rest.rfind(" ", 1, most + 1)
        cut = ends[-1] if ends else most if space < 0 else space
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*pieces, rest] if rest else pieces


def choose_format(path: Path) -> Format:
    """The format that the file's name asks for. Raises `UsageError` for none that is known."""
    chosen = SUFFIXES.get(path.suffix.lower())
    if chosen is None:
        raise UsageError(f"--out must end in {', '.join(SUFFIXES)}")
    return chosen


async def _speak(settings: Settings, speech: Speech, file_format: Format, path: Path) -> float:
    """Write the file; returns its seconds. Here, unlike on the network, a WAV knows its length."""
    data = bytearray()

    async def put(part: bytes) -> None:
        data.extend(part)

    async with open_engine(settings, "tts") as host:
        with show_progress("speaking", 1.0) as advance:
            seconds = await speak_to_file(
                speech,
                EngineTts(host),
                "pcm" if file_format == "wav" else file_format,
                put,
                lambda done, total: advance(done / total),
            )
    if file_format == "wav":
        write_wav(path, bytes(data), RATE_HZ)
    else:
        write_file(path, data)
    return seconds
