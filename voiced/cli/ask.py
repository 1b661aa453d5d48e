"""`voiced ask`: one spoken or typed exchange with a running daemon, over the network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from voiced.audio.energy import find_speech
from voiced.audio.files import read_pcm16, write_wav
from voiced.cli.options import add_json_option
from voiced.cli.progress import show_progress
from voiced.cli.running import run_trio
from voiced.cli.target import Target, add_target_options, find_target
from voiced.client.dial import KeyRefused, ServerAbsent
from voiced.client.exchange import exchange
from voiced.client.microphone import DEFAULT_FRAME_MS, INPUT_RATE_HZ, Microphone
from voiced.client.turn import REPLY_RATE_HZ
from voiced.errors import ClientError, UsageError

if TYPE_CHECKING:
    from voiced.cli.progress import Advance
    from voiced.client.turn import TurnRecorder

_DEFAULT_TIMEOUT_S = 60.0
_PROGRESS_S = 0.1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "ask",
        help="hold one spoken or typed exchange with a running daemon",
        description="Say something to a running daemon and report what it answers. A recording"
        " is streamed at the pace at which it was spoken.",
        epilog="The end of speech is found by energy: the end of the last 40 ms that stand out"
        " of the recording's noise. Give --end-of-speech where that goes wrong.",
    )
    said = parser.add_mutually_exclusive_group(required=True)
    said.add_argument(
        "--wav", type=Path, metavar="FILE", help="speak this WAV file, of any rate and channels"
    )
    said.add_argument("--text", metavar="TEXT", help="type this")
    parser.add_argument("--out", type=Path, metavar="FILE", help="save the spoken reply as WAV")
    parser.add_argument(
        "--timeout",
        type=positive,
        default=_DEFAULT_TIMEOUT_S,
        metavar="S",
        help="seconds to wait for the whole reply after the speech (default: %(default)g)",
    )
    parser.add_argument(
        "--end-of-speech",
        type=positive,
        metavar="MS",
        help="where in the recording the speech ends (default: found by its energy)",
    )
    parser.add_argument(
        "--frame-ms",
        type=int,
        choices=range(5, 201),
        default=DEFAULT_FRAME_MS,
        metavar="MS",
        help="length of a frame of audio, 5 to 200 (default: %(default)s)",
    )
    add_target_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def positive(text: str) -> float:
    """An argument that is a number above zero."""
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """Take the turn and print it; 0 only where the response is `completed`."""
    target = find_target(args)
    said = _what_is_said(args)
    try:
        turn = run_trio(_ask, target, said, args.timeout)
    except ServerAbsent as exc:
        hint = "start the daemon with ./scripts/run or voiced serve"
        raise ClientError(f"{exc}; {hint}") from exc
    except KeyRefused as exc:
        hint = "Give the daemon's token as VOICED_AUTH__TOKEN."
        raise ClientError(f"{exc} {hint}") from exc
    if args.out is not None:
        write_wav(args.out, bytes(turn.audio), REPLY_RATE_HZ)
    report = make_report(turn, args.out)
    if args.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        print_report(report)
    if turn.status != "completed":
        reason = f": {turn.status_reason}" if turn.status_reason else ""
        raise ClientError(f"the response ended as {turn.status}{reason}")
    return 0


def make_report(turn: TurnRecorder, out: Path | None) -> dict[str, Any]:
    """The turn as `--json` prints it. A typed turn has no transcript: null."""
    marks = turn.marks
    return {
        "transcript": turn.transcript if turn.spoken else None,
        "reply": turn.reply,
        "out": None if out is None else str(out),
        "audio_seconds": round(len(turn.audio) / 2 / REPLY_RATE_HZ, 3),
        "end_of_speech_to_first_text_ms": _ms(marks.end_of_speech, marks.first_text),
        "end_of_speech_to_first_audio_ms": _ms(marks.end_of_speech, marks.first_audio),
        "response_status": turn.status,
    }


def print_report(report: dict[str, Any]) -> None:
    """The turn for people."""
    if report["transcript"] is not None:
        print(f"you:    {report['transcript'] or '(nothing was understood)'}")
    failed = report["response_status"] != "completed"
    if report["reply"] or not failed:
        print(f"voiced: {report['reply']}")
    since = "the end of speech" if report["transcript"] is not None else "sending"
    for what in ("text", "audio"):
        ms = report[f"end_of_speech_to_first_{what}_ms"]
        if ms is not None:
            print(f"        first {what} {ms:.0f} ms after {since}")
    if failed and not report["audio_seconds"]:
        return  # the error that follows says more than "0.0 s of speech"
    saved = f", saved as {report['out']}" if report["out"] else ""
    print(f"        {report['audio_seconds']:.1f} s of speech{saved}")


def _what_is_said(args: argparse.Namespace) -> str | Microphone:
    if args.text is not None:
        if not args.text.strip():
            raise UsageError("--text is empty")
        return str(args.text)
    pcm = read_pcm16(args.wav, INPUT_RATE_HZ)
    if not pcm:
        raise UsageError(f"{args.wav} holds no audio")
    end_s = None
    if args.end_of_speech is not None:
        end_s = args.end_of_speech / 1000
    elif (span := find_speech(pcm, INPUT_RATE_HZ)) is not None:
        end_s = span.end_s
    return Microphone(pcm, frame_ms=args.frame_ms, end_of_speech_s=end_s)


async def _ask(target: Target, said: str | Microphone, timeout_s: float) -> TurnRecorder:
    speech_s = said.duration_s if isinstance(said, Microphone) else 0.0
    with show_progress("speaking" if speech_s else "waiting", speech_s or None) as advance:
        with trio.move_on_after(speech_s + timeout_s):
            return await _watched(target, said, speech_s, advance)
    raise ClientError(f"no whole reply came within {timeout_s:g} s")


async def _watched(
    target: Target, said: str | Microphone, speech_s: float, advance: Advance
) -> TurnRecorder:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show, speech_s, advance)
        turn = await exchange(target.url, target.token, said, target.ca)
        nursery.cancel_scope.cancel(reason="the turn is over")
    return turn


async def _show(speech_s: float, advance: Advance) -> None:
    begun = trio.current_time()
    while True:
        spoken_s = trio.current_time() - begun
        waiting = spoken_s >= speech_s
        advance(min(spoken_s, speech_s), "waiting" if waiting else None)
        await trio.sleep(_PROGRESS_S)


def _ms(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round((end - begin) * 1000, 1)
