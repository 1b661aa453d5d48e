"""`voiced bench cancels`, from its arguments to its report."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from rich.console import Console

from voiced.audio.resample import StreamResampler
from voiced.bench.cancels import CancelReport, measure_cancels, open_host
from voiced.bench.report import describe_machine, print_cancels, print_machine, write_json
from voiced.bench.run_turn import choose_clip
from voiced.cli.progress import show_progress
from voiced.client.microphone import INPUT_RATE_HZ
from voiced.engines.registry import configured
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

CONTROL_SHARE = 5
"""One cancel of the control for so many of the engine's: it takes a whole request each time."""

STT_HZ = 16_000


async def bench_cancels(args: argparse.Namespace) -> int:
    """Measure as `args` say, and print. Raises `VoicedError`."""
    settings = load_settings(args.config)
    clip = await choose_clip(args)
    resampler = StreamResampler(INPUT_RATE_HZ, STT_HZ)
    pcm = resampler.resample(clip.pcm) + resampler.flush()
    found: dict[str, dict[str, CancelReport]] = {}
    for kind in args.kind or ("stt", "llm", "tts"):
        spec = configured(settings, kind)
        found[f"{kind} {spec.name}"] = reports = {}
        for deaf in (False, True):
            cancels = max(1, args.cancels // CONTROL_SHARE) if deaf else args.cancels
            done = 0
            name = f"{kind} {spec.name}{' without its hook' if deaf else ''}"
            with show_progress(name, cancels) as advance:

                def tell() -> None:
                    nonlocal done
                    done += 1
                    advance(done)

                async with open_host(spec, deaf=deaf) as host:
                    reports["without hook" if deaf else "with hook"] = await measure_cancels(
                        host, kind, pcm, cancels=cancels, random=Random(args.seed), tell=tell
                    )
    if args.json:
        about = {"bench": "cancels", "machine": describe_machine(), "speech": clip.source}
        write_json({**about, "engines": found})
        return 0
    console = Console()
    print_machine(console)
    print_cancels(console, found)
    return 0
