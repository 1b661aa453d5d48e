"""`voiced bench ingest`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.ingest import FRAME_MS, compare_appends, compare_receiving
from voiced.bench.report import (
    describe_machine,
    print_appends,
    print_machine,
    print_receiving,
    write_json,
)
from voiced.bench.run_turn import choose_clip
from voiced.cli.progress import show_progress

if TYPE_CHECKING:
    import argparse

SERVERS = 3


async def bench_ingest(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`."""
    clip = await choose_clip(args)
    done = 0
    with show_progress("appends", len(FRAME_MS)) as advance:

        def decoded() -> None:
            nonlocal done
            done += 1
            advance(done, None)

        appends = compare_appends(clip.pcm, pairs=args.pairs, tell=decoded)
    done = 0
    with show_progress("streams", args.rounds * SERVERS) as advance:

        def streamed() -> None:
            nonlocal done
            done += 1
            advance(done, None)

        receiving = await compare_receiving(
            clip.pcm,
            sessions=args.sessions,
            frame_ms=args.frame_ms,
            rounds=args.rounds,
            seconds=args.step_s,
            tell=streamed,
        )
    if args.json:
        write_json(
            {
                "bench": "ingest",
                "machine": describe_machine(),
                "speech": clip.source,
                "appends": appends,
                "receiving": receiving,
            }
        )
        return 0
    console = Console()
    print_machine(console)
    print_appends(console, appends)
    print_receiving(console, receiving)
    return 0
