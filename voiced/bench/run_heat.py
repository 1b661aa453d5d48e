"""`voiced bench heat`, from its arguments to its report."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from voiced.bench.daemon import open_daemon
from voiced.bench.heat import MOST_RATIO, HeatReport, kept_to, measure_heat
from voiced.bench.quota import open_cpu_group
from voiced.bench.report import describe_machine, print_machine, write_json
from voiced.bench.run_turn import choose_clip
from voiced.cli.progress import show_progress
from voiced.errors import UsageError
from voiced.faults import load_faultless

if TYPE_CHECKING:
    import argparse

    from voiced.bench.stats import Summary


async def bench_heat(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print; 1 where a goal is missed. Raises `VoicedError`."""
    there = len(os.sched_getaffinity(0))
    if args.cores > there:
        raise UsageError(f"--cores {args.cores}: this process may use {there}")
    load_faultless(args.config)  # or the daemon would be waited for in vain
    with open_cpu_group() as group:
        group.favour()
        clip = await choose_clip(args)
        async with open_daemon({}, config=args.config) as daemon:
            assert daemon.pid is not None
            with (
                kept_to(daemon.pid, args.cores, group),
                show_progress("turns", args.turns * 2) as advance,
            ):
                report = await measure_heat(
                    daemon,
                    group,
                    clip,
                    cores=args.cores,
                    turns=args.turns,
                    frame_ms=args.frame_ms,
                    advance=advance,
                )
    if args.json:
        write_json(
            {
                "bench": "heat",
                "machine": describe_machine(),
                "speech": clip.source,
                "good": report.good,
                "report": report,
            }
        )
    else:
        print_report(Console(), report)
    return 0 if report.good else 1


def print_report(console: Console, report: HeatReport) -> None:
    """The figures for people."""
    print_machine(console)
    cores = f"{report.cores} core{'s' if report.cores > 1 else ''}"
    table = Table(title=f"End of speech to first audio on {cores}, ms")
    for heading in ("", "turns", "median", "p95", "most", "with a gap"):
        table.add_column(heading, justify="left" if not heading else "right")
    full, slowed = report.full_ms, report.slowed_ms
    table.add_row("full speed", *row(full), str(report.full_gaps))
    table.add_row(f"at {report.share:.1%} of it", *row(slowed), str(report.slowed_gaps))
    console.print(table)
    verdict = "met" if report.good else "missed"
    console.print(
        f"p95 {report.ratio_p95:.2f} times as late (at most {MOST_RATIO:g}), longest gap "
        f"{report.worst_gap_ms:.0f} ms: goal {verdict}. In {report.periods_at_limit} periods of "
        "10 ms the quota was used up."
    )
    if not report.periods_at_limit:
        console.print(
            "[yellow]The quota was never reached, so that nothing was slowed down: the engines "
            "need too little, or others left them less than that.[/]"
        )
    if report.cores > 1:
        console.print(
            "On more than one core a quota slows down only what uses them all at once; work on "
            "a single one is slowed down with --cores 1."
        )


def row(summary: Summary) -> list[str]:
    """Its cells."""
    return [
        str(summary.n),
        f"{summary.median:.0f}",
        f"{summary.p95:.0f}",
        f"{summary.most:.0f}",
    ]
