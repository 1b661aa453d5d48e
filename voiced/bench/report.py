"""What the benches print: tables for people, plain data for machines."""

from __future__ import annotations

import os
import platform
from math import isnan
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
from rich.table import Table

from voiced.bench.turn import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from voiced.bench.cancels import CancelReport
    from voiced.bench.ingest import AppendCost, ReceiveCost
    from voiced.bench.memory import MemoryCost, Round
    from voiced.bench.sessions import Step
    from voiced.bench.soak import Growth, Outcome
    from voiced.bench.stats import Slope, Summary
    from voiced.bench.turn import TurnReport

MIB = 1 << 20


def describe_machine() -> dict[str, Any]:
    """Where the figures come from, as far as it matters for them."""
    return {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": psutil.virtual_memory().total // MIB,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def write_json(data: object) -> None:
    """Print `data` as JSON; NaN becomes null."""
    print(msgspec.json.encode(_plain(data)).decode())


def _plain(data: object) -> object:
    if isinstance(data, msgspec.Struct):
        return _plain(msgspec.structs.asdict(data))
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, float):
        return None if isnan(data) else round(data, 4)
    return data


def print_machine(console: Console) -> None:
    """One line about the machine."""
    about = describe_machine()
    console.print(
        f"{about['cores']} cores {about['machine']}, {about['memory_mib']} MiB, "
        f"{about['system']}, Python {about['python']}",
        style="dim",
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _row(table: Table, name: str, summary: Summary, *rest: str, digits: int = 0) -> None:
    figures = (summary.median, summary.p5, summary.p95, summary.most)
    table.add_row(name, *(f"{figure:.{digits}f}" for figure in figures), str(summary.n), *rest)


def print_turns(console: Console, reports: Sequence[TurnReport], source: str) -> None:
    """Latency, overhead and waterfall of each configuration."""
    columns = ("median", "p5", "p95", "max", "n")
    console.print(f"speech: {source}; all figures in ms", style="dim")
    for report in reports:
        table = _table(report.name, *columns)
        _row(table, "end of speech to first audio", report.first_audio_ms)
        _row(table, "end of speech to first text", report.first_text_ms)
        if report.overhead_ms is not None:
            _row(table, "  beyond stubs and silence", report.overhead_ms, digits=1)
        for stage, summary in report.stages_ms.items():
            _row(table, f"  {STAGES[stage]}", summary, digits=1)
        _row(table, "client's frames late by at most", report.client_late_ms, digits=1)
        console.print(table)
        console.print()


BARGE_IN_WORDS = {
    "signal_ms": "onset of speech to speech_started, ms",
    "last_stale_ms": "onset of speech to last stale audio, ms",
    "unplayed_s": "audio at the client, not played, at the signal, s",
    "most_ahead_s": "audio ahead of real time at the client, s",
}


def print_barge_ins(console: Console, summaries: Mapping[str, Summary]) -> None:
    """What an interruption took."""
    table = _table("barge-in", "median", "p5", "p95", "max", "n")
    for name, summary in summaries.items():
        _row(table, BARGE_IN_WORDS[name], summary, digits=0 if name.endswith("_ms") else 2)
    console.print(table)
    console.print()


def print_step(console: Console, step: Step) -> None:
    """One step of the search, as it ends."""
    verdict = "holds" if step.passed else "too many"
    slow = "" if step.generator_kept_up else "; the load generator fell behind"
    console.print(
        f"{step.sessions:5d} sessions: loop lag p99 {step.lag_p99_ms:6.1f} ms, "
        f"CPU {step.cpu_percent:5.1f} %, PSS {step.usage.pss_bytes / MIB:6.1f} MiB, "
        f"frames late p99 {step.load.late_p99_ms:.1f} ms: {verdict}{slow}",
        soft_wrap=True,
        highlight=False,
    )


def print_sessions(
    console: Console, best: int, steps: Sequence[Step], cpu: Slope, frame_ms: int
) -> None:
    """How many sessions, and the share of a core that each takes."""
    console.print(
        f"holds {best} sessions that stream frames of {frame_ms} ms "
        f"(loop lag p99 at most 10 ms; {len(steps)} steps)",
        style="bold",
    )
    error = "" if isnan(cpu.error) else f" ± {cpu.error:.2f}"
    console.print(f"a session costs {cpu.slope:.2f}{error} % of a core, all processes")


def _kib(spread: tuple[float, float]) -> str:
    mean, deviation = spread
    return f"{mean / 1024:.0f}" + ("" if isnan(deviation) else f" ± {deviation / 1024:.0f}")


def print_round(console: Console, one: Round) -> None:
    """One fresh daemon, from one session to many."""
    console.print(
        f"{one.sessions:5d} sessions in a fresh daemon: {one.daemon_bytes / 1024:.0f} KiB each, "
        f"audio {one.audio_bytes / 1024:.0f}, beyond it {one.beyond_audio / 1024:.0f}",
        highlight=False,
    )


def print_memory(console: Console, memory: MemoryCost) -> None:
    """What a session costs in anonymous memory."""
    console.print(
        f"a session costs {_kib(memory.daemon)} KiB of the daemon's memory "
        f"({_kib(memory.tree)} with its engines): audio {_kib(memory.audio)} KiB, "
        f"{_kib(memory.beyond_audio)} KiB beyond it "
        f"(from 1 to {memory.sessions} sessions; mean and s.d. of {memory.rounds} daemons)",
        soft_wrap=True,
    )


def print_appends(console: Console, costs: Sequence[AppendCost]) -> None:
    """One append, decoded by the daemon's code and by the standard library."""
    table = _table("CPU time of decoding one append, us", "median", "p5", "p95", "max", "n")
    for cost in costs:
        _row(table, f"{cost.frame_ms} ms, voiced", cost.ours_us, digits=1)
        _row(table, f"{cost.frame_ms} ms, json + base64", cost.library_us, digits=1)
        _row(table, "  times as much", cost.ratio, digits=2)
    console.print(table)
    console.print()


def print_receiving(console: Console, cost: ReceiveCost) -> None:
    """The whole way of an append, from the socket to the session's buffer."""
    title = f"CPU time of receiving one append of {cost.frame_ms} ms, us; {cost.sessions} sessions"
    table = _table(title, "median", "p5", "p95", "max", "n", "idle %")
    for name, summary in cost.cost_us.items():
        _row(table, name, summary, f"{cost.idle_percent[name]:.2f}", digits=1)
    for name, summary in cost.ratio.items():
        _row(table, f"  daemon over {name}", summary, "", digits=2)
    console.print(table)
    console.print()


SOAK_WORDS = {
    "threads": "threads",
    "processes": "processes",
    "descriptors": "file descriptors",
    "tasks": "tasks",
    "heap_bytes": "heap MiB (anonymous pages)",
}


def print_soak(console: Console, growth: Mapping[str, Growth], outcome: Outcome) -> None:
    """What is left, and what was done."""
    table = _table("the daemon at rest", "first", "last", "slope/1,000 turns", "s.e.", "")
    for name, one in growth.items():
        scale, digits = (MIB, 2) if name.endswith("_bytes") else (1, 1)
        values = (one.first, one.last, one.slope, one.error)
        shown = (f"{value / scale:.{digits}f}" for value in values)
        table.add_row(SOAK_WORDS[name], *shown, "grows" if one.grows else "steady")
    console.print(table)
    done = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.cancels.items()))
    console.print(f"{outcome.completed} turns completed; {done or 'no cancels'}")
    if outcome.failed:
        console.print(f"{outcome.failed} failed, for example: {'; '.join(outcome.faults[:3])}")


def print_cancels(console: Console, engines: Mapping[str, CancelReport]) -> None:
    """From a cancel to an idle engine, and what a whole request takes."""
    for engine, report in engines.items():
        table = _table(f"{engine}: from a cancel on, ms", "median", "p5", "p95", "max", "n", "p99")
        _row(table, "until it says so", report.acknowledged_ms, "", digits=1)
        goal = "" if report.goal_ms is None else f" (goal {report.goal_ms:.0f})"
        p99 = f"{report.idle_p99_ms:.1f}{goal}"
        _row(table, "until nothing is computed for it", report.idle_ms, p99, digits=1)
        _row(table, "  without the hook", report.control_ms, "", digits=1)
        if report.step_ms is not None:
            _row(table, "a native call, which nothing stops", report.step_ms, "", digits=1)
        _row(table, "a whole request", report.request_ms, "", digits=1)
        console.print(table)
        console.print(
            f"answers after the acknowledgement: {report.stale_parts}; engine started again: "
            f"{report.restarts} times; too late: {report.too_late}",
            style="dim",
            highlight=False,
        )
        console.print()
