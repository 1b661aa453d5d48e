"""`voiced bench engines`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from voiced.audio.pcm import SPEECH_HZ
from voiced.audio.resample import resample_whole
from voiced.bench.engines import PARTS, Effort, EngineReport, measure_engines
from voiced.bench.report import describe_machine, print_machine, write_json
from voiced.bench.run_turn import choose_clip
from voiced.cli.progress import show_progress
from voiced.client.microphone import INPUT_RATE_HZ
from voiced.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from voiced.bench.stats import Summary


async def bench_engines(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    clip = await choose_clip(args)
    pcm = resample_whole(clip.pcm, INPUT_RATE_HZ, SPEECH_HZ)
    effort = Effort(pairs=args.pairs, cancels=args.cancels, threads=args.threads)
    kinds = [args.engine] if args.engine else list(PARTS)
    with show_progress("engines") as advance:
        reports = measure_engines(kinds, args.models, pcm, effort, lambda doing: advance(0, doing))
    if not reports:
        raise UsageError(f"{args.models} holds no model that can be measured")
    if args.json:
        write_json(
            {
                "bench": "engines",
                "machine": describe_machine(),
                "speech": clip.source,
                "engines": reports,
            }
        )
    else:
        console = Console()
        print_machine(console)
        for report in reports:
            print_engine(console, report)
    return 0 if all(map(reaches_goals, reports)) else 1


def reaches_goals(report: EngineReport) -> bool:
    """Whether every ratio that has a goal reaches it, by its median."""
    return all(one.goal is None or one.times.median >= one.goal for one in report.comparisons)


def print_engine(console: Console, report: EngineReport) -> None:
    """One engine with one model."""
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    table = Table(title=f"{report.engine}, {report.model}; {settings}", box=None, pad_edge=False)
    table.title_justify, table.title_style = "left", "bold"
    for column in ("", "median", "p5", "p95", "n"):
        table.add_column(column, justify="right" if column else "left")
    for one in report.comparisons:
        goal = f" (goal {one.goal:g})" if one.goal else ""
        table.add_row(f"{one.name}, ms", *_figures(one.tuned_ms))
        table.add_row("  naively, ms", *_figures(one.naive_ms))
        table.add_row(f"  times as long{goal}", *_figures(one.times, digits=1))
    if (cancels := report.cancels) is not None:
        table.add_row("cancel to acknowledgement, ms", *_figures(cancels.acknowledged_ms))
        table.add_row("cancel to idle, ms", *_figures(cancels.idle_ms))
        table.add_row("  naively, ms", *_figures(cancels.control_ms))
        table.add_row("answers after the acknowledgement", str(cancels.stale_parts))
    console.print(table)
    console.print(f"naively: {report.naive}", style="dim", highlight=False)
    console.print()


def _figures(summary: Summary, digits: int = 1) -> tuple[str, ...]:
    figures = (summary.median, summary.p5, summary.p95)
    return (*(f"{figure:.{digits}f}" for figure in figures), str(summary.n))
