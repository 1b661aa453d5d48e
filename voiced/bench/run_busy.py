"""`voiced bench busy`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.busy import measure_busy
from voiced.bench.hosts import find_models
from voiced.bench.report import describe_machine, print_machine, write_json
from voiced.bench.run_engines import print_busy, tell_missed
from voiced.bench.run_turn import choose_clip
from voiced.bench.telling import tell_progress

if TYPE_CHECKING:
    import argparse


async def bench_busy(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    models = find_models(args.models)
    clip = await choose_clip(args)
    with tell_progress("busy") as tell:
        tell(f"all engines at once, for {args.seconds} s")
        report = await measure_busy(models, clip.pcm, args.seconds, frame_ms=args.frame_ms)
    if args.json:
        about = {"bench": "busy", "machine": describe_machine(), "speech": clip.source}
        write_json({**about, "busy": report})
    else:
        console = Console()
        print_machine(console)
        print_busy(console, report)
    return tell_missed(report.missed)
