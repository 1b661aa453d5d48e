"""`voiced doctor`: is this installation able to hold a conversation, and if not, what to do?"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec
import trio

from voiced.cli import checks
from voiced.cli.checks import Finding
from voiced.cli.engines import open_engine, quiet_logs
from voiced.cli.model_checks import MEMORY_CHECK, check_models, name_of_check
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.running import run_trio
from voiced.engines.registry import NO_ENGINE
from voiced.errors import ProviderFailed, SettingsError, VoicedError
from voiced.faults import find_faults
from voiced.models.naming import KEYS
from voiced.settings_loader import find_mistakes, load, state_directory

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from voiced.settings import Provider, Settings

# Loading a model from an SD card takes its time; no more than systemd would wait.
ENGINE_START_S = 90.0

# Where else the reason for an engine that does not start may lie.
_ALSO_SEE = {
    "phrases": ", stt.options, llm.sentences and llm.home",
    "assistant": ", llm.options, llm.sentences and llm.home",
    "espeak": ", tts.voice and tts.options",
    "whisper": ", stt.model and stt.options",
    "llama": ", llm.model and llm.options",
    "piper": ", tts.voice and tts.options",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor", help="check this installation and say what to do about each failure"
    )
    add_config_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make every check, also after one failed; 0 where none did, 1 otherwise."""
    findings = []
    for finding in examine(args.config):
        findings.append(finding)
        if not args.json:
            _print(finding)
            sys.stdout.flush()
    failures = sum(finding.state == "failed" for finding in findings)
    if args.json:
        report = {"ok": not failures, "checks": findings}
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    elif failures:
        print(f"\n{failures} of {len(findings)} checks failed")
    else:
        print("\nall is well")
    return 1 if failures else 0


def examine(config: Path | None) -> Iterator[Finding]:
    """All findings, each as soon as it is made. Raises nothing: a check that breaks has failed."""
    yield checks.check_python()
    yield _guarded("packages", checks.check_packages)
    finding, settings = check_settings(config)
    yield finding
    yield _guarded("memory", checks.check_memory)
    thermal = None if settings is None else settings.thermal
    yield _guarded("temperature", partial(checks.check_temperature, thermal))
    yield _guarded("clock", checks.check_clock)
    if settings is None:
        yield Finding(
            check="engines, port, state directory",
            state="note",
            detail="not checked, since the settings that name them are wrong",
        )
        return
    directory = state_directory(settings.store)
    yield _guarded("state directory", partial(checks.check_state_directory, directory))
    yield _guarded("port", partial(checks.check_port, settings.server))
    if settings.server.tls_cert:
        yield _guarded("tls port", partial(checks.check_port, settings.server, "tls_port"))
        yield _guarded("certificate", partial(checks.check_certificate, settings.server))
    quiet_logs(settings)
    yield _guarded("vad", check_vad)
    models = list(_models(settings))
    yield from models
    yield from check_engines(settings, {f.check for f in models if f.state == "failed"})


def check_settings(config: Path | None) -> tuple[Finding, Settings | None]:
    """The settings load, and would let the daemon start."""
    try:
        # The names of engines have checks of their own, and spoil nothing else.
        faults = find_mistakes(config) or find_faults(load(config).settings, engines=False)
        loaded = None if faults else load(config)
    except VoicedError as error:  # changed meanwhile
        faults, loaded = [SettingsError(str(error))], None
    if loaded is None:
        failed = Finding(
            check="settings",
            state="failed",
            detail="; ".join(map(str, faults)),
            remedy="correct it, and run `voiced doctor` again",
        )
        return failed, None
    places = ", ".join(sorted(set(loaded.sources.values()))) or "defaults"
    return Finding(check="settings", state="ok", detail=places), loaded.settings


def check_vad() -> Finding:
    """The voice activity detector that runs inside the daemon loads and runs."""
    from voiced.turns.silero import SileroVad

    SileroVad.load()
    return Finding(check="vad", state="ok", detail="silero")


def _models(settings: Settings) -> Iterator[Finding]:
    try:
        yield from check_models(settings)
    except (VoicedError, OSError) as error:
        yield Finding(
            check="models directory",
            state="failed",
            detail=" ".join(str(error).split()),
            remedy="set store.models, or give this user the right to read there",
        )


