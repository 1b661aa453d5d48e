"""`voiced bench cancels`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.cancels import measure_cancels
from voiced.bench.report import describe_machine, print_cancels, print_machine, write_json
from voiced.bench.run_engines import heard, tell_missed
from voiced.bench.run_turn import choose_clip
from voiced.bench.telling import tell_progress
from voiced.engines.registry import SERVED_KINDS, configured
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse


async def bench_cancels(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    settings = load_settings(args.config)
    clip = await choose_clip(args)
    found = {}
    with tell_progress("cancels") as tell:
        for kind in args.kind or SERVED_KINDS:
            spec = configured(settings, kind)
            found[f"{kind}.{spec.name}"] = await measure_cancels(
                spec, heard(clip), cancels=args.cancels, seed=args.seed, tell=tell
            )
    if args.json:
        about = {"bench": "cancels", "machine": describe_machine(), "speech": clip.source}
        write_json({**about, "engines": found})
    else:
        console = Console()
        print_machine(console)
        print_cancels(console, found)
    return tell_missed(f"{name}, {line}" for name, one in found.items() for line in one.missed)
