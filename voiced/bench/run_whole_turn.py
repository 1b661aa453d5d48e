"""`voiced bench turn --models`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.engines import Effort
from voiced.bench.hosts import find_models
from voiced.bench.report import describe_machine, print_machine, write_json
from voiced.bench.run_engines import heard, print_comparisons, tell_missed
from voiced.bench.run_turn import choose_clip
from voiced.bench.telling import tell_progress
from voiced.bench.whole_turn import WholeTurnReport, measure_whole_turns

if TYPE_CHECKING:
    import argparse


async def bench_whole_turn(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    models = find_models(args.models)
    clip = await choose_clip(args)
    effort = Effort(pairs=args.pairs, threads=args.threads)
    with tell_progress("turns") as tell:
        reports = await measure_whole_turns(models, heard(clip), effort, tell)
    if args.json:
        about = {"bench": "turn", "machine": describe_machine(), "speech": clip.source}
        write_json({**about, "whole_turns": reports})
    else:
        console = Console()
        print_machine(console)
        for report in reports:
            print_whole_turn(console, report)
    return tell_missed(line for report in reports for line in report.missed)


def print_whole_turn(console: Console, report: WholeTurnReport) -> None:
    """Both ways with their stages, and what both were given."""
    title = f"{report.whisper}, {report.llama}, {report.piper}"
    print_comparisons(console, title, [report.comparison])
    setting = report.setting
    console.print(
        f"{setting.speech_s} s of speech; {setting.history_tokens} tokens said before; ours writes "
        f'{setting.clause_tokens} tokens and speaks "{setting.clause.strip()}", naively it is '
        f'{setting.sentence_tokens} and "{setting.sentence}"; understood: "{report.heard}"'
        + ("" if report.heard == report.heard_naively else f", naively {report.heard_naively!r}"),
        style="dim",
        highlight=False,
    )
    console.print()
