"""`voiced bench`: measure a daemon from outside, over its public socket."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.ask import positive
from voiced.cli.engines import quiet_logs
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.running import run_trio
from voiced.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its benches."""
    parser = subparsers.add_parser(
        "bench",
        help="measure",
        description="Measure a daemon from outside, over its public socket. Each bench starts"
        " daemons of its own on loopback, with default settings and raised limits, unless --url"
        " names one.",
    )
    benches = parser.add_subparsers(metavar="BENCH", required=True)
    _add_turn(benches)
    _add_sessions(benches)
    _add_soak(benches)
    _add_ingest(benches)
    _add_cancels(benches)
    _add_engines(benches)
    _add_busy(benches)
    _add_heat(benches)
    _add_insights(benches)


def _add(
    benches: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = benches.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--wav", type=Path, metavar="FILE", help="speech (default: by espeak)")
    parser.add_argument(
        "--end-of-speech",
        type=positive,
        metavar="MS",
        help="where in --wav the speech ends (default: found by its energy)",
    )
    parser.add_argument(
        "--frame-ms",
        type=int,
        choices=range(5, 201),
        default=20,
        metavar="MS",
        help="length of a frame of audio (default: %(default)s)",
    )
    add_json_option(parser)
    parser.set_defaults(run=run)
    return parser


def _add_turn(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "latency of an answer with its waterfall, overhead beyond stub engines, and barge-in"
    parser = _add(benches, "turn", text, run_turn)
    _add_number(parser, "--turns", 10, "turns with each configuration, alternating")
    _add_number(parser, "--sessions", 1, "measure the overhead with so many sessions at once too")
    _add_number(parser, "--barge-ins", 10, "interruptions; 0 for none", least=0)
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="measure this instead: whole turns with the models there, and their naive use",
    )
    _add_number(parser, "--pairs", 10, "with --models: turns that are taken both ways")
    _add_number(parser, "--threads", 0, "with --models: threads; 0 for the defaults", least=0)
    parser.add_argument("--url", metavar="URL", help="measure this daemon only, as it is")


def _add_sessions(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "how many sessions that stream speech are held, and what each costs"
    parser = _add(benches, "sessions", text, run_sessions)
    _add_number(parser, "--least", 10, "sessions to begin with")
    _add_number(parser, "--most", 400, "sessions to try at most")
    parser.add_argument(
        "--step-s", type=positive, default=20.0, metavar="S", help="length of a step (20)"
    )
    _add_number(parser, "--memory-rounds", 3, "fresh daemons to measure memory in", least=0)
    parser.add_argument("--url", metavar="URL", help="load this daemon instead of one of its own")


def _add_soak(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "many turns and as many random cancels, and whether anything is left of them"
    parser = _add(benches, "soak", text, run_soak)
    _add_number(parser, "--turns", 1000, "turns, and cancels; rounded down to whole rounds of 50")
    _add_number(parser, "--at-once", 8, "sessions at once")
    _add_number(parser, "--seed", 1, "seed of what happens when")
    parser.add_argument(
        "--engines", choices=("stub", "real"), default="real", help="engines (default: real)"
    )


def _add_ingest(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "CPU time of taking in audio, against the standard library and a bare trio loop"
    parser = _add(benches, "ingest", text, run_ingest)
    _add_number(parser, "--pairs", 50, "times that each length of append is decoded by turns")
    _add_number(parser, "--sessions", 20, "sessions that stream at once")
    _add_number(parser, "--rounds", 7, "streams to each server, by turns")
    parser.add_argument(
        "--step-s", type=positive, default=4.0, metavar="S", help="length of a stream (4)"
    )


def _add_cancels(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "how soon the engines of the settings are idle when cancelled, with and without hook"
    parser = _add(benches, "cancels", text, run_cancels)
    _add_number(parser, "--cancels", 200, "cancels of each engine, at random moments")
    _add_number(parser, "--seed", 1, "seed of the moments")
    parser.add_argument(
        "--kind", action="append", choices=("stt", "llm", "tts"), help="which (default: all)"
    )
    add_config_option(parser)


def _add_engines(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "the engines against the naive use of the same models, and how soon a cancel lands"
    parser = _add(benches, "engines", text, run_engines)
    _add_models(parser, "where the models are: each that an engine can use is measured")
    parser.add_argument(
        "--engine", choices=("stt", "llm", "tts"), help="measure engines of this kind only"
    )
    _add_number(parser, "--pairs", 10, "times that each thing is done both ways, by turns")
    _add_number(parser, "--cancels", 200, "requests cancelled at random moments", least=0)
    _add_number(parser, "--seed", 1, "seed of these moments")
    text = "seconds of `bench busy` at the end, where each engine has a model and is measured"
    _add_number(parser, "--busy-s", 25, text, least=0)
    _add_number(parser, "--threads", 0, "threads of an engine; 0 for its default", least=0)


def _add_busy(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "how late the daemon's loop wakes while all three engines work"
    parser = _add(benches, "busy", text, run_busy)
    _add_models(parser, "where the models are: the first one for each engine is used")
    _add_number(parser, "--seconds", 25, "how long")


def _add_models(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help=text)


def _add_heat(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "an answer's latency and playback while the processor is slowed down as by heat"
    parser = _add(benches, "heat", text, run_heat)
    _add_number(parser, "--turns", 20, "turns at full speed, and as many at 62.5 %% of it")
    _add_number(parser, "--cores", 1, "cores that the daemon and its engines share")
    add_config_option(parser)


def _add_insights(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "how soon observers learn what happens, also while sessions speak, and beside a slow one"
    parser = _add(benches, "insights", text, run_insights)
    _add_number(parser, "--observers", 50, "observers at once")
    _add_number(parser, "--sessions", 20, "sessions that stream speech in half of the cases")
    parser.add_argument(
        "--step-s", type=positive, default=10.0, metavar="S", help="length of each case (10)"
    )
    parser.add_argument(
        "--engines", choices=("stub", "real"), default="stub", help="engines (default: stub)"
    )


def _add_number(
    parser: argparse.ArgumentParser, name: str, default: int, text: str, *, least: int = 1
) -> None:
    def number(given: str) -> int:
        value = int(given)
        if value < least:
            raise argparse.ArgumentTypeError(f"{given} is below {least}")
        return value

    parser.add_argument(
        name, type=number, default=default, metavar="N", help=f"{text} (default: {default})"
    )


def run_turn(args: argparse.Namespace) -> int:
    """Latency and barge-in."""
    from voiced.bench.run_turn import bench_turn

    quiet_logs(Settings())
    return run_trio(bench_turn, args)


def run_sessions(args: argparse.Namespace) -> int:
    """Capacity; 1 where not even the least number is held."""
    from voiced.bench.run_sessions import bench_sessions

    quiet_logs(Settings())
    return run_trio(bench_sessions, args)


def run_cancels(args: argparse.Namespace) -> int:
    """How soon engines are idle."""
    from voiced.bench.run_cancels import bench_cancels

    quiet_logs(Settings())
    return run_trio(bench_cancels, args)


def run_ingest(args: argparse.Namespace) -> int:
    """What taking in audio costs."""
    from voiced.bench.run_ingest import bench_ingest

    quiet_logs(Settings())
    return run_trio(bench_ingest, args)


def run_engines(args: argparse.Namespace) -> int:
    """What the engines gain; 1 where a goal is missed."""
    from voiced.bench.run_engines import bench_engines

    quiet_logs(Settings())
    return run_trio(bench_engines, args)


def run_busy(args: argparse.Namespace) -> int:
    """All engines at once; 1 where a goal is missed."""
    from voiced.bench.run_busy import bench_busy

    quiet_logs(Settings())
    return run_trio(bench_busy, args)


def run_heat(args: argparse.Namespace) -> int:
    """A slowed processor; 1 where a goal is missed."""
    from voiced.bench.run_heat import bench_heat

    quiet_logs(Settings())
    return run_trio(bench_heat, args)


def run_insights(args: argparse.Namespace) -> int:
    """How soon observers learn of things; 1 where that is too late, or a warning was lost."""
    from voiced.bench.run_insights import bench_insights

    quiet_logs(Settings())
    return run_trio(bench_insights, args)


def run_soak(args: argparse.Namespace) -> int:
    """Leaks; 1 where anything grows or a turn failed."""
    from voiced.bench.run_soak import bench_soak

    quiet_logs(Settings())
    return run_trio(bench_soak, args)
