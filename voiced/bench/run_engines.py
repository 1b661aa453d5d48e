"""`voiced bench engines`, from its arguments to its report."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from voiced.audio.pcm import SPEECH_HZ
from voiced.audio.resample import resample_whole
from voiced.bench.busy import BusyReport, measure_busy
from voiced.bench.engines import Effort, EngineReport, measure_engines
from voiced.bench.hosts import find_models
from voiced.bench.report import describe_machine, print_cancels, print_machine, write_json
from voiced.bench.run_turn import choose_clip
from voiced.bench.telling import tell_progress
from voiced.client.microphone import INPUT_RATE_HZ
from voiced.engines.registry import SERVED_KINDS
from voiced.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from voiced.bench.clip import Clip
    from voiced.bench.pairs import Comparison
    from voiced.bench.stats import Summary


async def bench_engines(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    models = find_models(args.models)
    clip = await choose_clip(args)
    effort = Effort(pairs=args.pairs, cancels=args.cancels, threads=args.threads, seed=args.seed)
    kinds = [args.engine] if args.engine else SERVED_KINDS
    busy = None
    with tell_progress("engines") as tell:
        reports = await measure_engines(kinds, models, heard(clip), effort, tell)
        if args.busy_s and not args.engine and not models.missing:
            tell(f"all engines at once, for {args.busy_s} s")
            busy = await measure_busy(models, clip.pcm, args.busy_s, frame_ms=args.frame_ms)
    if not reports:
        raise UsageError(f"{args.models} holds no model for {args.engine}")
    if args.json:
        write_json(
            {
                "bench": "engines",
                "machine": describe_machine(),
                "speech": clip.source,
                "engines": reports,
                "busy": busy,
            }
        )
    else:
        console = Console()
        print_machine(console)
        for report in reports:
            print_engine(console, report)
        cancels = {f"{one.engine}, {one.model}": one.cancels for one in reports if one.cancels}
        if cancels:
            print_cancels(console, cancels)
        if busy is not None:
            print_busy(console, busy)
    missed = [line for report in reports for line in report.missed]
    return tell_missed([*missed, *(busy.missed if busy is not None else ())])


def heard(clip: Clip) -> bytes:
    """The clip as an engine hears it: PCM16 mono at 16 kHz."""
    return resample_whole(clip.pcm, INPUT_RATE_HZ, SPEECH_HZ)


def tell_missed(lines: Iterable[str]) -> int:
    """Name the goals that were missed, on standard error; 1 where there are any."""
    code = 0
    for line in lines:
        print(f"missed: {line}", file=sys.stderr)
        code = 1
    return code


def print_engine(console: Console, report: EngineReport) -> None:
    """One engine with one model."""
    print_comparisons(console, f"{report.engine}, {report.model}", report.comparisons)
    console.print(f"naively: {report.naive}", style="dim", highlight=False)
    console.print()


def print_busy(console: Console, report: BusyReport) -> None:
    """How late the loop woke, and what else was done."""
    done = ", ".join(f"{kind} {count}" for kind, count in report.answered.items())
    console.print(
        f"All engines busy for {report.seconds:.1f} s: loop lag {report.lag_mean_ms:.2f} ms on "
        f"average, median up to {report.lag_p50_ms:g}, p99 up to {report.lag_p99_ms:g} "
        f"(goal {report.goal_ms:g}), n {report.samples}",
        style="bold",
    )
    console.print(
        f"the bench's own loop meanwhile, which does next to nothing: median up to "
        f"{report.bench_p50_ms:g} ms, p99 up to {report.bench_p99_ms:g}",
        style="dim",
    )
    console.print(f"answered: {done}; {report.cpu_percent:.0f} % of a core in use", style="dim")
    console.print()


def print_comparisons(console: Console, title: str, comparisons: Iterable[Comparison]) -> None:
    """Both ways, their stages where there are any, and how many times as long the naive one is."""
    table = Table(title=title, box=None, pad_edge=False)
    table.title_justify, table.title_style = "left", "bold"
    for column in ("", "median", "p5", "p95", "n"):
        table.add_column(column, justify="right" if column else "left")
    for one in comparisons:
        goal = f" (goal {one.goal:g})" if one.goal else ""
        table.add_row(f"{one.name}, ms", *_figures(one.tuned_ms))
        for stage, took in one.tuned_stages_ms.items():
            table.add_row(f"    {stage}", *_figures(took))
        table.add_row("  naively, ms", *_figures(one.naive_ms))
        for stage, took in one.naive_stages_ms.items():
            table.add_row(f"    {stage}", *_figures(took))
        table.add_row(f"  times as long{goal}", *_figures(one.times))
    console.print(table)


def _figures(summary: Summary) -> tuple[str, ...]:
    figures = (summary.median, summary.p5, summary.p95)
    return (*(f"{figure:.1f}" for figure in figures), str(summary.n))
