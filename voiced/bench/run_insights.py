"""`voiced bench insights`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.causing import CAUSES_S
from voiced.bench.daemon import stub_engines
from voiced.bench.insights import GOAL_MS, Case, Outcome, caused, measure
from voiced.bench.report import describe_machine, print_machine, write_json
from voiced.bench.run_turn import choose_clip

if TYPE_CHECKING:
    import argparse


async def bench_insights(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print; 1 where the goal is missed or a warning was lost."""
    clip = await choose_clip(args)
    environ = stub_engines() if args.engines == "stub" else {}
    console = Console()
    if not args.json:
        print_machine(console)
    outcomes = []
    for sessions in sorted({0, args.sessions}):
        for slow in (False, True):
            case = Case(
                observers=args.observers, sessions=sessions, slow=slow, frame_ms=args.frame_ms
            )
            outcome = await measure(case, environ, args.step_s, clip.pcm)
            outcomes.append(outcome)
            if not args.json:
                print_outcome(console, outcome, args.step_s)
    if args.json:
        write_json(
            {
                "bench": "insights",
                "machine": describe_machine(),
                "engines": args.engines,
                "causes_a_second": CAUSES_S,
                "seconds": args.step_s,
                "goal_p95_ms": GOAL_MS,
                "outcomes": outcomes,
            }
        )
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def print_outcome(console: Console, outcome: Outcome, seconds: float) -> None:
    """One case, as it ends."""
    case, latency = outcome.case, outcome.latency_ms
    slow = ", one more hardly reads" if case.slow else ""
    fate = ""
    if outcome.slow_stayed is not None:
        fate = "; the slow one stayed" if outcome.slow_stayed else "; the slow one was dropped"
    parts = [
        f"{case.observers} observers, {case.sessions} sessions{slow}:",
        f"from cause to observer median {latency.median:.1f} ms, p95 {latency.p95:.1f} ms,",
        f"most {latency.most:.1f} ms ({outcome.messages_s:.0f} messages a second,",
        f"{caused(outcome, seconds):.0%} of what was caused, {outcome.merged} stand for others,",
        f"{outcome.behind} left out, {outcome.missing} warnings lost, {outcome.lost} cut off);",
        f"loop lag p99 {outcome.lag_p99_ms:.1f} ms{fate}:",
        "passes" if outcome.passed else "misses the goal",
    ]
    console.print(" ".join(parts), soft_wrap=True, highlight=False)
