"""`voiced bench soak`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.daemon import open_daemon, stub_engines
from voiced.bench.report import describe_machine, print_machine, print_soak, write_json
from voiced.bench.run_turn import choose_clip
from voiced.bench.soak import ROUND, Soak, judge
from voiced.cli.progress import show_progress
from voiced.errors import UsageError

if TYPE_CHECKING:
    import argparse

# Quick, so that many turns fit into a minute; the reply still lasts long enough to be cut.
_STUBS = stub_engines(stt_ms=5, llm_ms=5, tts_ms=5, audio_s=0.5)


async def bench_soak(args: argparse.Namespace) -> int:
    """Soak as `args` say, and print; 1 where something grows or a turn failed."""
    if args.turns < 3 * ROUND:
        raise UsageError(f"--turns must be {3 * ROUND} or more: a slope wants three samples")
    clip = await choose_clip(args)
    async with open_daemon(_STUBS if args.engines == "stub" else {}) as daemon:
        soak = Soak(daemon, clip, at_once=args.at_once, seed=args.seed, frame_ms=args.frame_ms)
        with show_progress("turns and cancels", args.turns) as advance:
            await soak.run(args.turns, advance)
    growth = judge(soak.samples)
    steady = not any(one.grows for one in growth.values())
    if args.json:
        write_json(
            {
                "bench": "soak",
                "machine": describe_machine(),
                "engines": args.engines,
                "steady": steady,
                "growth_per_1000_turns": growth,
                "outcome": soak.outcome,
                "samples": soak.samples,
            }
        )
    else:
        console = Console()
        print_machine(console)
        print_soak(console, growth, soak.outcome)
    return 0 if steady and not soak.outcome.failed else 1
