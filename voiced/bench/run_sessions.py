"""`voiced bench sessions`, from its arguments to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from voiced.bench.memory import Round, measure_memory
from voiced.bench.report import (
    describe_machine,
    print_machine,
    print_memory,
    print_round,
    print_sessions,
    print_step,
    write_json,
)
from voiced.bench.run_turn import choose_clip, named_daemon
from voiced.bench.sessions import LAG_GOAL_MS, Step, cpu_of_session, find_capacity
from voiced.errors import UsageError

if TYPE_CHECKING:
    import argparse


async def bench_sessions(args: argparse.Namespace) -> int:
    """Search the capacity as `args` say, then measure memory with as many sessions, and print.

    1 where not even `--least` is held. A daemon that was there before is not measured for memory.
    """
    if args.most < args.least:
        raise UsageError("--most is below --least")
    clip = await choose_clip(args)
    console = Console()
    if not args.json:
        print_machine(console)

    def tell(step: Step) -> None:
        if not args.json:
            print_step(console, step)

    steps = await find_capacity(
        lowest=args.least,
        highest=args.most,
        frame_ms=args.frame_ms,
        seconds=args.step_s,
        pcm=clip.pcm,
        daemon=None if args.url is None else named_daemon(args.url),
        tell=tell,
    )
    best = max((step.sessions for step in steps if step.passed), default=0)
    cpu = cpu_of_session(steps)
    if not args.json:
        print_sessions(console, best, steps, cpu, args.frame_ms)

    def tell_round(one: Round) -> None:
        if not args.json:
            print_round(console, one)

    memory = None
    if best > 1 and args.url is None and args.memory_rounds:
        memory = await measure_memory(
            best,
            frame_ms=args.frame_ms,
            seconds=args.step_s,
            pcm=clip.pcm,
            rounds=args.memory_rounds,
            tell=tell_round,
        )
    if args.json:
        write_json(
            {
                "bench": "sessions",
                "machine": describe_machine(),
                "frame_ms": args.frame_ms,
                "lag_goal_ms": LAG_GOAL_MS,
                "sessions": best,
                "at_the_upper_bound": best == args.most,
                "cpu_percent_per_session": cpu,
                "memory_bytes_per_session": memory,
                "steps": steps,
            }
        )
    elif memory is not None:
        print_memory(console, memory)
    return 0 if best else 1
