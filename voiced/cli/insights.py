"""`voiced insights`: what a running daemon does, as it happens."""

from __future__ import annotations

import sys
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.cli.options import add_json_option
from voiced.cli.running import run_trio
from voiced.cli.target import Target, add_target_options, find_target
from voiced.client.dial import KeyRefused, ServerAbsent
from voiced.client.watch import GREETING, open_watch, payload_of
from voiced.errors import ClientError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "insights",
        help="show what a running daemon does",
        description="Show how a running daemon is, and then what it does, line by line, until"
        " Ctrl-C: engines, sessions, jobs, heat, warnings, errors.",
    )
    parser.add_argument(
        "--types",
        default="",
        metavar="TYPE,…",
        help="only messages of these types: metadata, plugin_status, partial_result, progress,"
        " frame, warning, error (default: all)",
    )
    parser.add_argument("--once", action="store_true", help="show how it is now, and end")
    add_target_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what comes; ends by Ctrl-C, or with 1 once the daemon is lost."""
    from voiced.telemetry.messages import UnknownTypes, parse_types

    try:
        types = parse_types(args.types) or frozenset()
    except UnknownTypes as error:
        raise UsageError(f"--types: {error}") from None
    target = find_target(args)
    try:
        run_trio(_show, target, types, args.json, args.once)
    except ServerAbsent as exc:
        raise ClientError(f"{exc}; start the daemon with voiced serve") from exc
    except KeyRefused as exc:
        raise ClientError(f"{exc} Give the daemon's token as VOICED_AUTH__TOKEN.") from exc
    return 0


async def _show(target: Target, types: frozenset[str], as_json: bool, once: bool) -> None:
    # With --once the metadata is wanted in any case: it says how much of a snapshot there is.
    asked = types | {GREETING} if once and types else types
    left = inf
    async with open_watch(target.url, target.token, ca=target.ca, types=asked) as watch:
        while left > 0:
            message = (await watch.next()).event
            left -= 1
            if once and message["type"] == GREETING:
                left = payload_of(message).get("snapshot", 0)
            if not types or message["type"] in types:
                line = msgspec.json.encode(message).decode() if as_json else describe(message)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


def describe(message: Mapping[str, Any]) -> str:
    """A message as one line for people: when, what, and about what. Anything it does not know is
    shown as it is."""
    payload = payload_of(dict(message))
    kind = str(message.get("type"))
    told = PHRASES[kind](payload) if kind in PHRASES else msgspec.json.encode(payload).decode()
    count = payload.get("coalesced")
    more = f"  (and {count} more)" if isinstance(count, int) and count else ""
    text = f"{clock_of(message.get('timestamp'))}  {kind:<14}  {told}{more}"
    # What others chose, such as names and texts, must not steer the terminal.
    return "".join(c if c.isprintable() else " " for c in text)


def clock_of(timestamp: object) -> str:
    """The local time of a timestamp, to the second."""
    try:
        return datetime.fromisoformat(str(timestamp)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"


def _metadata(told: Mapping[str, Any]) -> str:
    engines = told.get("engines")
    named = ", ".join(f"{k} {v}" for k, v in engines.items()) if isinstance(engines, dict) else "?"
    return (
        f"voiced {told.get('version')}, up {_seconds(told.get('uptime_s'))}; {named}; "
        f"heat {told.get('heat')}; {_count(told, 'session')}, {_count(told, 'observer')}"
    )


def _plugin_status(told: Mapping[str, Any]) -> str:
    parts = [f"{told.get('kind')} {told.get('name')}: {told.get('state')}"]
    if told.get("reason"):
        parts.append(f"({told['reason']})")
    parts += [f"{key} {told[key]}" for key in ("running", "queue", "restarts") if told.get(key)]
    timings = told.get("timings")
    for stage, timing in timings.items() if isinstance(timings, dict) else ():
        if isinstance(timing, dict):
            p50, p95 = timing.get("p50_ms"), timing.get("p95_ms")
            parts.append(f"{stage} p50 {p50} ms, p95 {p95} ms")
    return "  ".join(parts)


def _partial_result(told: Mapping[str, Any]) -> str:
    parts = [f"{told.get('session_id')}: {told.get('state')}"]
    if told.get("text"):
        parts.append(f"“{told['text']}”")
    timings = told.get("timings_ms")
    if isinstance(timings, dict):
        parts += [f"{stage} {ms} ms" for stage, ms in timings.items()]
    return "  ".join(parts)


def _progress(told: Mapping[str, Any]) -> str:
    reason = f"  ({told['reason']})" if told.get("reason") else ""
    return (
        f"{told.get('kind')} {told.get('job_id')}: {told.get('status')}, "
        f"{told.get('percent')} %{reason}"
    )


def _frame(told: Mapping[str, Any]) -> str:
    return (
        f"{told.get('job_id')} {told.get('index')}: {_seconds(told.get('start_s'))} to "
        f"{_seconds(told.get('end_s'))}  “{told.get('text')}”"
    )


def _told(told: Mapping[str, Any]) -> str:
    subject = f" {told['subject']}" if told.get("subject") else ""
    return f"{told.get('code')}{subject}: {told.get('message')}"


def _count(told: Mapping[str, Any], what: str) -> str:
    number = told.get(f"{what}s")
    return f"{number} {what}{'' if number == 1 else 's'}"


def _seconds(value: object) -> str:
    return f"{value:g} s" if isinstance(value, int | float) else "?"


PHRASES = {
    "metadata": _metadata,
    "plugin_status": _plugin_status,
    "partial_result": _partial_result,
    "progress": _progress,
    "frame": _frame,
    "warning": _told,
    "error": _told,
}
