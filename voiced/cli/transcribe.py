"""`voiced transcribe`: a recording to text, by the configured engine, without a daemon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.cli.engines import quiet_logs
from voiced.cli.listening import Heard, transcribe_file
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.running import run_trio
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

    from voiced.settings import Settings


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "transcribe",
        help="turn speech into text",
        description="Transcribe any file with sound in it. Needs no running daemon."
        " The recording is cut into utterances where the speaker pauses.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="sound, or video with sound; - is stdin"
    )
    parser.add_argument("--whole", action="store_true", help="take the file as one utterance")
    add_config_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was said; no speech, or none that is understood, is no failure."""
    settings = load_settings(args.config)
    quiet_logs(settings)
    heard = run_trio(_transcribe, args.file, settings, args.whole)
    if args.json:
        print(msgspec.json.encode(make_report(heard, settings.stt.engine)).decode())
    elif not heard:
        print("no speech was found", file=sys.stderr)
    else:
        for one in heard:
            when = f"{one.start_s:7.2f} s  " if len(heard) > 1 else ""
            print(f"{when}{one.text or '(not understood)'}")
    return 0


def make_report(heard: list[Heard], engine: str) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "text": " ".join(one.text for one in heard if one.text),
        "engine": engine,
        "utterances": [
            {
                "start_s": round(one.start_s, 3),
                "end_s": round(one.end_s, 3),
                "text": one.text,
                "confidence": round(one.confidence, 3),
            }
            for one in heard
        ],
    }


async def _transcribe(path: Path, settings: Settings, whole: bool) -> list[Heard]:
    return await transcribe_file(path, settings, whole=whole)
