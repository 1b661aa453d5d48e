"""`voiced transcribe`: a recording to text, by the configured engine, without a daemon."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from voiced.cli.engines import quiet_logs
from voiced.cli.listening import Heard, transcribe_file
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.results import put_in_place, workplace
from voiced.cli.running import run_trio
from voiced.errors import UsageError
from voiced.jobs.transcription import NO_SPEECH, NOTHING_UNDERSTOOD, TranscriptionRequest
from voiced.media.transcripts import TranscriptFormat
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

FORMATS: tuple[TranscriptFormat, ...] = get_args(TranscriptFormat)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "transcribe",
        help="turn speech into text",
        description="Transcribe any file with sound in it, of any length. Needs no running daemon."
        " The recording is cut into utterances where the speaker pauses.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="sound, or video with sound; - is stdin"
    )
    parser.add_argument("--whole", action="store_true", help="leave no silence out")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="print plain text, subtitles, or JSON with segments and words",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the transcript there; its name says the format unless --format does",
    )
    add_config_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was said; no speech, or none that is understood, is no failure."""
    settings = load_settings(args.config)
    quiet_logs(settings)
    wanted = choose_format(args.format, args.out)
    if wanted is not None and args.out is None and args.json:
        raise UsageError("--json and --format both say what to print: give one, or --out too")
    request = TranscriptionRequest(
        whole=args.whole, response_format=wanted or "txt", word_times=wanted not in (None, "txt")
    )
    with workplace(args.out) as folder:
        done = run_trio(transcribe_file, args.file, settings, request, folder)
        if args.out is not None:
            put_in_place(done.result, args.out)
        elif wanted is not None:
            with done.result.open() as lines:
                shutil.copyfileobj(lines, sys.stdout)
    if args.json:
        print(msgspec.json.encode(make_report(done.heard, settings.stt.engine, args.out)).decode())
    elif wanted is None:
        show(done.heard)
    else:
        understood = sum(1 for one in done.heard if one.text)
        if args.out is not None:
            print(f"{understood} utterances saved as {args.out}")
        if not understood:
            print(NOTHING_UNDERSTOOD if done.heard else NO_SPEECH, file=sys.stderr)
    return 0


def choose_format(wanted: TranscriptFormat | None, out: Path | None) -> TranscriptFormat | None:
    """That of the result, None where nobody wants one. Raises `UsageError` where it is not said."""
    if wanted is not None or out is None:
        return wanted
    for known in FORMATS:
        if out.suffix.lower() == f".{known}":
            return known
    endings = ", ".join(f".{known}" for known in FORMATS)
    raise UsageError(f"--out must end in {endings}, or --format say what to write")


def show(heard: list[Heard]) -> None:
    """What was said, for people."""
    if not heard:
        print("no speech was found", file=sys.stderr)
    for one in heard:
        when = f"{one.start_s:7.2f} s  " if len(heard) > 1 else ""
        print(f"{when}{one.text or '(not understood)'}")


def make_report(heard: list[Heard], engine: str, out: Path | None) -> dict[str, Any]:
    """What `--json` prints."""
    report: dict[str, Any] = {} if out is None else {"out": str(out)}
    return report | {
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
