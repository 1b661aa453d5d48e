"""`voiced bench turn`, from its arguments to its report."""

from __future__ import annotations

from contextlib import AsyncExitStack
from math import ceil
from typing import TYPE_CHECKING, Any

from rich.console import Console

from voiced.bench.barge_in import REPLY_S, measure_barge_ins, report_barge_ins
from voiced.bench.clip import SENTENCE, Clip, load_clip, synthesise_clip
from voiced.bench.daemon import Daemon, open_daemon, stub_engines
from voiced.bench.report import (
    describe_machine,
    print_barge_ins,
    print_machine,
    print_turns,
    write_json,
)
from voiced.bench.turn import TurnReport, measure_crowd, measure_paired, report_turns
from voiced.cli.progress import show_progress
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

    from voiced.bench.stats import Summary

REAL = "real engines"
STUBS = "stub engines"


async def bench_turn(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    if args.models is not None:
        from voiced.bench.run_whole_turn import bench_whole_turn

        return await bench_whole_turn(args)
    clip = await choose_clip(args)
    reports = await _latency(args, clip)
    if args.sessions > 1 and args.url is None:
        reports.append(await _crowd(args, clip))
    barge_ins = await _barge_ins(args, clip) if args.barge_ins else {}
    if args.json:
        write_json(_report(reports, barge_ins, clip, args.frame_ms))
        return 0
    console = Console()
    print_machine(console)
    print_turns(console, reports, clip.source)
    if barge_ins:
        print_barge_ins(console, barge_ins)
    return 0


async def choose_clip(args: argparse.Namespace, sentence: str = SENTENCE) -> Clip:
    """The recording of `--wav`, else espeak's of `sentence`."""
    if args.wav is not None:
        return load_clip(args.wav, end_ms=args.end_of_speech)
    return await synthesise_clip(sentence)


def named_daemon(url: str) -> Daemon:
    """The daemon of `--url`, with the token of the settings."""
    return Daemon(url, load_settings(None).auth.token)


async def _latency(args: argparse.Namespace, clip: Clip) -> list[TurnReport]:
    async with AsyncExitStack() as stack:
        if args.url is not None:
            daemons = {args.url: named_daemon(args.url)}
        else:
            daemons = {
                REAL: await stack.enter_async_context(open_daemon({})),
                STUBS: await stack.enter_async_context(open_daemon(stub_engines())),
            }
        with show_progress("turns", args.turns * len(daemons)) as advance:
            figures = await measure_paired(
                daemons, clip, turns=args.turns, frame_ms=args.frame_ms, advance=advance
            )
    return [report_turns(name, taken, stubs=name == STUBS) for name, taken in figures.items()]


async def _crowd(args: argparse.Namespace, clip: Clip) -> TurnReport:
    each = max(ceil(args.turns / args.sessions), 3)
    async with open_daemon(stub_engines()) as daemon:
        with show_progress(f"{args.sessions} sessions", each * args.sessions) as advance:
            figures = await measure_crowd(
                daemon,
                clip,
                sessions=args.sessions,
                turns=each,
                frame_ms=args.frame_ms,
                advance=advance,
            )
    return report_turns(f"{STUBS}, {args.sessions} sessions at once", figures, stubs=True)


async def _barge_ins(args: argparse.Namespace, clip: Clip) -> dict[str, Summary]:
    async with AsyncExitStack() as stack:
        if args.url is not None:
            daemon = named_daemon(args.url)
        else:
            daemon = await stack.enter_async_context(open_daemon(stub_engines(audio_s=REPLY_S)))
        with show_progress("interruptions", args.barge_ins) as advance:
            measured = await measure_barge_ins(
                daemon, clip, times=args.barge_ins, frame_ms=args.frame_ms, advance=advance
            )
    return report_barge_ins(measured)


def _report(
    reports: list[TurnReport], barge_ins: dict[str, Summary], clip: Clip, frame_ms: int
) -> dict[str, Any]:
    return {
        "bench": "turn",
        "machine": describe_machine(),
        "speech": clip.source,
        "speech_s": clip.end_s - clip.onset_s,
        "frame_ms": frame_ms,
        "turns": reports,
        "barge_in": barge_ins or None,
    }
