"""`voiced say`: text to a WAV file, by the configured engine, without a daemon."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from voiced.audio.files import write_wav
from voiced.cli.engines import open_engine, quiet_logs
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.progress import show_progress
from voiced.cli.running import run_trio
from voiced.engines.clients import EngineTts
from voiced.errors import EngineFailed, UsageError
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

    from voiced.settings import Settings

# Well below what an engine takes in one request, and enough for its melody.
_PIECE_CHARACTERS: Final = 1_000
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n")


class Speech(msgspec.Struct, frozen=True):
    """PCM16 mono."""

    pcm: bytes
    rate_hz: int
    voice: str


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "say",
        help="turn text into speech",
        description="Speak a text into a WAV file. Needs no running daemon.",
    )
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="WAV file to write")
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
    """Write the file. Raises `VoicedError` where engine or file fail; then nothing is written."""
    settings = load_settings(args.config)
    quiet_logs(settings)
    text = sys.stdin.read() if args.text == "-" else args.text
    speed = settings.tts.speed if args.speed is None else args.speed
    if not 0.25 <= speed <= 4.0:
        raise UsageError("--speed must be from 0.25 to 4")
    pieces = split_text(text)
    if not pieces:
        raise UsageError("there is no text to say")
    speech = run_trio(_speak, settings, pieces, args.voice or settings.tts.voice, speed)
    write_wav(args.out, speech.pcm, speech.rate_hz)
    seconds = len(speech.pcm) / 2 / speech.rate_hz
    if args.json:
        report = {
            "out": str(args.out),
            "audio_seconds": round(seconds, 3),
            "sample_rate": speech.rate_hz,
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
    for part in _SENTENCE_END.split(text):
        sentence = part.strip()
        while len(sentence) > most:
            cut = sentence.rfind(" ", 1, most + 1)
            cut = most if cut < 0 else cut
            pieces.append(sentence[:cut])
            sentence = sentence[cut:].strip()
        if not sentence:
            continue
        if pieces and len(pieces[-1]) + 1 + len(sentence) <= most:
            pieces[-1] += " " + sentence
        else:
            pieces.append(sentence)
    return pieces


async def _speak(settings: Settings, pieces: list[str], voice: str, speed: float) -> Speech:
    pcm = bytearray()
    rate_hz = 0
    async with open_engine(settings, "tts") as host:
        tts = EngineTts(host)
        with show_progress("speaking", len(pieces)) as advance:
            for done, piece in enumerate(pieces, 1):
                async with tts.speak(piece, voice=voice, speed=speed) as chunks:
                    async for chunk in chunks:
                        if rate_hz not in (0, chunk.sample_rate):
                            raise EngineFailed("the engine changed its sample rate")
                        rate_hz = chunk.sample_rate
                        pcm += chunk.pcm
                advance(done)
    if not pcm:
        raise EngineFailed(f"{settings.tts.engine} made no sound of this text")
    return Speech(bytes(pcm), rate_hz, voice)