def check_engines(settings: Settings, failed: Collection[str] = ()) -> Iterable[Finding]:
    """Start each configured engine in its process, warm it up, and end it again; but none whose
    model, or the memory for it, is among the checks that `failed`: it would say the same again."""
    kinds: tuple[Literal["stt", "llm", "tts"], ...] = ("stt", "llm", "tts")
    for kind in kinds:
        name = getattr(settings, kind).engine
        for provider in getattr(settings, kind).providers:
            yield _guarded(
                f"{kind} server",
                partial(run_trio, _ask_server, kind, provider, name),
                remedy=f"see {kind}.providers in the settings, and docs/providers.md",
            )
        if name == NO_ENGINE:
            continue
        before = {name_of_check(name), *([MEMORY_CHECK] if name in KEYS else [])} & set(failed)
        if before:
            see = " and ".join(sorted(before))
            detail = f"not started: see {see} above"
            yield Finding(check=f"{kind} engine", state="note", detail=detail)
            continue
        yield _guarded(
            f"{kind} engine",
            partial(run_trio, _start_engine, settings, kind),
            remedy=_engine_remedy(settings, kind, name),
        )


def _engine_remedy(settings: Settings, kind: Literal["stt", "llm", "tts"], name: str) -> str:
    see = f"see {kind}.engine{_ALSO_SEE.get(name, '')} in the settings (now {name})"
    if name not in KEYS:
        return see
    model = getattr(getattr(settings, kind), KEYS[name].partition(".")[2]).partition("+")[0]
    if "/" in model:
        return f"if it says that the file is damaged, fetch it again; else {see}"
    verify = " ".join(("voiced models verify", model)).strip()
    return f"if it says that the model is damaged, `{verify}`, and add it again; else {see}"


async def _ask_server(
    kind: Literal["stt", "llm", "tts"], settings: Provider, engine: str
) -> Finding:
    """Look whether a server is there. Without it the `engine` here works on, if there is one."""
    # httpx takes a tenth of a second that others need not spend.
    from voiced.engines.http.keys import name_of, read_key
    from voiced.engines.http.peer import open_peer

    began = trio.current_time()
    name = name_of(settings)
    async with open_peer(settings, read_key(settings, f"{kind}.providers")) as peer:
        try:
            await peer.check()
        except ProviderFailed as error:
            return Finding(
                check=f"{kind} server",
                state="failed" if engine == NO_ENGINE else "note",
                detail=f"{name}: {error}",
                remedy=f"look whether that server runs, and see {kind}.providers in the settings",
            )
    took_ms = (trio.current_time() - began) * 1000
    return Finding(check=f"{kind} server", state="ok", detail=f"{name} answers in {took_ms:.0f} ms")


async def _start_engine(settings: Settings, kind: Literal["stt", "llm", "tts"]) -> Finding:
    began = trio.current_time()
    with trio.move_on_after(ENGINE_START_S):
        async with open_engine(settings, kind) as host:
            info = host.info
            took_s = trio.current_time() - began
            model = f", {info.model}" if info.model else ""
            return Finding(
                check=f"{kind} engine",
                state="ok",
                detail=f"{info.name} {info.version}{model}: loaded and warm in {took_s:.1f} s",
            )
    return Finding(
        check=f"{kind} engine",
        state="failed",
        detail=f"not ready after {ENGINE_START_S:.0f} s",
        remedy="end other programs that use the processor or the disk, or choose a smaller model",
    )


def _guarded(check: str, make: Callable[[], Finding], remedy: str = "") -> Finding:
    try:
        return make()
    except VoicedError as error:
        detail = " ".join(str(error).split())
    except Exception as error:
        # A doctor that falls over helps nobody: whatever this is, it belongs into the report.
        detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
    remedy = remedy or "please report this with the whole output of `voiced doctor --json`"
    return Finding(check=check, state="failed", detail=detail, remedy=remedy)


def _print(finding: Finding) -> None:
    colours = {"ok": "32", "note": "33", "failed": "31"}
    word = f"{finding.state:6}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        word = f"\x1b[{colours[finding.state]}m{word}\x1b[0m"
    print(f"{word}  {finding.check}: {finding.detail}")
    if finding.remedy:
        print(f"        what to do: {finding.remedy}")
