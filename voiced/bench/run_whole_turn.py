"""`voiced bench turn --models`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.engines import Effort
from voiced.bench.hosts import find_models
from voiced.bench.report import describe_machine, print_machine, write_json
from voiced.bench.run_engines import print_comparisons, tell_missed
from voiced.bench.run_turn import choose_clip
from voiced.bench.telling import tell_progress
from voiced.bench.whole_turn import SENTENCE, WholeTurnReport, measure_whole_turns

if TYPE_CHECKING:
    import argparse


async def bench_whole_turn(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`; 1 where a goal was missed."""
    models = find_models(args.models)
    clip = await choose_clip(args, SENTENCE)
    effort = Effort(pairs=args.pairs, threads=args.threads)
    with tell_progress("turns") as tell:
        reports = await measure_whole_turns(models, clip, effort, tell)
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
    """Each comparison with its stages and its definition, and what both were given."""
    title = f"{report.whisper}, {report.llama}, {report.piper}"
    for name, definition in report.definitions.items():
        print_comparisons(console, f"{title}: {name}", [getattr(report, name)])
        console.print(f"{definition}.\n", style="dim", highlight=False)
    setting = report.setting
    console.print(
        f"{setting.speech_s:.1f} s of speech, then {setting.silence_ms:g} ms of silence; "
        f"{setting.history_tokens} tokens said before each {setting.turns_each} turns; "
        f'the engines alone write {setting.clause_tokens} tokens and speak "'
        f'{setting.clause.strip()}", naively it is {setting.sentence_tokens} and '
        f'"{setting.sentence}".',
        style="dim",
        highlight=False,
    )
    ours, theirs = report.words, report.words_naively
    console.print(f'Understood "{ours.heard}", said "{ours.said}"', style="dim", highlight=False)
    if theirs != ours:
        console.print(
            f'NAIVELY understood "{theirs.heard}", said "{theirs.said}": other work than ours',
            style="yellow",
            highlight=False,
        )
    console.print()
